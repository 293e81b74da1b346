#include "ops/engine_tuner.h"

#include <memory>
#include <optional>
#include <utility>

#include "base/log.h"

namespace hearth::ops {
namespace {

std::optional<double> ms(std::optional<double> ns) {
  return ns ? std::optional(*ns / 1e6) : std::nullopt;
}

}  // namespace

TunerPeriod measured(const engine::Period& period) {
  TunerPeriod out;
  out.tpot_p95_ms = ms(period.token_intervals.quantile_ns(0.95));
  out.ttft_p95_ms = ms(period.first_tokens.quantile_ns(0.95));
  if (period.seconds > 0) out.tokens_s = static_cast<double>(period.work.rows) / period.seconds;
  out.utilisation = period.utilisation.arithmetic;
  out.pages_used_share = period.pages_used_most;
  out.preemptions = period.preemptions;
  out.running_most = period.running_most;
  out.waiting = period.waiting;
  out.prompt_rows_most = period.prompt_rows_most;
  if (period.decode_step_s > 0) {
    out.decode_step_ms = period.decode_step_s * 1e3;
    out.row_ms = period.prompt_row_s * 1e3;
  }
  return out;
}

engine::Tune tune_engine(Tuner tuner, std::string model) {
  return [tuner = std::move(tuner),
          model = std::move(model)](const engine::Period& period) mutable -> engine::Tuning {
    const TunerDecision decision = tuner.decide(measured(period));
    if (!decision.text.empty()) log::info("{}: tuner: {}", model, decision.text);
    return {{decision.limits.running, decision.limits.prompt_rows},
            std::string(name(decision.reason))};
  };
}

}  // namespace hearth::ops

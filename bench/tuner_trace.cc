// Both modes of the tuner on one simulated engine under a load that changes: CSV for
// tools/plot_tuner.py. The engine is like a large model on a machine with much arithmetic: decoding
// is bound by memory, so that utilisation stays low however slowly the tokens come.
#include <fmt/format.h>

#include <utility>

#include "base/result.h"
#include "ops/plant_fixture.h"
#include "ops/tuner.h"

namespace {

using hearth::ops::Plant;
using hearth::ops::PlantShape;
using hearth::ops::Tuner;
using hearth::ops::TunerBounds;
using hearth::ops::TunerDecision;
using hearth::ops::TunerLimits;
using hearth::ops::TunerMode;
using hearth::ops::TunerPeriod;
using hearth::ops::TunerTargets;

constexpr TunerTargets kTargets{};
constexpr TunerBounds kBounds{.running_max = 256};

struct Phase {
  const char* name;
  int seconds;
  double requests_s;
  double b_ms;  // of a sequence in a step: longer contexts cost more
};

constexpr Phase kPhases[] = {
    {"light load", 120, 1, 1.4},      {"more than it can serve", 360, 7, 1.4},
    {"longer contexts", 240, 7, 2.4}, {"nothing new", 120, 0, 1.4},
    {"as before", 240, 7, 1.4},
};

void trace(TunerMode mode, const char* name) {
  const PlantShape shape{.a_ms = 20,
                         .b_ms = 1.4,
                         .power = 1,
                         .c_ms = 0.3,
                         .prompt = 60,
                         .output = 150,
                         .pages = 400'000,
                         .queue_max = 200,
                         .lag = 0.7,
                         .noise = 0.08,
                         .decode_error = 0.93,
                         .row_error = 1.08};
  Plant plant(shape, 1);
  auto tuner = Tuner::create(mode, kBounds, kTargets);
  HEARTH_CHECK(tuner);
  TunerLimits limits = tuner->limits();
  int second = 0;
  for (const Phase& phase : kPhases) {
    plant.shape().b_ms = phase.b_ms;
    for (int i = 0; i < phase.seconds; ++i, ++second) {
      const TunerPeriod period = plant.run(limits, phase.requests_s);
      const TunerDecision decision = tuner->decide(period);
      fmt::print("{},{},{},{},{:.1f},{:.1f},{:.0f},{:.0f},{:.3f},{},{}\n", name, second,
                 limits.running, limits.prompt_rows, plant.running(),
                 period.running_most > 0 ? plant.tpot_ms() : 0, period.tokens_s.value_or(0),
                 plant.waiting(), period.utilisation.value_or(0),
                 hearth::ops::name(decision.reason), phase.name);
      limits = decision.limits;
    }
  }
}

}  // namespace

int main() {
  fmt::print(
      "mode,second,running_limit,prompt_rows_limit,running,tpot_ms,tokens_s,waiting,utilisation,"
      "reason,phase\n");
  trace(TunerMode::kRule, "rule");
  trace(TunerMode::kSlo, "slo");
  return 0;
}

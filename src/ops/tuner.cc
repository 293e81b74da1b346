#include "ops/tuner.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace hearth::ops {
namespace {

constexpr double kLower = 0.9;
constexpr double kLowerClearly = 0.7;  // so that it can be told from noise whether it helped
constexpr double kLowerMost = 0.5;
constexpr double kHelped = 0.95;
constexpr double kOutlier = 2;  // targets; what is more than that counts as that
constexpr double kLowerForMemory = 0.7;
constexpr double kThroughputLoss = 0.1;
constexpr std::int64_t kWorsePeriods = 3;

struct ReasonText {
  std::string_view name;
  std::string_view text;
};

// In the order of TunerReason.
constexpr std::array<ReasonText, 20> kReasons{{
    {"off", "the limits are as configured"},
    {"idle", "nothing ran"},
    {"not_measured", "not enough was measured"},
    {"steady", "nothing to change"},
    {"utilisation_low", "utilisation is under 30 %"},
    {"utilisation_high", "utilisation is over 80 %"},
    {"room", "requests wait and there is room"},
    {"ttft_over", "the first token comes late and there is room"},
    {"ttft_no_room", "the first token comes late and there is no room: too much load"},
    {"prompts_yield", "requests wait for places: prompts leave them the time"},
    {"cost_model", "so many prompt rows do not fit into the time per token"},
    {"tpot_over", "tokens come too slowly"},
    {"tpot_before_ttft", "tokens come too slowly; the first one is late as well, but second to it"},
    {"disturbed", "tokens come too slowly, but steps are quick enough: the machine has other work"},
    {"target_impossible", "tokens come too slowly even at the least limits: the target is too low"},
    {"draining", "more run than may: waiting for them to end"},
    {"settling", "a limit moved lately: measuring what that did"},
    {"memory_pressure", "the cache of keys and values is full"},
    {"frozen", "waiting after memory pressure"},
    {"throughput_fell", "more at once did less: back to the level before"},
}};
static_assert(kReasons.size() == static_cast<std::size_t>(TunerReason::kThroughputFell) + 1);

const ReasonText& text_of(TunerReason reason) {
  return kReasons.at(static_cast<std::size_t>(reason));
}

std::optional<double> known(std::optional<double> number) {
  return number && std::isfinite(*number) && *number >= 0 ? number : std::nullopt;
}

TunerPeriod checked(TunerPeriod period) {
  for (auto* number : {&period.tpot_p95_ms, &period.ttft_p95_ms, &period.tokens_s,
                       &period.utilisation, &period.pages_used_share, &period.decode_step_ms})
    *number = known(*number);
  period.row_ms = known(period.row_ms);
  // One of the two alone says nothing, nor does a row without a cost.
  if (!period.decode_step_ms || !period.row_ms || *period.row_ms == 0)
    period.decode_step_ms = period.row_ms = std::nullopt;
  return period;
}

bool is_big_step(std::int64_t before, std::int64_t after) {
  return static_cast<double>(after - before) > Tuner::kBigStep * static_cast<double>(before);
}

std::string shown(std::optional<double> number, std::string_view unit) {
  return number ? fmt::format("{:.4g} {}", *number, unit) : "unknown";
}

}  // namespace

std::string_view name(TunerReason reason) { return text_of(reason).name; }

void FadingMean::add(double sample) {
  ++samples_;
  const double share = std::max(share_, 1.0 / static_cast<double>(samples_));
  value_ = share == 1 ? sample : value_ + (sample - value_) * share;
}

void TunedLimit::cap(std::int64_t most) { value_ = std::clamp(most, least_, value_); }

void TunedLimit::lower(std::int64_t too_much, double factor) {
  const std::int64_t wanted = std::llround(static_cast<double>(too_much) * factor);
  value_ = std::max(least_, std::min(wanted, too_much - 1));
  tried_ = false;
  remember(too_much);
}

void TunedLimit::return_to(std::int64_t good) {
  const std::int64_t too_much = std::exchange(value_, good);
  tried_ = true;
  remember(too_much);
}

void TunedLimit::remember(std::int64_t too_much) {
  const std::int64_t about = std::max<std::int64_t>(1, too_much_ / 10);
  const bool again =
      std::exchange(risen_, false) && patience_ > 0 && std::abs(too_much - too_much_) <= about;
  patience_ = again ? std::min(2 * patience_, kProbePeriodsMost) : kProbePeriods;
  too_much_ = too_much;
  ceiling_ = (value_ + too_much) / 2;
  probe_in_ = patience_;
}

bool TunedLimit::raise(std::int64_t step, std::int64_t most) {
  most = std::min(most, highest());
  if (value_ >= most) return false;
  value_ = std::min(value_ + step, most);
  risen_ = true;
  return true;
}

void TunedLimit::forget() {
  if (!tried_ && !failed_again()) probe_in_ = 0;
}

Result<Tuner> Tuner::create(TunerMode mode, TunerBounds bounds, TunerTargets targets) {
  constexpr std::int64_t kMost = std::int64_t{1} << 32;  // exact as a double, also times 1.5
  if (bounds.running_max < 1 || bounds.running_max > kMost)
    return invalid("invalid_tuner", "at most {} running sequences: not from 1 to {}",
                   bounds.running_max, kMost);
  if (bounds.prompt_rows_min < 1 || bounds.prompt_rows_max < bounds.prompt_rows_min ||
      bounds.prompt_rows_max > kMost)
    return invalid("invalid_tuner", "prompt rows from {} to {}: not a range from 1 to {}",
                   bounds.prompt_rows_min, bounds.prompt_rows_max, kMost);
  for (const auto& [what, value] :
       {std::pair("time per token", targets.tpot_ms), {"time to the first token", targets.ttft_ms}})
    if (!std::isfinite(value) || value <= 0)
      return invalid("invalid_tuner", "the target for the {} is {} ms: not a positive number", what,
                     value);
  return Tuner(mode, bounds, targets);
}

Tuner::Tuner(TunerMode mode, TunerBounds bounds, TunerTargets targets)
    : mode_(mode),
      bounds_(bounds),
      targets_(targets),
      running_(bounds.running_least(mode), bounds.running_max,
               mode == TunerMode::kRule
                   ? std::min(bounds.running_max, static_cast<std::int64_t>(kStateStart))
                   : bounds.running_max),
      prompt_rows_(bounds.prompt_rows_min, bounds.prompt_rows_max,
                   mode == TunerMode::kSlo ? std::clamp(kPromptRowsStart, bounds.prompt_rows_min,
                                                        bounds.prompt_rows_max)
                                           : bounds.prompt_rows_max) {
  state_ = std::min(state_, static_cast<double>(bounds.running_max));
}

TunerDecision Tuner::decide(const TunerPeriod& measured) {
  const TunerPeriod period = checked(measured);
  const TunerLimits before = limits();
  TunerDecision decision;
  switch (mode_) {
    case TunerMode::kOff:
      decision.reason = TunerReason::kOff;
      break;
    case TunerMode::kRule:
      decision.reason = decide_rule(period);
      break;
    case TunerMode::kSlo:
      decision.reason = decide_slo(period);
      break;
  }
  decision.limits = limits();
  if (decision.limits != before || decision.reason != last_reason_)
    decision.text = fmt::format(
        "running {} -> {}, prompt_rows {} -> {}: {} (P95 per token {} of {:.4g}, first token {} of "
        "{:.4g}, pages {}, utilisation {}, running {}, waiting {})",
        before.running, decision.limits.running, before.prompt_rows, decision.limits.prompt_rows,
        text_of(decision.reason).text, shown(period.tpot_p95_ms, "ms"), targets_.tpot_ms,
        shown(period.ttft_p95_ms, "ms"), targets_.ttft_ms, shown(period.pages_used_share, "used"),
        shown(period.utilisation, "of 1"), period.running_most, period.waiting);
  last_reason_ = decision.reason;
  return decision;
}

void Tuner::expect(double decode_step_ms, double row_ms) {
  if (mode_ != TunerMode::kSlo) return;
  decode_step_ms_.add(decode_step_ms);
  row_ms_.add(row_ms);
  prompt_rows_.cap(prompt_rows_that_fit());
}

TunerReason Tuner::decide_rule(const TunerPeriod& period) {
  if (!period.utilisation) return TunerReason::kNotMeasured;
  auto reason = TunerReason::kSteady;
  if (*period.utilisation < 0.3) {
    state_ *= 1.5;
    reason = TunerReason::kUtilisationLow;
  } else if (*period.utilisation > 0.8) {
    state_ *= 0.7;
    reason = TunerReason::kUtilisationHigh;
  }
  // Without bounds idle nights would wind it up, and busy days down, for as long as they last.
  state_ = std::clamp(state_, kStateLeast, static_cast<double>(bounds_.running_max));
  running_ = TunedLimit(1, bounds_.running_max,
                        std::max<std::int64_t>(1, static_cast<std::int64_t>(state_)));
  return reason;
}

TunerReason Tuner::decide_slo(const TunerPeriod& period) {
  if (period.running_most <= 0) return TunerReason::kIdle;
  running_.pass_period();
  prompt_rows_.pass_period();
  const bool draining = period.running_most > running_.value();
  if (period.tpot_p95_ms && !std::exchange(mixed_, false)) {
    tpot_ms_.add(std::min(*period.tpot_p95_ms, kOutlier * targets_.tpot_ms));
    over_in_a_row_ = *period.tpot_p95_ms > targets_.tpot_ms ? over_in_a_row_ + 1 : 0;
  }

  if (fit_prompt_rows(period)) return TunerReason::kCostModel;
  if (freeze_ > 0) {
    --freeze_;
    return TunerReason::kFrozen;
  }
  // A request of the batch kind also gives its place up to one that is not, with pages to spare.
  const double pages = period.pages_used_share.value_or(1);
  if ((period.pages_used_share && pages > kPagesPressure) ||
      (period.preemptions > 0 && pages > kPagesRoom)) {
    if (draining) return TunerReason::kDraining;
    running_.lower(std::min(running_.value(), period.running_most), kLowerForMemory);
    freeze_ = kFreezePeriods;
    begin_again();
    return TunerReason::kMemoryPressure;
  }
  if (!draining && throughput_fell(period)) {
    running_.return_to(good_.running);
    begin_again();
    return TunerReason::kThroughputFell;
  }
  if (!tpot_ms_.known(2)) {
    if (draining) return TunerReason::kDraining;
    return period.tpot_p95_ms ? TunerReason::kSettling : TunerReason::kNotMeasured;
  }
  const bool ttft_over = period.ttft_p95_ms && *period.ttft_p95_ms > targets_.ttft_ms;
  if (tpot_ms_.value() > targets_.tpot_ms) {
    // A single period may have been a hiccup of the machine.
    if (over_in_a_row_ < 2) return draining ? TunerReason::kDraining : TunerReason::kSettling;
    return lower_for_tpot(period, ttft_over);
  }
  still_over_ = false;
  prompts_blamed_ = true;
  before_step_.reset();
  if (hold_ > 0) {
    --hold_;
    return TunerReason::kSettling;
  }
  if (draining) return TunerReason::kDraining;
  return raise_what_helps(period, ttft_over);
}

// True: prompt_rows had to go down by so much that what was measured with it says nothing now.
bool Tuner::fit_prompt_rows(const TunerPeriod& period) {
  if (!period.row_ms) return false;
  decode_step_ms_.add(*period.decode_step_ms);
  row_ms_.add(*period.row_ms);
  const std::int64_t before = prompt_rows_.value();
  prompt_rows_.cap(prompt_rows_that_fit());
  if (static_cast<double>(prompt_rows_.value()) > kLower * static_cast<double>(before))
    return false;
  begin_again();
  return true;
}

std::int64_t Tuner::prompt_rows_that_fit() const {
  if (!row_ms_.known(1)) return bounds_.prompt_rows_max;
  const double rows = (kModelShare * targets_.tpot_ms - decode_step_ms_.value()) / row_ms_.value();
  return static_cast<std::int64_t>(std::clamp(rows, static_cast<double>(bounds_.prompt_rows_min),
                                              static_cast<double>(bounds_.prompt_rows_max)));
}

TunerReason Tuner::lower_for_tpot(const TunerPeriod& period, bool ttft_over) {
  const TunerLimits now = limits();
  const bool again = std::exchange(still_over_, true);
  if (!again) lowered_at_ms_ = std::numeric_limits<double>::infinity();
  const TunerLimits tried_from = std::exchange(before_step_, std::nullopt).value_or(now);
  // One bad period is worth the small factor. If it was not enough, the excess says how much is
  // missing: what does not depend on the limit at all makes this err on the side of too little.
  const double factor =
      again ? std::clamp(targets_.tpot_ms / tpot_ms_.value(), kLowerMost, kLower) : kLower;
  // What was just tried is undone; if it failed before, something else may be to blame.
  if (tried_from.running < now.running && !running_.failed_again())
    running_.return_to(tried_from.running);
  if (tried_from.prompt_rows < now.prompt_rows) prompt_rows_.return_to(tried_from.prompt_rows);
  if (limits() == now) {
    const bool prompts = period.prompt_rows_most > 0 && !prompt_rows_.at_least();
    // Prompts first. Whichever it was, if that did not help it is the other's turn.
    if (again && tpot_ms_.value() > kHelped * lowered_at_ms_) prompts_blamed_ = !prompts_blamed_;
    lowered_at_ms_ = tpot_ms_.value();
    const bool quick =
        period.decode_step_ms && *period.decode_step_ms < kBlameShare * targets_.tpot_ms;
    const bool running = period.running_most <= now.running && !running_.at_least() && !quick;
    if (prompts && (prompts_blamed_ || !running))
      prompt_rows_.lower(std::min(now.prompt_rows, period.prompt_rows_most),
                         again ? std::min(factor, kLowerClearly) : factor);
    else if (running)
      running_.lower(std::min(now.running, period.running_most), factor);
  }
  if (limits() == now) {
    if (period.running_most <= now.running)
      return running_.at_least() ? TunerReason::kTargetImpossible : TunerReason::kDisturbed;
    tpot_ms_.restart();
    return TunerReason::kDraining;
  }
  begin_again();
  return ttft_over ? TunerReason::kTpotBeforeTtft : TunerReason::kTpotOver;
}

TunerReason Tuner::raise_what_helps(const TunerPeriod& period, bool ttft_over) {
  const double tpot_share = tpot_ms_.value() / targets_.tpot_ms;
  const double pages = period.pages_used_share.value_or(1);
  // TPOT and pages grow at most in proportion: then the level that was too much is so no longer.
  if (tpot_share * running_.too_much_share() < kRoomShare &&
      pages * running_.too_much_share() < kPagesRoom)
    running_.forget();
  if (tpot_share * prompt_rows_.too_much_share() < kRoomShare) prompt_rows_.forget();
  const TunerLimits before = limits();
  const std::int64_t step = std::max<std::int64_t>(1, before.running / 50);
  const double pages_then =
      pages * static_cast<double>(before.running + step) / static_cast<double>(before.running);
  // A limit that was not reached is no hindrance, and raising it would only wind it up.
  const bool more_may_run = period.waiting > 0 && period.running_most >= before.running &&
                            pages_then < kPagesRoom && running_.can_rise();
  if (tpot_share >= kRoomShare) {
    if (more_may_run && period.prompt_rows_most > 0 && !prompt_rows_.at_least()) {
      prompt_rows_.lower(std::min(prompt_rows_.value(), period.prompt_rows_most), kLower);
      begin_again();
      return TunerReason::kPromptsYield;
    }
    return ttft_over ? TunerReason::kTtftNoRoom : TunerReason::kSteady;
  }
  if (period.prompt_rows_most >= before.prompt_rows && (ttft_over || !more_may_run)) {
    const std::int64_t rows = std::max(bounds_.prompt_rows_min, before.prompt_rows / 20);
    const std::int64_t most = ttft_over ? bounds_.prompt_rows_max : kPromptRowsStart;
    // Less than a step would be the noise of the model.
    if (prompt_rows_that_fit() >= before.prompt_rows + rows) prompt_rows_.raise(rows, most);
  }
  if (more_may_run) {
    if (good_.periods_left == 0 && tokens_s_.known(2))
      good_ = {running_.value(), tokens_s_.value(), kTrialPeriods};
    running_.raise(step, bounds_.running_max);
  }
  if (is_big_step(before.running, running_.value()) ||
      is_big_step(before.prompt_rows, prompt_rows_.value())) {
    before_step_ = before;
    tpot_ms_.restart();
    mixed_ = true;
  }
  if (ttft_over) return limits() != before ? TunerReason::kTtftOver : TunerReason::kTtftNoRoom;
  return limits() != before ? TunerReason::kRoom : TunerReason::kSteady;
}

bool Tuner::throughput_fell(const TunerPeriod& period) {
  if (!period.tokens_s || period.running_most < running_.value()) {
    worse_ = 0;
    return false;
  }
  tokens_s_.add(*period.tokens_s);
  if (good_.periods_left == 0) return false;
  --good_.periods_left;
  if (tokens_s_.value() >= good_.tokens_s)
    good_ = {running_.value(), tokens_s_.value(), kTrialPeriods};
  worse_ = tokens_s_.value() < (1 - kThroughputLoss) * good_.tokens_s ? worse_ + 1 : 0;
  return worse_ == kWorsePeriods && running_.value() > good_.running;
}

// After a limit went down, or back.
void Tuner::begin_again() {
  tpot_ms_.restart();
  tokens_s_.restart();
  before_step_.reset();
  mixed_ = true;
  hold_ = kHoldPeriods;
  good_.periods_left = 0;
  worse_ = 0;
}

}  // namespace hearth::ops

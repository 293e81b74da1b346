// Moves two limits of a running engine so that the machine is used and answers stay quick.
//
//   running      sequences in the batch at once
//   prompt_rows  rows of prompts that one step computes while at least one sequence decodes: by
//                them an arriving prompt stalls the streams that run
//
// A pure value: no threads, no clock, no engine. Once a period (about a second) it is told what was
// measured and answers with the limits. It counts periods, so a late one does no harm.
//
// kRule is the rule as written: utilisation under 30 % multiplies by 1.5, over 80 % by 0.7.
//
// kSlo raises additively and lowers multiplicatively (Chiu and Jain 1989) on what users feel: the
// P95 of the time per output token (TPOT) and of the time to the first token (TTFT). Around that:
//   - A sequence that runs is never evicted, so a lower `running` takes effect as sequences end.
//     Until then nothing that is measured says anything about it.
//   - `prompt_rows` never exceeds what the measured cost of a step says fits into kModelShare of
//     the target, so that a tight target is met at once; feedback trims what the model misses.
//   - TPOT over its target: `prompt_rows` gives way first, `running` if that did not help. What was
//     raised by much just before is undone instead.
//   - A level that was too much is remembered for kProbePeriods. Meanwhile the limit grows no
//     further than half way back to it: that is what keeps it from hunting.
// docs/tuner.md says what that looks like from outside.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::ops {

enum class TunerMode : std::uint8_t { kOff, kRule, kSlo };

struct TunerLimits {
  std::int64_t running = 1;
  std::int64_t prompt_rows = 1;
  bool operator==(const TunerLimits&) const = default;
};

struct TunerBounds {
  // The least is 1; of kSlo 2, so that beside one long answer prompts always get on.
  std::int64_t running_max = 64;
  std::int64_t running_least(TunerMode mode) const {
    return mode == TunerMode::kSlo ? std::min<std::int64_t>(2, running_max) : 1;
  }
  std::int64_t prompt_rows_max = 4096;
  std::int64_t prompt_rows_min = 12;
};

struct TunerTargets {  // of the 95th percentiles
  double tpot_ms = 250;
  double ttft_ms = 5000;
};

// What was measured in one period. A number that is absent, negative or not finite (a clock that
// went strange) is not known: the tuner does nothing on account of it.
struct TunerPeriod {
  std::optional<double> tpot_p95_ms{};       // no token followed another in the period: absent
  std::optional<double> ttft_p95_ms{};       // submission to first token, of those that came in it
  std::optional<double> tokens_s{};          // rows computed a second, prompts and output
  std::optional<double> utilisation{};       // of the peak, 0 to 1; kRule only
  std::optional<double> pages_used_share{};  // the most in it, 0 to 1, without what is only kept
  std::int64_t preemptions = 0;              // in it
  std::int64_t running_most = 0;             // sequences at once
  std::int64_t waiting = 0;                  // requests, at its end
  std::int64_t prompt_rows_most = 0;         // in one step beside a sequence that decodes
  // A step takes decode_step_ms + row_ms * (rows of prompts), as fitted to recent steps.
  std::optional<double> decode_step_ms{};
  std::optional<double> row_ms{};
};

enum class TunerReason : std::uint8_t {
  kOff,
  kIdle,              // nothing ran
  kNotMeasured,       // what the decision needs is not known
  kSteady,            // nothing to change
  kUtilisationLow,    // kRule: raised
  kUtilisationHigh,   // kRule: lowered
  kRoom,              // raised: requests wait and every target is kept
  kTtftOver,          // raised: TTFT is over, TPOT has room
  kTtftNoRoom,        // TTFT is over and no limit could help: too much load for the targets
  kPromptsYield,      // prompt_rows lowered, so that more may run
  kCostModel,         // prompt_rows lowered to what the cost of a step allows
  kTpotOver,          // lowered
  kTpotBeforeTtft,    // lowered, though TTFT is over as well: who reads already comes first
  kDisturbed,         // TPOT is over, but not by what the limits could change
  kTargetImpossible,  // both limits are at their least and TPOT is still over
  kDraining,          // more run than may: waiting for them to end
  kSettling,          // a limit moved lately: measuring what that did
  kMemoryPressure,    // lowered: pages ran out
  kFrozen,            // after that
  kThroughputFell,    // back to the level before: more at once did less
};

// Stable and snake_case, for a metric's label: "target_impossible".
std::string_view name(TunerReason reason);

struct TunerDecision {
  TunerLimits limits;
  TunerReason reason = TunerReason::kSteady;
  // One line for the log; empty unless the limits changed or the reason is another than last time.
  std::string text;
};

// The mean of the samples since the last restart, in which old ones fade.
class FadingMean {
 public:
  explicit FadingMean(double share) : share_(share) {}
  void add(double sample);
  void restart() { samples_ = 0; }
  bool known(std::int64_t samples) const { return samples_ >= samples; }
  double value() const { return value_; }

 private:
  double share_;  // of the newest sample, once there are 1 / share_
  double value_ = 0;
  std::int64_t samples_ = 0;
};

// A limit that goes up by steps and down by factors, and remembers what was too much.
class TunedLimit {
 public:
  static constexpr std::int64_t kProbePeriods = 60;       // twice as many each time, up to
  static constexpr std::int64_t kProbePeriodsMost = 240;  // this, at about the same level

  TunedLimit(std::int64_t least, std::int64_t most, std::int64_t start)
      : least_(least), most_(most), value_(start) {}

  std::int64_t value() const { return value_; }
  bool at_least() const { return value_ == least_; }
  void pass_period() { probe_in_ -= probe_in_ > 0; }
  void cap(std::int64_t most);  // without a memory of it
  void lower(std::int64_t too_much, double factor);
  void return_to(std::int64_t good);  // what it is now was tried and was too much
  bool can_rise() const { return value_ < highest(); }
  bool raise(std::int64_t step, std::int64_t most);

  // How many times its value the level is that was too much.
  double too_much_share() const {
    return static_cast<double>(too_much_) / static_cast<double>(value_);
  }
  bool failed_again() const { return patience_ > kProbePeriods; }
  void forget();  // times have changed; not what was tried, nor what failed again

 private:
  std::int64_t highest() const { return probe_in_ > 0 ? ceiling_ : most_; }
  void remember(std::int64_t too_much);

  std::int64_t least_;
  std::int64_t most_;
  std::int64_t value_;
  std::int64_t too_much_ = 0;
  std::int64_t ceiling_ = 0;  // while probe_in_ > 0
  std::int64_t probe_in_ = 0;
  std::int64_t patience_ = 0;  // what probe_in_ began with
  bool tried_ = false;
  bool risen_ = false;  // since then
};

class Tuner {
 public:
  static constexpr double kStateStart = 4;  // kRule
  static constexpr double kStateLeast = 1e-3;
  static constexpr std::int64_t kPromptRowsStart = 512;  // kSlo
  static constexpr double kRoomShare = 0.9;              // of a target, under which limits rise
  static constexpr double kModelShare = 0.65;
  // Of the target: where a step without prompts takes less, who runs at once is not to blame.
  static constexpr double kBlameShare = 0.35;
  static constexpr double kPagesRoom = 0.85;
  static constexpr double kPagesPressure = 0.95;
  static constexpr std::int64_t kHoldPeriods = 3;
  static constexpr std::int64_t kFreezePeriods = 10;
  static constexpr double kBigStep = 0.05;           // what the fading mean can't follow
  static constexpr std::int64_t kTrialPeriods = 20;  // how long a throughput is one to compare with

  // Errors: "invalid_tuner" for targets that are not positive numbers and bounds that are inverted.
  static Result<Tuner> create(TunerMode mode, TunerBounds bounds, TunerTargets targets);

  // What to begin with, before the first period: kOff and kRule leave prompt_rows at its most.
  TunerLimits limits() const { return {running_.value(), prompt_rows_.value()}; }
  TunerDecision decide(const TunerPeriod& period);

  // What a step is thought to cost before any was measured, both > 0: kSlo begins with as many
  // prompt rows as fit.
  void expect(double decode_step_ms, double row_ms);

 private:
  Tuner(TunerMode mode, TunerBounds bounds, TunerTargets targets);
  TunerReason decide_rule(const TunerPeriod& period);
  TunerReason decide_slo(const TunerPeriod& period);
  TunerReason lower_for_tpot(const TunerPeriod& period, bool ttft_over);
  TunerReason raise_what_helps(const TunerPeriod& period, bool ttft_over);
  bool fit_prompt_rows(const TunerPeriod& period);
  bool throughput_fell(const TunerPeriod& period);
  std::int64_t prompt_rows_that_fit() const;
  void begin_again();

  TunerMode mode_;
  TunerBounds bounds_;
  TunerTargets targets_;
  TunerReason last_reason_ = TunerReason::kSteady;

  double state_ = kStateStart;  // kRule

  TunedLimit running_;
  TunedLimit prompt_rows_;
  FadingMean tpot_ms_{0.3};
  std::int64_t over_in_a_row_ = 0;  // periods in which TPOT was over its target
  FadingMean decode_step_ms_{0.5};
  FadingMean row_ms_{0.5};
  FadingMean tokens_s_{0.3};
  bool mixed_ = false;          // the period that comes is partly of the limits before
  bool still_over_ = false;     // TPOT, since it made a limit go down
  bool prompts_blamed_ = true;  // for it
  double lowered_at_ms_ = 0;    // TPOT when prompt_rows was last lowered for it
  // Before the last big step up, while what that did is being measured.
  std::optional<TunerLimits> before_step_;
  std::int64_t hold_ = 0;
  std::int64_t freeze_ = 0;
  struct {
    std::int64_t running = 0;
    double tokens_s = 0;
    std::int64_t periods_left = 0;
  } good_;                  // the best throughput lately, and with what
  std::int64_t worse_ = 0;  // periods in a row
};

}  // namespace hearth::ops

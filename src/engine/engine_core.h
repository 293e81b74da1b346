// All that an engine decides between a request and its events, on one thread and without a lock, a
// model or a clock of its own: LocalEngine runs it on a model, the simulator of the tests on a cost
// model.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "engine/messages.h"
#include "engine/period.h"
#include "engine/runner.h"
#include "engine/scheduler.h"
#include "engine/speculation.h"
#include "engine/step_cost.h"

namespace hearth::engine {

// A step that takes longer ends after the pass in which it does: deadlines are looked at between
// steps.
inline constexpr std::int64_t kStepNs = 250'000'000;

// Freed pages that are zeroed after each step: under a millisecond.
inline constexpr std::int64_t kCleanBytes = 2 << 20;

struct CoreOptions {
  std::int64_t context = 0;  // prompt + output tokens of one choice
  std::vector<TokenId> eos;
  SchedulerLimits scheduler;
  bool speculate = true;             // engine/speculation.h
  std::shared_ptr<Drafter> drafter;  // for that; null: none
  UnitTimes unit_times;
  std::optional<LiveLimits> limits;  // to begin with; else as `scheduler` has it
  Tune tune = nullptr;               // asked after each period in which something ran
};

class EngineCore {
 public:
  EngineCore(std::unique_ptr<KvPool> pool, std::unique_ptr<Runner> runner, CoreOptions options,
             const Clock& clock);

  void enter_thread() { runner_->enter_thread(); }
  // From here on it is owed as many ends as it has choices.
  void submit(std::shared_ptr<RequestState> state);
  void cancel(RequestId id, std::int32_t choice);  // -1: all; unknown ids are ignored
  // What runs and waits past its deadline ends; the next step is planned.
  void plan();
  // The planned step is computed, pass by pass; before a further pass `interrupted` is asked
  // whether there is news: then, or after kStepNs, the rest is left to the next plan.
  void compute(const std::function<bool()>& interrupted);

  void end_all(FinishReason reason, const std::optional<Error>& error);

  // All that the requests that have ended left in the cache, but what is kept, is zeroed now.
  void clean() { pool_->clean(); }

  bool idle() const { return scheduler_.idle(); }
  std::int64_t waiting_tokens() const { return scheduler_.waiting_tokens(); }
  const KvPool& pool() const { return *pool_; }
  void fill(EngineStats& stats) const;  // but for what it does not know: healthy, pages_total
  void check_integrity() const { scheduler_.check_integrity(); }

  // Called when the last choice of a request has ended.
  std::function<void(std::int64_t now_ns)> on_request_end = [](std::int64_t) {};

 private:
  void expire(std::int64_t now);
  void run_pass(const std::vector<Slice>& pass, std::vector<Sampled>& sampled);
  void note_step(std::int64_t streams, double prompt_rows);
  void end_period(std::int64_t now);
  void accept_all(const std::vector<Sampled>& sampled, std::int64_t now);
  bool accept(const Sampled& sampled, std::int64_t now);
  void fork_choices(Sequence& origin);
  void finish_cancelled_early(const std::shared_ptr<RequestState>& owner, std::int64_t now);
  void finish(Sequence& sequence, FinishReason reason, std::optional<Error> error,
              std::optional<TokenOut> token, std::int64_t now, std::vector<float> embedding = {});
  std::int64_t now_ns() const { return clock_.now().time_since_epoch().count(); }

  const CoreOptions options_;
  const Clock& clock_;
  const std::unique_ptr<KvPool> pool_;
  const std::unique_ptr<Runner> runner_;
  Scheduler scheduler_;
  std::vector<Slice> planned_;
  Speculation speculation_;
  StepCost cost_;  // of passes
  Period period_;  // the one that is going on
  std::int64_t period_begun_ns_ = 0;
  std::int64_t streams_most_ = 0;  // answers that went on in one step of it
  double mixed_rows_ = 0;          // of prompts in its steps with both
  double mixed_s_ = 0;             // that these steps took longer for that
  Work work_before_;               // what had been done when it began
  std::int64_t preemptions_before_ = 0;
  EngineStats stats_;  // of it what only grows, and the limits
};

}  // namespace hearth::engine

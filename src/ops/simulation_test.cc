// Ten thousand random lives of an engine: arrivals, lengths, shared beginnings, tenants, cancels,
// deadlines, faults and too few pages, with every kind of tuner, guessing or not.
#include <gtest/gtest.h>

#include "base/log.h"
#include "ops/engine_tuner.h"
#include "ops/simulation_fixture.h"

namespace hearth::ops::simulation {
namespace {

using engine::FinishReason;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr unsigned kTraces = 400;
#else
constexpr unsigned kTraces = 10'000;
#endif
#endif
constexpr unsigned kShards = 10;

struct Totals {
  std::int64_t requests = 0, cancelled = 0, failed = 0, preempted = 0, accepted = 0, hits = 0;
  std::int64_t waits_checked = 0;
};

struct Asked {
  engine::GenerateRequest request;
  std::shared_ptr<Listener> listener;  // null: the engine had failed before
  std::int64_t rows_then = 0;          // that had been computed when it came
  std::int64_t work_then = 0;          // at most, of what was there already
  bool to_be_cancelled = false;
  std::int64_t submitted_ns = 0;
};

// At most, in rows, with what is computed twice after one preemption.
std::int64_t work_of(const engine::GenerateRequest& r) {
  return 2 * (static_cast<std::int64_t>(r.prompt.size()) + r.max_tokens) * r.choices;
}

class Trace {
 public:
  Trace(unsigned seed, Totals& totals) : random_(seed), totals_(totals) {
    Simulation::Options options;
    options.seed = seed;
    options.pages = in(6, 60);
    options.window = in(0, 3) == 0 ? in(1, 20) : 0;
    options.kept_bytes = in(0, 3) == 0 ? in(0, 20) * 64 : 1 << 20;
    options.core.eos = {2};
    options.core.speculate = in(0, 1) == 0;
    options.core.scheduler = {
        in(0, 2) == 0 ? in(1, 8) : in(16, 600), in(1, 12),
        in(0, 4) == 0 ? engine::Admission::kShortest : engine::Admission::kFair};
    options.costs.pass_s = static_cast<double>(in(1, 100)) * 0.001;
    options.costs.row_s = in(0, 1) == 0 ? 1e-5 : 1e-3;
    options.costs.noise = static_cast<double>(in(0, 5)) * 0.1;
    running_max_ = options.core.scheduler.running_max;
    batch_ = options.core.scheduler.batch_tokens_max;
    set_tuner(options.core);
    flex_ = in(0, 2) == 0;
    tenants_ = in(0, 1) == 0 ? 1 : in(2, 4);
    fair_alone_ = tenants_ == 1 && options.core.scheduler.admission == engine::Admission::kFair;
    simulation_ = std::make_unique<Simulation>(std::move(options));
    if (in(0, 9) == 0) simulation_->runner().fails_after = in(0, 200);
    plan_arrivals();
  }

  void run() {
    std::int64_t work = 100;
    for (const Asked& a : asked_) work += work_of(a.request);
    healthy_ = simulation_->run(100 + 8 * work);
    if (::testing::Test::HasFailure()) return;
    check_ends();
    if (healthy_ && fair_alone_ && !flex_) check_waits();
    EXPECT_TRUE(simulation_->core().idle());
    simulation_->core().check_integrity();
    const engine::EngineStats stats = simulation_->stats();
    EXPECT_EQ(stats.pages_used, 0);
    EXPECT_EQ(stats.running + stats.waiting, 0);
    // What is not kept is zeroed.
    EXPECT_LE(simulation_->cache().dirty_pages(), stats.pages_kept);
    totals_.preempted += stats.preemptions;
    totals_.accepted += stats.drafts_accepted;
    totals_.hits += stats.prefix_hits;
  }

 private:
  std::int64_t in(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }

  void set_tuner(engine::CoreOptions& options) {
    constexpr TunerMode kModes[] = {TunerMode::kOff, TunerMode::kRule, TunerMode::kSlo};
    const std::int64_t kind = in(0, 3);
    if (kind == 3) {
      options.tune = [this](const engine::Period& period) { return tune(period); };
      return;
    }
    const TunerTargets targets = {static_cast<double>(in(1, 400)),
                                  static_cast<double>(in(1, 9999))};
    auto tuner = Tuner::create(kModes[kind], {running_max_, batch_, 1}, targets);
    ASSERT_TRUE(tuner);
    options.limits = {tuner->limits().running, tuner->limits().prompt_rows};
    options.unit_times = {options.speculate ? 1e-4 : 1e-6, 1e-5, 1e-3, 1e-9};
    options.tune = [this, decide = tune_engine(std::move(*tuner), "m")](const engine::Period& p) {
      const engine::Tuning tuning = decide(p);
      EXPECT_TRUE(tuning.limits.running >= 1 && tuning.limits.running <= running_max_);
      EXPECT_TRUE(tuning.limits.prompt_rows >= 1 && tuning.limits.prompt_rows <= batch_);
      return tuning;
    };
  }

  // Any limits within the bounds must do.
  engine::Tuning tune(const engine::Period& period) {
    EXPECT_GT(period.seconds, 0);
    EXPECT_GE(period.running_most, 1);
    EXPECT_LE(period.running_most, running_max_);
    EXPECT_LE(period.pages_used_most, 1);
    EXPECT_LE(period.work.busy_ns, static_cast<std::int64_t>(1.0001e9 * period.seconds));
    return {{in(1, running_max_), in(1, batch_)}, "chance"};
  }

  void plan_arrivals() {
    const std::int64_t n = in(1, 30);
    const double spread = in(0, 2) == 0 ? 0. : static_cast<double>(in(1, 200)) * 0.1;
    for (std::int64_t i = 0; i < n; ++i) {
      Asked asked;
      engine::GenerateRequest& r = asked.request;
      r.id = static_cast<engine::RequestId>(i + 1);
      const std::int64_t tenant = in(1, tenants_);
      r.identity = r.tenant_salt = std::string(1, static_cast<char>('a' + tenant));
      r.weight = static_cast<double>(in(1, 3));
      r.choices = in(0, 5) == 0 ? static_cast<std::int32_t>(in(2, 3)) : 1;
      const std::int64_t longest = simulation_->context - 1;
      const std::int64_t size =
          in(0, 3) == 0 ? in(1, longest) : in(1, std::min<std::int64_t>(longest, 20));
      r.max_tokens = static_cast<std::int32_t>(in(1, in(0, 3) == 0 ? 60 : 12));
      r.ignore_eos = in(0, 1) == 0;
      if (flex_ && in(0, 2) == 0) r.priority = engine::Priority::kBatch;
      if (in(0, 9) == 0) r.sampling.presence_penalty = 1.f;
      // Some begin alike.
      const TokenId common = static_cast<TokenId>(in(0, 2));
      const std::int64_t alike = in(0, 1) == 0 ? in(0, size) : 0;
      for (std::int64_t t = 0; t < size; ++t)
        r.prompt.push_back(t < alike ? 100 + common : static_cast<TokenId>(in(3, 9)));
      const double when = spread * static_cast<double>(in(0, 1000)) / 1000;
      if (in(0, 12) == 0)  // in nanoseconds of the clock; some have passed already
        r.deadline_ns =
            1'000'000'000 + static_cast<std::int64_t>(when * 1e9) + in(-50, 2000) * 1'000'000;
      if (in(0, 25) == 0) simulation_->runner().not_finite[r.id] = in(0, 10);
      asked_.push_back(std::move(asked));
      const std::size_t index = asked_.size() - 1;
      simulation_->at(when, [this, index] {
        Asked& a = asked_[index];
        a.rows_then = simulation_->runner().rows;
        a.submitted_ns = simulation_->now_ns();
        for (const Asked& other : asked_)
          if (other.listener && !other.listener->ended()) a.work_then += work_of(other.request);
        a.listener = simulation_->submit(a.request);
      });
      if (in(0, 5) == 0) {
        asked_.back().to_be_cancelled = true;
        const auto choice = in(0, 1) == 0 ? -1 : static_cast<std::int32_t>(in(0, 2));
        const engine::RequestId whom = in(0, 9) == 0 ? 1000 : asked_.back().request.id;
        simulation_->at(when + static_cast<double>(in(0, 1000)) / 1000,
                        [this, whom, choice] { simulation_->core().cancel(whom, choice); });
      }
    }
  }

  void check_ends() {
    for (const Asked& a : asked_) {
      if (!a.listener) {
        EXPECT_FALSE(healthy_);
        continue;
      }
      ++totals_.requests;
      const engine::GenerateRequest& r = a.request;
      const auto fault = simulation_->runner().not_finite.find(r.id);
      if (r.deadline_ns > 0)  // looked at between two steps, of two passes at most
        EXPECT_LE(a.listener->ended_ns, std::max(r.deadline_ns, a.submitted_ns) +
                                            2 * simulation_->runner().longest_pass_ns);
      const std::int64_t most = std::min<std::int64_t>(
          r.max_tokens, simulation_->context - static_cast<std::int64_t>(r.prompt.size()));
      for (const Listener::Told& told : a.listener->told()) {
        ASSERT_TRUE(told.finish) << "request " << r.id << " was lost";
        switch (*told.finish) {
          case FinishReason::kLength:
            EXPECT_EQ(told.tokens, most);
            break;
          case FinishReason::kCancelled:
            EXPECT_TRUE(a.to_be_cancelled);
            ++totals_.cancelled;
            break;
          case FinishReason::kError:
            ++totals_.failed;
            ASSERT_TRUE(told.error);
            if (told.error->code == "numeric_error")
              EXPECT_TRUE(fault != simulation_->runner().not_finite.end() &&
                          told.tokens == fault->second);
            else if (told.error->code == "deadline_exceeded")
              EXPECT_GT(r.deadline_ns, 0);
            else
              EXPECT_FALSE(healthy_) << told.error->code;
            break;
          case FinishReason::kStop:  // no answer has an end-of-text token
            ADD_FAILURE() << "request " << r.id << " has stopped";
        }
      }
    }
  }

  // With one tenant and one priority: before a request begins, no more is computed than what was
  // there already and what may pass it: shorter ones that came while it was young.
  void check_waits() {
    const auto rank = [](const Asked& a) {
      return a.rows_then + engine::kPatience * static_cast<std::int64_t>(a.request.prompt.size());
    };
    for (const Asked& a : asked_) {
      const auto started = simulation_->runner().started.find(a.request.id);
      if (started == simulation_->runner().started.end()) continue;  // cancelled before
      std::int64_t bound = a.work_then + 2 * batch_;
      for (const Asked& other : asked_)
        if (&other != &a && other.listener && other.rows_then >= a.rows_then &&
            rank(other) <= rank(a) + batch_)
          bound += work_of(other.request);
      EXPECT_LE(started->second - a.rows_then, bound) << "request " << a.request.id;
      ++totals_.waits_checked;
    }
  }

  std::mt19937 random_;
  Totals& totals_;
  std::unique_ptr<Simulation> simulation_;
  std::vector<Asked> asked_;
  std::int64_t running_max_ = 0;
  std::int64_t batch_ = 0;
  std::int64_t tenants_ = 1;
  bool fair_alone_ = false;
  bool flex_ = false;
  bool healthy_ = true;
};

class Traces : public ::testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Shards, Traces, ::testing::Range(0u, kShards));

TEST_P(Traces, NobodyIsLostNothingLeaksAndEverybodyEndsOnce) {
  log::set_level("off");  // each answer that is not a number is an error
  Totals totals;
  for (unsigned i = 0; i < kTraces / kShards; ++i) {
    const unsigned seed = GetParam() * (kTraces / kShards) + i;
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    Trace(seed, totals).run();
    if (HasFailure()) return;
  }
  // What was to be met has been met.
  EXPECT_GT(totals.requests, kTraces / kShards * 8);
  EXPECT_GT(totals.cancelled, kTraces / kShards / 4);
  EXPECT_GT(totals.failed, kTraces / kShards / 4);
  EXPECT_GT(totals.preempted, kTraces / kShards / 4);
  EXPECT_GT(totals.accepted, kTraces / kShards / 4);
  EXPECT_GT(totals.hits, kTraces / kShards);
  EXPECT_GT(totals.waits_checked, kTraces / kShards);
}

}  // namespace
}  // namespace hearth::ops::simulation

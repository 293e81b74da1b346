// For the tests of this folder: an engine's scheduler, cache and tuner on a model of costs and a
// clock of its own. Hours pass in milliseconds, and the same seed is the same run to the bit.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine_core.h"
#include "testing/fake_clock.h"

namespace hearth::ops::simulation {

using engine::TokenId;

// A cache that remembers for each place which text has been computed there.
class TextCache final : public backend::KvCache {
 public:
  TextCache(std::int64_t page_tokens, const std::vector<std::int64_t>& pages)
      : page_tokens_(page_tokens) {
    for (std::int64_t n : pages) places_.emplace_back(static_cast<std::size_t>(n * page_tokens), 0);
  }

  std::int64_t page_tokens() const override { return page_tokens_; }
  std::int64_t pages(std::size_t group) const override {
    return static_cast<std::int64_t>(places_.at(group).size()) / page_tokens_;
  }
  std::int64_t page_bytes(std::size_t) const override { return 64; }
  void zero_page(std::size_t group, std::int32_t page) override {
    for (std::int64_t i = 0; i < page_tokens_; ++i) at(group, page, i) = 0;
  }
  void copy_page(std::size_t group, std::int32_t from, std::int32_t to) override {
    for (std::int64_t i = 0; i < page_tokens_; ++i) at(group, to, i) = at(group, from, i);
  }
  // The hash of the text up to there; 0: zeroed.
  std::uint64_t& at(std::size_t group, std::int32_t page, std::int64_t place) {
    return places_.at(group).at(static_cast<std::size_t>(page * page_tokens_ + place));
  }
  std::int64_t dirty_pages() {
    std::int64_t n = 0;
    for (std::size_t g = 0; g < places_.size(); ++g)
      for (std::int32_t p = 0; p < pages(g); ++p) {
        bool dirty = false;
        for (std::int64_t i = 0; i < page_tokens_; ++i) dirty = dirty || at(g, p, i) != 0;
        n += dirty ? 1 : 0;
      }
    return n;
  }

 private:
  std::int64_t page_tokens_;
  std::vector<std::vector<std::uint64_t>> places_;
};

inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = (a ^ (b + 0x9e3779b97f4a7c15u)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 29)) * 0x94d049bb133111ebu;
  return (x ^ (x >> 32)) | 1;
}

// What a request says at a place of its answer: few words, so that guessing is worth a try.
inline TokenId word(engine::RequestId request, std::int32_t choice, std::int64_t index) {
  const auto place = static_cast<std::uint64_t>(index % 5);
  return static_cast<TokenId>(10 + mix(request * 64 + static_cast<unsigned>(choice), place) % 5);
}

// What a pass takes: seconds.
struct Costs {
  double pass_s = 0.01;
  double row_s = 0.001;
  double seen_token_s = 1e-6;  // of keys and values
  double noise = 0.1;          // as a share, either way
};

class CostRunner final : public engine::Runner {
 public:
  CostRunner(testing::FakeClock& clock, Costs costs, unsigned seed)
      : clock_(clock), costs_(costs), random_(seed) {}

  void run(std::span<const engine::Slice> slices, engine::KvPool& pool,
           std::vector<engine::Sampled>& sampled) override {
    if (fails_after-- == 0) throw std::bad_alloc();
    double seconds = costs_.pass_s;
    for (const engine::Slice& slice : slices) {
      engine::Sequence& s = *slice.sequence;
      const auto drafts = slice.finishes() ? static_cast<std::int64_t>(s.drafts.size()) : 0;
      seconds += costs_.row_s * static_cast<double>(slice.rows + drafts) +
                 costs_.seen_token_s * static_cast<double>(s.computed);
      rows += slice.rows + drafts;
      started.try_emplace(s.owner->request.id, rows_before_);
      compute(s, slice.rows, drafts, pool);
      if (slice.finishes())
        for (std::int64_t i = 0; i <= drafts; ++i) sampled.push_back(sample(s, i));
    }
    rows_before_ = rows;
    std::uniform_real_distribution<double> noise(1 - costs_.noise, 1 + costs_.noise);
    const auto taken = static_cast<std::int64_t>(1e9 * seconds * noise(random_));
    clock_.advance(std::chrono::nanoseconds(taken));
    longest_pass_ns = std::max(longest_pass_ns, taken);
  }

  std::int64_t longest_pass_ns = 0;
  std::int64_t fails_after = -1;                         // passes; < 0: never
  std::map<engine::RequestId, std::int64_t> not_finite;  // from which token of the answer on
  std::int64_t rows = 0;                                 // of all passes
  std::map<engine::RequestId, std::int64_t> started;     // rows before its first pass

 private:
  // Each place that a row looks at must hold what this very text has there, and no other's.
  void compute(const engine::Sequence& s, std::int64_t rows_now, std::int64_t drafts,
               engine::KvPool& pool) {
    auto& cache = dynamic_cast<TextCache&>(pool.cache());
    const std::int64_t size = cache.page_tokens();
    const std::int64_t end = s.computed + rows_now + drafts;
    std::uint64_t text = mix(0, std::hash<std::string>{}(s.owner->request.tenant_salt));
    for (std::int64_t p = 0; p < end; ++p) {
      const auto i = static_cast<std::size_t>(p);
      const TokenId token = i < s.tokens.size() ? s.tokens[i] : s.drafts[i - s.tokens.size()];
      text = mix(text, static_cast<std::uint64_t>(token));
      for (std::size_t g = 0; g < s.pages.groups.size(); ++g) {
        const std::int64_t window = s.pages.windows[g];
        if (window > 0 && p <= s.computed - window) continue;
        const std::int32_t page = s.pages.groups[g].at(static_cast<std::size_t>(p / size));
        ASSERT_GE(page, 0) << "position " << p << " of " << end;
        if (p >= s.computed)
          cache.at(g, page, p % size) = text;
        else
          ASSERT_EQ(cache.at(g, page, p % size), text) << "position " << p << " of " << end;
      }
    }
  }

  engine::Sampled sample(engine::Sequence& s, std::int64_t after_drafts) const {
    engine::Sampled out;
    out.sequence = &s;
    out.after_drafts = after_drafts;
    const engine::RequestId id = s.owner->request.id;
    const std::int64_t index = s.generated() + after_drafts;
    const auto fault = not_finite.find(id);
    const bool good = fault == not_finite.end() || index < fault->second;
    out.token = good ? word(id, s.choice, index) : -1;
    out.out.id = out.token;
    return out;
  }

  testing::FakeClock& clock_;
  const Costs costs_;
  std::mt19937 random_;
  std::int64_t rows_before_ = 0;
};

// What a request was told.
class Listener final : public engine::EventSink {
 public:
  explicit Listener(const engine::GenerateRequest& request)
      : id_(request.id), told_(static_cast<std::size_t>(request.choices)) {}

  void on_event(engine::Event event) override {
    Told& told = told_.at(static_cast<std::size_t>(event.choice));
    EXPECT_FALSE(told.finish) << "an event after the end";
    if (event.token) {
      EXPECT_EQ(event.token->id, word(id_, event.choice, told.tokens));
      ++told.tokens;
    }
    if (event.finish) {
      told.finish = event.finish;
      told.error = event.error;
      queued_ns = event.timings.queued_ns;
      ended_ns = event.made_ns;
    }
  }

  struct Told {
    std::int64_t tokens = 0;
    std::optional<engine::FinishReason> finish;
    std::optional<Error> error;
  };
  const std::vector<Told>& told() const { return told_; }
  bool ended() const {
    return std::all_of(told_.begin(), told_.end(), [](const Told& t) { return bool(t.finish); });
  }
  std::int64_t queued_ns = 0;
  std::int64_t ended_ns = 0;

 private:
  const engine::RequestId id_;
  std::vector<Told> told_;
};

// An engine that is told what happens and when.
class Simulation {
 public:
  struct Options {
    std::int64_t pages = 64;
    std::int64_t page_tokens = 4;
    std::int64_t window = 0;  // > 0: of a second group of layers
    std::int64_t kept_bytes = 1 << 20;
    engine::CoreOptions core;  // its context follows from the pages
    Costs costs;
    unsigned seed = 0;
  };

  explicit Simulation(Options options) {
    std::vector<backend::KvGroupSpec> groups = {{1, 1, 8, 0}};
    std::vector<std::int64_t> pages = {options.pages};
    if (options.window > 0) {
      groups.push_back({1, 1, 8, options.window});
      pages.push_back(options.pages);
    }
    auto cache = std::make_unique<TextCache>(options.page_tokens, pages);
    cache_ = cache.get();
    auto pool = std::make_unique<engine::KvPool>(std::move(cache), groups, options.kept_bytes);
    context = std::min((options.pages - 1) * options.page_tokens, pool->tokens_max());
    options.core.context = context;
    auto runner = std::make_unique<CostRunner>(clock, options.costs, options.seed);
    runner_ = runner.get();
    core_ = std::make_unique<engine::EngineCore>(std::move(pool), std::move(runner),
                                                 std::move(options.core), clock);
  }

  void at(double seconds, std::function<void()> what) {
    events_.emplace(ns(seconds), std::move(what));
  }
  // To be called by what happens.
  std::shared_ptr<Listener> submit(engine::GenerateRequest request) {
    auto listener = std::make_shared<Listener>(request);
    auto state = std::make_shared<engine::RequestState>();
    state->open_choices = request.choices;
    state->submitted_ns = now_ns();
    state->sink = listener;
    state->request = std::move(request);
    core_->submit(std::move(state));
    return listener;
  }

  // Until nothing is left to happen and nothing runs, or the engine has failed; true: it has not.
  // `steps_max`: more of them, and somebody is going round in a circle.
  bool run(std::int64_t steps_max) {
    try {
      while (!events_.empty() || !core_->idle()) {
        if (core_->idle() && events_.begin()->first > now_ns())
          clock.advance(std::chrono::nanoseconds(events_.begin()->first - now_ns()));
        while (due()) {
          const auto what = std::move(events_.begin()->second);
          events_.erase(events_.begin());
          what();
        }
        core_->plan();
        core_->compute([this] { return due(); });
        if (core_->idle()) core_->clean();
        if (++steps % 16 == 0) core_->check_integrity();
        if (steps > steps_max || ::testing::Test::HasFailure()) {
          ADD_FAILURE() << steps << " steps";
          return false;
        }
      }
      return true;
    } catch (const std::bad_alloc&) {  // as LocalEngine::loop does
      core_->end_all(engine::FinishReason::kError,
                     Error{ErrorKind::kExhausted, "engine_failed", "the engine has failed"});
      core_->clean();
      return false;
    }
  }

  engine::EngineCore& core() { return *core_; }
  CostRunner& runner() { return *runner_; }
  TextCache& cache() { return *cache_; }
  engine::EngineStats stats() const {
    engine::EngineStats out;
    core_->fill(out);
    return out;
  }
  std::int64_t now_ns() const { return clock.now().time_since_epoch().count(); }
  double now_s() const { return static_cast<double>(now_ns() - kStart) / 1e9; }

  testing::FakeClock clock;
  std::int64_t context = 0;
  std::int64_t steps = 0;

 private:
  static constexpr std::int64_t kStart = 1'000'000'000;  // of FakeClock
  static std::int64_t ns(double seconds) {
    return kStart + static_cast<std::int64_t>(1e9 * seconds);
  }
  bool due() const { return !events_.empty() && events_.begin()->first <= now_ns(); }

  std::multimap<std::int64_t, std::function<void()>> events_;
  std::unique_ptr<engine::EngineCore> core_;
  CostRunner* runner_ = nullptr;
  TextCache* cache_ = nullptr;
};

}  // namespace hearth::ops::simulation

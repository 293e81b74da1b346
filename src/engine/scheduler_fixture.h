// For the tests of the scheduler: one on a cache of pages of 4 tokens, without a model.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "engine/fake_cache.h"
#include "engine/scheduler.h"

namespace hearth::engine {

inline constexpr std::int64_t kPageTokens = 4;
inline constexpr std::int64_t kKept = 1 << 20;  // bytes: all that nobody uses

inline std::unique_ptr<KvPool> make_pool(std::int64_t pages, std::int64_t window = 0) {
  std::vector<backend::KvGroupSpec> groups = {{1, 1, 8, 0}};
  std::vector<std::int64_t> counts = {pages};
  if (window > 0) {
    groups.push_back({1, 1, 8, window});
    counts.push_back(pages);
  }
  return std::make_unique<KvPool>(std::make_unique<FakeCache>(kPageTokens, counts), groups, kKept);
}

// Its prompt repeats one token; by default one that nobody else's has.
inline std::unique_ptr<Sequence> make_sequence(const KvPool& pool, std::int64_t prompt,
                                               TokenId token = -1) {
  static TokenId unlike = 1000;
  auto s = std::make_unique<Sequence>();
  s->owner = std::make_shared<RequestState>();
  s->tokens.assign(static_cast<std::size_t>(prompt), token >= 0 ? token : ++unlike);
  s->prompt_size = prompt;
  s->pages = pool.make_table();
  return s;
}

// What the engine does with a plan: the rows are computed, complete sequences get a token.
inline void carry_out(Scheduler& scheduler, KvPool& pool, const std::vector<Slice>& slices) {
  for (const Slice& slice : slices) {
    const bool token = slice.finishes();
    slice.sequence->started_ns = 1;
    scheduler.advance(slice);
    if (token) pool.publish("", slice.sequence->tokens, slice.sequence->pages);
    if (token) slice.sequence->tokens.push_back(2);
  }
}

inline std::vector<std::pair<const Sequence*, std::int64_t>> rows_of(
    const std::vector<Slice>& slices) {
  std::vector<std::pair<const Sequence*, std::int64_t>> out;
  for (const Slice& s : slices) out.emplace_back(s.sequence, s.rows);
  return out;
}
using Rows = std::vector<std::pair<const Sequence*, std::int64_t>>;

struct SchedulerFixture {
  SchedulerFixture(std::int64_t pages, SchedulerLimits limits)
      : pool(make_pool(pages)), scheduler(*pool, limits) {}
  Sequence* add(std::int64_t prompt, TokenId token = -1) { return add_request(prompt, {}, token); }
  // Of the request its identity, weight and priority count.
  Sequence* add_request(std::int64_t prompt, GenerateRequest request, TokenId token = -1) {
    auto s = make_sequence(*pool, prompt, token);
    s->owner->request = std::move(request);
    Sequence* out = s.get();
    scheduler.add(std::move(s));
    return out;
  }
  Rows step() {
    const auto slices = scheduler.plan();
    const Rows out = rows_of(slices);
    carry_out(scheduler, *pool, slices);
    scheduler.check_integrity();
    return out;
  }
  std::unique_ptr<KvPool> pool;
  Scheduler scheduler;
};

}  // namespace hearth::engine

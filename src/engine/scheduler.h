// Which rows the next step computes: one thread, one model, one token budget.
//
// Every sequence is a list of tokens of which the first `computed` are in the cache. Decoding is
// the case where one token is missing, prefill the case where many are; preemption sets `computed`
// back to 0. So there is one path for all: each step gives rows to what decodes, then to prompts in
// the order below, until the budget or the pages run out. A sequence that begins takes over the
// pages that the cache of prefixes has for it, and one whose beginning is just being computed for
// another waits for that one step.
//
// Who comes first, of those that wait and of prompts that are being computed:
//   1. what was preempted, since somebody is reading it; then `interactive`; then `batch`;
//   2. the tenant that has had least (engine/fair_shares.h);
//   3. the one with the least rank: the tokens that were computed in all when it came, plus
//      kPatience times its own prompt. So a short prompt passes a longer one that is still young,
//      nobody is passed by what comes after kPatience times his prompt has been computed, and
//      nothing needs a clock. A `batch` request waits for kBatchPatience tokens more, and is then
//      as good as any.
// While something interactive waits for a place or for pages, the newest batch sequence gives its
// own back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "engine/fair_shares.h"
#include "engine/kv_pool.h"
#include "engine/sequence.h"

namespace hearth::engine {

// Which of those that wait comes next: as above, or the textbook's shortest prompt first, which
// knows neither tenants nor priorities and may let a long one starve.
enum class Admission : std::uint8_t { kFair, kShortest };

struct SchedulerLimits {
  std::int64_t batch_tokens_max = 4096;  // rows of one step
  std::int64_t running_max = 64;         // sequences that hold pages
  Admission admission = Admission::kFair;
  // Tokens of context before it with which a prompt's row takes twice as long as without any;
  // 0: not known, all rows count alike.
  double row_doubling = 0;
};

inline constexpr std::int64_t kPatience = 2;
inline constexpr std::int64_t kBatchPatience = 1 << 17;
inline constexpr double kOutputCost = 2;  // of a decoded token, in tokens of a prompt

class Scheduler {
 public:
  Scheduler(KvPool& pool, SchedulerLimits limits)
      : pool_(pool), limits_(limits), live_{limits.running_max, limits.batch_tokens_max} {}

  // From the next plan on. What runs already runs on.
  void set_limits(const LiveLimits& limits) { live_ = limits; }

  void add(std::unique_ptr<Sequence> sequence);
  // Another choice beside a sequence whose prompt is computed: shares its whole pages and runs at
  // once if there is a place, else waits at the front.
  void add_fork(std::unique_ptr<Sequence> fork, const Sequence& origin);

  // The next step's slices, with pages for all their rows. Empty: nothing to do.
  std::vector<Slice> plan();
  // A slice of the plan, or the beginning of one, has been computed.
  void advance(const Slice& slice);
  // The last row of a sequence counts as not computed.
  static void take_back(Sequence& sequence) { --sequence.computed; }
  // How many of a prompt's first rows a slice is worth, by the time it takes: LiveLimits counts in
  // these.
  double prompt_rows_of(const Slice& slice) const {
    return static_cast<double>(slice.rows) * row_weight(*slice.sequence);
  }
  // Pages for rows beyond a sequence's own tokens, if there are any that nobody has to give back.
  bool grow_for_drafts(Sequence& sequence, std::int64_t drafts);

  // Takes a sequence out, wherever it is; its pages are free.
  std::unique_ptr<Sequence> remove(const Sequence* sequence);

  std::vector<Sequence*> all() const;
  std::int64_t running() const { return static_cast<std::int64_t>(running_.size()); }
  std::int64_t waiting() const { return static_cast<std::int64_t>(waiting_.size()); }
  std::int64_t waiting_tokens() const;  // of the prompts that no step has begun
  std::int64_t preemptions() const { return preemptions_; }
  // Prompt tokens of all that began, and how many of these were in the cache of prefixes.
  std::int64_t prefix_queries() const { return prefix_queries_; }
  std::int64_t prefix_hits() const { return prefix_hits_; }
  bool idle() const { return running_.empty() && waiting_.empty(); }

  void check_integrity() const;

 private:
  bool grow(Sequence& sequence, std::int64_t tokens);
  bool is_background(const Sequence& sequence) const;
  bool before(const Sequence& a, const Sequence& b) const;
  std::size_t last_in_line() const;
  void preempt(std::size_t index);
  bool make_room_for(const Sequence& waiting);
  std::int64_t pages_promised() const;
  void admit(std::int64_t budget);
  void begin(Sequence& sequence);
  void adopt(Sequence& sequence);
  void give_back(Sequence& sequence);
  bool is_being_computed(const Sequence& waiting) const;

  KvPool& pool_;
  double row_weight(const Sequence& s) const {
    return limits_.row_doubling > 0 ? 1 + static_cast<double>(s.computed) / limits_.row_doubling
                                    : 1;
  }
  std::int64_t running_max() const { return std::min(limits_.running_max, live_.running); }

  const SchedulerLimits limits_;
  LiveLimits live_;
  std::deque<std::unique_ptr<Sequence>> waiting_;   // in order of arrival
  std::vector<std::unique_ptr<Sequence>> running_;  // in order of admission
  FairShares shares_;
  std::int64_t computed_ = 0;  // rows of all steps: the clock of ranks
  std::int64_t preemptions_ = 0;
  std::int64_t prefix_queries_ = 0;
  std::int64_t prefix_hits_ = 0;
};

}  // namespace hearth::engine

// Which guessed tokens a step verifies (speculative decoding: Leviathan et al., arXiv 2211.17192).
//
// A draft is a row more in the batch. The sampler draws each row with the number that belongs to
// its place in the answer, so that a draft is right exactly if it is what would have been drawn
// without: greedy or not, the text is the same to the bit, and no distribution is touched.
//
// How many: a draft that is the k-th of its sequence is of use with probability p^k, where p is
// learnt for each sequence and for matches of its length. In order of that probability drafts are
// taken while the step's tokens per second grow by them, by what passes of so many rows took so
// far: many while one answer runs alone, few or none in a full batch.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "engine/drafter.h"
#include "engine/scheduler.h"
#include "engine/step_cost.h"

namespace hearth::engine {

class Speculation {
 public:
  // `drafter` may be null: then only the text itself tells.
  explicit Speculation(std::shared_ptr<Drafter> drafter = nullptr) : drafter_(std::move(drafter)) {}

  static constexpr std::int64_t kDraftsMax = 16;      // of a sequence
  static constexpr std::int64_t kStepDraftsMax = 64;  // of all: each has a row of logits

  // Gives drafts to those sequences of a planned step for which it pays.
  void propose(std::span<const Slice> slices, std::int64_t rows_max, std::int64_t context,
               const StepCost& cost, Scheduler& scheduler);
  // What became of a sequence's drafts: the first `accepted` were right. `sequence` is null if it
  // has ended.
  void learn(std::size_t draft_class, Sequence* sequence, std::int64_t drafted,
             std::int64_t accepted);
  // It has ended.
  void forget(const Sequence& sequence) {
    if (drafter_) drafter_->forget(sequence);
  }

 private:
  // By how many tokens before them were alike: 2, 3, 4, 5 to 8, 9 to 16, more; and the drafter's.
  static constexpr std::size_t kClasses = 7;
  static constexpr std::size_t kDrafterClass = 6;
  static constexpr std::int64_t kDrafterMax = 8;  // rounds of a drafter
  static std::size_t class_of(std::int64_t matched);
  double chance(const Sequence& sequence, std::size_t match_class) const;
  void ask_drafter(std::span<DraftJob> jobs, double value, std::int64_t rows, std::int64_t rows_max,
                   const StepCost& cost, Scheduler& scheduler);

  const std::shared_ptr<Drafter> drafter_;
  std::array<DraftRecord, kClasses> classes_{};
};

}  // namespace hearth::engine

#include "engine/speculation.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace hearth::engine {
namespace {

// Old outcomes count for less: of a sequence after about ten steps, of a class after hundreds.
constexpr double kFade = 0.9;
constexpr double kClassFade = 0.998;
// What the class says counts as much as so many drafts of the sequence's own.
constexpr double kPriorDrafts = 3;

struct Candidate {
  Sequence* sequence;
  PromptLookup::Guess guess;
  double chance;  // of each draft, if those before it were right
  double gain;    // that the next one not yet taken is of use
  std::int64_t taken = 0;
};

}  // namespace

std::size_t Speculation::class_of(std::int64_t matched) {
  if (matched <= 4) return static_cast<std::size_t>(matched - 2);
  return matched <= 8 ? 3 : matched <= 16 ? 4 : 5;
}

double Speculation::chance(const Sequence& sequence, std::size_t match_class) const {
  const DraftRecord& of_class = classes_[match_class];
  const double prior = (of_class.right + 1) / (of_class.judged + 2);
  return (sequence.draft_record.right + kPriorDrafts * prior) /
         (sequence.draft_record.judged + kPriorDrafts);
}

void Speculation::propose(std::span<const Slice> slices, std::int64_t rows_max,
                          std::int64_t context, const StepCost& cost, Scheduler& scheduler) {
  std::int64_t rows = 0;
  for (const Slice& slice : slices) rows += slice.rows;
  for (const Slice& slice : slices) slice.sequence->drafts.clear();
  if (!cost.known() || rows >= rows_max) return;

  std::vector<Candidate> candidates;
  for (const Slice& slice : slices) {
    Sequence& s = *slice.sequence;
    const GenerateRequest& request = s.owner->request;
    // Penalties look at tokens that are not there yet.
    if (slice.rows != 1 || !slice.finishes() || s.generated() == 0 || request.embed ||
        has_penalties(request.sampling))
      continue;
    const auto size = static_cast<std::int64_t>(s.tokens.size());
    const std::int64_t most = std::min(
        {kDraftsMax, request.max_tokens - s.generated() - 1, context - size - 1, rows_max - rows});
    Candidate candidate = {&s, s.lookup.guess(s.tokens, most), 0, 0};
    s.draft_record.fade(kFade);
    if (candidate.guess.drafts.empty()) continue;
    s.draft_class = class_of(candidate.guess.matched);
    candidate.chance = chance(s, s.draft_class);
    candidate.gain = candidate.chance;
    candidates.push_back(std::move(candidate));
  }

  // The best so far, and how many drafts it has.
  double value = static_cast<double>(rows);
  double best_rate = value / cost.seconds(rows);
  std::vector<Candidate*> order;
  std::size_t best = 0;
  while (static_cast<std::int64_t>(order.size()) < std::min(kStepDraftsMax, rows_max - rows)) {
    Candidate* next = nullptr;
    for (Candidate& c : candidates)
      if (c.taken < static_cast<std::int64_t>(c.guess.drafts.size()) &&
          (next == nullptr || c.gain > next->gain))
        next = &c;
    if (next == nullptr) break;
    value += next->gain;
    next->gain *= next->chance;
    ++next->taken;
    order.push_back(next);
    const double rate = value / cost.seconds(rows + static_cast<std::int64_t>(order.size()));
    if (rate > best_rate) {
      best_rate = rate;
      best = order.size();
    }
  }
  for (Candidate& c : candidates) c.taken = 0;
  for (std::size_t i = 0; i < best; ++i) ++order[i]->taken;
  for (Candidate& c : candidates) {
    if (c.taken == 0) {
      classes_[c.sequence->draft_class].fade(kClassFade);  // what is not tried is forgotten
      continue;
    }
    if (!scheduler.grow_for_drafts(*c.sequence, c.taken)) continue;
    c.guess.drafts.resize(static_cast<std::size_t>(c.taken));
    c.sequence->drafts = std::move(c.guess.drafts);
  }
}

void Speculation::learn(std::size_t draft_class, DraftRecord* record, std::int64_t drafted,
                        std::int64_t accepted) {
  // After a wrong one nothing is known of the others.
  const auto judged = static_cast<double>(std::min(drafted, accepted + 1));
  DraftRecord& of_class = classes_[draft_class];
  of_class.fade(kClassFade);
  for (DraftRecord* r : {&of_class, record}) {
    if (r == nullptr) continue;
    r->right += static_cast<double>(accepted);
    r->judged += judged;
  }
}

}  // namespace hearth::engine

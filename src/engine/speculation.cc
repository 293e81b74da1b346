#include "engine/speculation.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace hearth::engine {
namespace {

// Old outcomes count for less: of a sequence after some thirty steps, of a class after fifty
// outcomes; and what is not tried is forgotten, so that it is tried again.
constexpr double kFade = 0.97;
constexpr double kClassFade = 0.98;
constexpr double kUntriedFade = 0.995;
// What a sequence gets before any guess was right; then twice what was.
constexpr std::int64_t kFirstDrafts = 4;
// What the class says counts as much as so many drafts of the sequence's own.
constexpr double kPriorDrafts = 2;

// What drafts must promise at least: chances and costs are estimates, and the best of several is
// more often too good than too bad. Without it other text lost up to 5 % where rows are dear.
constexpr double kLeastGain = 1.04;

struct Candidate {
  Sequence* sequence;
  PromptLookup::Guess guess;
  double chance;  // of each draft, if those before it were right
  double gain;    // that the next one not yet taken is of use
  std::int64_t taken = 0;
};

// Tokens a second of a step of so many rows with as many guesses of one sequence as are best for
// it: each of them is right with `chance` and takes `round_s` besides its row.
double rate_with(double chance, std::int64_t most, std::int64_t rows, const StepCost& cost,
                 double round_s) {
  auto value = static_cast<double>(rows);
  double best = value / cost.seconds(rows);
  double gain = 1;
  for (std::int64_t k = 1; k <= most; ++k) {
    value += gain *= chance;
    best = std::max(best, value / (cost.seconds(rows + k) + static_cast<double>(k) * round_s));
  }
  return best;
}

// Takes drafts in order of their gain, as many as make the step's tokens a second most. Returns how
// many these are, and the tokens that are to be expected of the step.
std::pair<std::int64_t, double> take_best(std::vector<Candidate>& candidates, std::int64_t most,
                                          std::int64_t rows, const StepCost& cost) {
  double value = static_cast<double>(rows);
  double best_value = value;
  double best_rate = kLeastGain * value / cost.seconds(rows);
  std::vector<Candidate*> order;
  std::size_t best = 0;
  while (static_cast<std::int64_t>(order.size()) < most) {
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
      best_value = value;
      best = order.size();
    }
  }
  for (Candidate& c : candidates) c.taken = 0;
  for (std::size_t i = 0; i < best; ++i) ++order[i]->taken;
  return {static_cast<std::int64_t>(best), best_value};
}

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
  std::vector<DraftJob> jobs;
  for (const Slice& slice : slices) {
    Sequence& s = *slice.sequence;
    const GenerateRequest& request = s.owner->request;
    // Penalties look at tokens that are not there yet.
    if (slice.rows != 1 || !slice.finishes() || s.generated() == 0 || request.embed ||
        has_penalties(request.sampling) || !s.may_guess)
      continue;
    const auto size = static_cast<std::int64_t>(s.tokens.size());
    const std::int64_t most =
        std::min({kDraftsMax, kFirstDrafts + 2 * s.drafts_accepted,
                  request.max_tokens - s.generated() - 1, context - size - 1, rows_max - rows});
    Candidate candidate = {&s, s.lookup.guess(s.tokens, most), 0, 0};
    s.draft_record.fade(kFade);
    if (!candidate.guess.drafts.empty()) {
      s.draft_class = class_of(candidate.guess.matched);
      candidate.chance = candidate.gain = chance(s, s.draft_class);
    }
    // What the text itself tells costs no time of a drafter's.
    const auto drafts = static_cast<std::int64_t>(candidate.guess.drafts.size());
    if (drafter_ && rate_with(chance(s, kDrafterClass), std::min(most, kDrafterMax), rows, cost,
                              drafter_->round_s(1, cost.seconds(1))) >
                        rate_with(candidate.chance, drafts, rows, cost, 0))
      jobs.push_back({&s, std::min(most, kDrafterMax), {}});
    else if (!candidate.guess.drafts.empty())
      candidates.push_back(std::move(candidate));
  }

  const std::int64_t most = std::min(kStepDraftsMax, rows_max - rows);
  const auto [taken, value] = take_best(candidates, most, rows, cost);
  for (Candidate& c : candidates) {
    if (c.taken == 0) {
      classes_[c.sequence->draft_class].fade(kUntriedFade);
      continue;
    }
    if (!scheduler.grow_for_drafts(*c.sequence, c.taken)) continue;
    c.guess.drafts.resize(static_cast<std::size_t>(c.taken));
    c.sequence->drafts = std::move(c.guess.drafts);
  }
  if (!jobs.empty()) ask_drafter(jobs, value, rows + taken, rows_max, cost, scheduler);
}

// As many rounds as pay: each costs the drafter's time and a row for each of its sequences.
void Speculation::ask_drafter(std::span<DraftJob> jobs, double value, std::int64_t rows,
                              std::int64_t rows_max, const StepCost& cost, Scheduler& scheduler) {
  const auto n = static_cast<std::int64_t>(jobs.size());
  const double round_s = drafter_->round_s(n, cost.seconds(n));
  // What it has not seen yet is paid off over what the answer may still have.
  double unseen_s = 0;
  for (const DraftJob& job : jobs) {
    const std::int64_t unseen = drafter_->unseen(*job.sequence);
    if (unseen <= kDrafterMax + 1) continue;
    const Sequence& s = *job.sequence;
    unseen_s += drafter_->round_s(unseen, cost.seconds(unseen)) /
                static_cast<double>(s.owner->request.max_tokens - s.generated());
  }
  double best_rate = kLeastGain * value / cost.seconds(rows);
  std::int64_t best = 0;
  const std::int64_t most = std::min({kDrafterMax, kStepDraftsMax / n, (rows_max - rows) / n});
  for (std::int64_t k = 1; k <= most; ++k) {
    for (const DraftJob& job : jobs)
      if (job.wanted >= k)
        value += std::pow(chance(*job.sequence, kDrafterClass), static_cast<double>(k));
    const double rate =
        value / (cost.seconds(rows + k * n) + static_cast<double>(k) * round_s + unseen_s);
    if (rate > best_rate) {
      best_rate = rate;
      best = k;
    }
  }
  if (best == 0) {
    classes_[kDrafterClass].fade(kUntriedFade);
    return;
  }
  for (DraftJob& job : jobs) job.wanted = std::min(job.wanted, best);
  drafter_->guess(jobs);
  for (DraftJob& job : jobs) {
    Sequence& s = *job.sequence;
    if (!scheduler.grow_for_drafts(s, static_cast<std::int64_t>(job.drafts.size()))) continue;
    s.draft_class = kDrafterClass;
    s.drafts = std::move(job.drafts);
  }
}

void Speculation::learn(std::size_t draft_class, Sequence* sequence, std::int64_t drafted,
                        std::int64_t accepted) {
  // After a wrong one nothing is known of the others.
  const auto judged = static_cast<double>(std::min(drafted, accepted + 1));
  DraftRecord& of_class = classes_[draft_class];
  of_class.fade(kClassFade);
  for (DraftRecord* r : {&of_class, sequence ? &sequence->draft_record : nullptr}) {
    if (r == nullptr) continue;
    r->right += static_cast<double>(accepted);
    r->judged += judged;
  }
  if (sequence) sequence->drafts_accepted = accepted;
}

}  // namespace hearth::engine

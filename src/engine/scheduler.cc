#include "engine/scheduler.h"

#include <algorithm>
#include <span>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "base/result.h"

namespace hearth::engine {

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  const GenerateRequest& request = sequence->owner->request;
  sequence->rank = computed_ + kPatience * sequence->prompt_size;
  if (request.priority == Priority::kBatch) sequence->rank += kBatchPatience;
  sequence->tenant = &shares_.enter(request.identity);
  waiting_.push_back(std::move(sequence));
}

void Scheduler::add_fork(std::unique_ptr<Sequence> fork, const Sequence& origin) {
  fork->rank = origin.rank;
  fork->tenant = &shares_.enter(fork->owner->request.identity);
  if (running() >= running_max()) {
    fork->preempted = true;  // its text has begun as well
    waiting_.push_front(std::move(fork));
    return;
  }
  // The last prompt token is computed again, for its logits: whole pages before it are shared.
  fork->computed = pool_.share(origin.pages, fork->prompt_size - 1, fork->pages);
  fork->running = true;
  running_.push_back(std::move(fork));
}

// A batch request that has not waited long enough to be as good as any.
bool Scheduler::is_background(const Sequence& sequence) const {
  return limits_.admission == Admission::kFair &&
         sequence.owner->request.priority == Priority::kBatch && computed_ < sequence.rank;
}

bool Scheduler::before(const Sequence& a, const Sequence& b) const {
  if (limits_.admission == Admission::kShortest)
    return std::pair(!a.preempted, a.prompt_size) < std::pair(!b.preempted, b.prompt_size);
  const auto key = [this](const Sequence& s) {
    const bool background = is_background(s);
    return std::tuple(background, background || !s.preempted, s.tenant->had, s.rank);
  };
  return key(a) < key(b);
}

// Whoever gives up its pages first: the newest, of batch requests if there are any. This order
// never turns round for two of them, so the first one always gets on.
std::size_t Scheduler::last_in_line() const {
  for (std::size_t i = running_.size(); i-- > 0;)
    if (is_background(*running_[i])) return i;
  return running_.size() - 1;
}

// It gives its pages back and waits; what it had computed will be found in the cache of prefixes or
// computed again, to the same bits.
void Scheduler::preempt(std::size_t index) {
  std::unique_ptr<Sequence> out = std::move(running_[index]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
  give_back(*out);
  out->running = false;
  out->preempted = true;
  waiting_.push_front(std::move(out));
  ++preemptions_;
}

// Pages for the first `tokens` of a running sequence, taken from those behind it where none are
// free. False: it was itself the last and had to go.
bool Scheduler::grow(Sequence& sequence, std::int64_t tokens) {
  while (!pool_.grow(sequence.pages, tokens)) {
    const std::size_t last = last_in_line();
    const bool itself = running_[last].get() == &sequence;
    // Alone it always fits: submit() has bounded prompt and output by the pool's size.
    HEARTH_CHECK(!itself || running_.size() > 1);
    preempt(last);
    if (itself) return false;
  }
  return true;
}

// Whether most of what this one would have to compute comes with the prompts of this step: then it
// is worth a step of waiting. Asked only while all that come before it end within the step.
bool Scheduler::is_being_computed(const Sequence& waiting) const {
  const auto& own = waiting.tokens;
  return std::any_of(running_.begin(), running_.end(), [&](const auto& other) {
    if (other->missing() == 1 || before(waiting, *other) ||
        other->owner->request.tenant_salt != waiting.owner->request.tenant_salt)
      return false;
    const auto common =
        std::mismatch(own.begin(), own.end() - 1, other->tokens.begin(), other->tokens.end());
    const std::int64_t pages = (common.first - own.begin()) / pool_.page_tokens();
    return (pages * pool_.page_tokens() - waiting.computed) * 2 > waiting.missing();
  });
}

// Takes over the pages that are known to hold its beginning.
void Scheduler::adopt(Sequence& sequence) {
  // The last token is always computed, for its logits.
  const std::span<const TokenId> before_last(sequence.tokens.begin(), sequence.tokens.end() - 1);
  sequence.computed = pool_.adopt(sequence.owner->request.tenant_salt, before_last, sequence.pages);
}

void Scheduler::give_back(Sequence& sequence) {
  pool_.release(sequence.pages);
  sequence.computed = 0;
}

// Sends the newest batch sequence away for one that is not. False: there is none.
bool Scheduler::make_room_for(const Sequence& waiting) {
  if (is_background(waiting) || running_.empty()) return false;
  const std::size_t last = last_in_line();
  if (!is_background(*running_[last])) return false;
  preempt(last);
  return true;
}

void Scheduler::begin(Sequence& sequence) {
  const GenerateRequest& request = sequence.owner->request;
  KvPool::count_hit(sequence.pages);
  if (!sequence.preempted)  // what is computed again is not the tenant's doing
    FairShares::charge(*sequence.tenant, static_cast<double>(sequence.missing()), request.weight);
  if (sequence.choice == 0 && sequence.started_ns == 0) {  // it does not come back
    sequence.cached = sequence.computed;
    prefix_queries_ += sequence.prompt_size;
    prefix_hits_ += sequence.computed;
  }
  sequence.preempted = false;
  sequence.running = true;
}

// What running sequences have yet to take for the tokens that they have.
std::int64_t Scheduler::pages_promised() const {
  std::int64_t pages = 0;
  for (const auto& s : running_)
    pages += pool_.pages_short(s->pages, static_cast<std::int64_t>(s->tokens.size()));
  return pages;
}

void Scheduler::admit(std::int64_t budget) {
  std::unordered_set<const Sequence*> held;  // for what is just being computed
  for (;;) {
    auto best = waiting_.end();
    for (auto at = waiting_.begin(); at != waiting_.end(); ++at)
      if (!held.contains(at->get()) && (best == waiting_.end() || before(**at, **best))) best = at;
    if (best == waiting_.end()) return;
    Sequence& next = **best;
    std::int64_t rows = 0;  // that come before its own
    for (const auto& s : running_)
      if (s->missing() > 1 && !before(next, *s)) rows += s->missing();
    if (rows >= budget) return;
    if (running() >= running_max()) {
      if (!make_room_for(next)) return;
      continue;
    }
    adopt(next);
    if (is_being_computed(next)) {
      give_back(next);
      held.insert(&next);
      continue;
    }
    // Room for the whole of it plus a page to grow: half-admitted prompts would starve each other.
    if (!running_.empty() &&
        !pool_.has_room(next.missing() + pool_.page_tokens(), pages_promised())) {
      give_back(next);
      if (!make_room_for(next)) return;
      continue;
    }
    begin(next);
    running_.push_back(std::move(*best));
    waiting_.erase(best);
  }
}

std::vector<Slice> Scheduler::plan() {
  const auto decodes = [](const auto& s) { return s->missing() == 1; };
  const std::int64_t streams = std::count_if(running_.begin(), running_.end(), decodes);
  std::int64_t budget = limits_.batch_tokens_max;
  // While somebody reads, prompts take a step no longer than the limit allows.
  const auto for_prompts = [&](std::int64_t rows) {
    return static_cast<double>(streams > 0 ? std::min(rows, live_.prompt_rows) : rows);
  };
  admit(static_cast<std::int64_t>(for_prompts(budget - streams)));

  std::vector<Sequence*> decoding;
  std::vector<Sequence*> prompts;
  const auto earlier = [this](const Sequence* x, const Sequence* y) { return before(*x, *y); };
  for (const auto& s : running_) {
    if (decodes(s))
      decoding.push_back(s.get());
    else
      prompts.insert(std::upper_bound(prompts.begin(), prompts.end(), s.get(), earlier), s.get());
  }
  std::vector<Slice> slices;
  const auto give = [&](Sequence* s, std::int64_t rows) {
    // One that has lost its pages to another meanwhile is passed over ...
    if (rows <= 0 || !s->running || !grow(*s, s->computed + rows)) return false;
    slices.push_back({s, rows});
    budget -= rows;
    return true;
  };
  // Decoding first: a waiting prompt never stalls a running stream.
  for (Sequence* s : decoding) give(s, std::min<std::int64_t>(1, budget));
  // What is left by those that kept their pages, so that a step is never empty.
  double prompt_budget = for_prompts(budget);
  for (Sequence* s : prompts) {
    if (prompt_budget <= 0) break;
    const double weight = streams > 0 ? row_weight(*s) : 1;
    // One at least: a limit slows prompts down, however long they are, and stops none.
    const auto fitting =
        std::max<std::int64_t>(1, static_cast<std::int64_t>(prompt_budget / weight));
    const std::int64_t rows = std::min({s->missing(), budget, fitting});
    if (give(s, rows)) prompt_budget -= static_cast<double>(rows) * weight;
  }
  // ... and if it had its rows already, they go with them.
  std::erase_if(slices, [](const Slice& s) { return !s.sequence->running; });
  return slices;
}

void Scheduler::advance(const Slice& slice) {
  Sequence& s = *slice.sequence;
  if (s.generated() > 0 && s.missing() == 1)
    FairShares::charge(*s.tenant, kOutputCost, s.owner->request.weight);
  computed_ += slice.rows;
  s.computed += slice.rows;
  pool_.trim(s.pages, s.computed);
}

bool Scheduler::grow_for_drafts(Sequence& sequence, std::int64_t drafts) {
  return pool_.grow(sequence.pages, static_cast<std::int64_t>(sequence.tokens.size()) + drafts);
}

std::unique_ptr<Sequence> Scheduler::remove(const Sequence* sequence) {
  const auto take = [&](auto& list) -> std::unique_ptr<Sequence> {
    const auto at =
        std::find_if(list.begin(), list.end(), [&](const auto& s) { return s.get() == sequence; });
    if (at == list.end()) return nullptr;
    std::unique_ptr<Sequence> out = std::move(*at);
    list.erase(at);
    return out;
  };
  std::unique_ptr<Sequence> out = take(running_);
  if (!out) out = take(waiting_);
  if (!out) return nullptr;
  pool_.release(out->pages);
  shares_.leave(*out->tenant);
  return out;
}

std::vector<Sequence*> Scheduler::all() const {
  std::vector<Sequence*> out;
  for (const auto& s : running_) out.push_back(s.get());
  for (const auto& s : waiting_) out.push_back(s.get());
  return out;
}

std::int64_t Scheduler::waiting_tokens() const {
  std::int64_t tokens = 0;
  for (const auto& sequence : waiting_)
    if (sequence->started_ns == 0) tokens += sequence->prompt_size;
  return tokens;
}

void Scheduler::check_integrity() const {
  std::vector<const PageTable*> tables;
  for (const auto& s : running_) {
    HEARTH_CHECK(s->running);
    tables.push_back(&s->pages);
  }
  for (const auto& s : waiting_) {
    HEARTH_CHECK(s->computed == 0 && !s->running);
    tables.push_back(&s->pages);
  }
  for (const Sequence* s : all()) {
    HEARTH_CHECK(s->missing() >= 1 && s->prompt_size >= 1);
    for (const auto& group : s->pages.groups)
      HEARTH_CHECK(static_cast<std::int64_t>(group.size()) * pool_.page_tokens() >= s->computed);
  }
  pool_.check_integrity(tables);
}

}  // namespace hearth::engine

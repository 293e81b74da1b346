#include "engine/scheduler.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/result.h"

namespace hearth::engine {

void Scheduler::add_fork(std::unique_ptr<Sequence> fork, const Sequence& origin) {
  if (running() >= limits_.running_max) {
    waiting_.push_front(std::move(fork));
    return;
  }
  // The last prompt token is computed again, for its logits: whole pages before it are shared.
  fork->computed = pool_.share(origin.pages, fork->prompt_size - 1, fork->pages);
  running_.push_back(std::move(fork));
}

// The newest running sequence gives its pages back and waits at the front; what it had computed
// will be computed again, to the same bits.
void Scheduler::preempt_last() {
  std::unique_ptr<Sequence> last = std::move(running_.back());
  running_.pop_back();
  give_back(*last);
  waiting_.push_front(std::move(last));
  ++preemptions_;
}

// Pages for the first `tokens` of a running sequence, taken from newer ones where none are free.
// False: it was itself the newest and had to go.
bool Scheduler::grow(Sequence& sequence, std::int64_t tokens) {
  while (!pool_.grow(sequence.pages, tokens)) {
    const bool itself = running_.back().get() == &sequence;
    // Alone it always fits: submit() has bounded prompt and output by the pool's size.
    HEARTH_CHECK(!itself || running_.size() > 1);
    preempt_last();
    if (itself) return false;
  }
  return true;
}

// Whether most of what this one would have to compute comes with the prompts of this step: then it
// is worth a step of waiting. Asked only while all of them end within the step's budget.
bool Scheduler::is_being_computed(const Sequence& waiting) const {
  const auto& own = waiting.tokens;
  return std::any_of(running_.begin(), running_.end(), [&](const auto& other) {
    if (other->missing() == 1 ||
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

void Scheduler::admit(std::int64_t budget) {
  std::int64_t promised = 0;  // pages that running sequences have yet to take
  for (const auto& s : running_) {
    promised += pool_.pages_short(s->pages, static_cast<std::int64_t>(s->tokens.size()));
    if (s->missing() > 1) budget -= s->missing();
  }
  for (std::size_t i = 0; i < waiting_.size() && budget > 0 && running() < limits_.running_max;) {
    Sequence& next = *waiting_[i];
    adopt(next);
    if (is_being_computed(next)) {
      give_back(next);
      ++i;
      continue;
    }
    // Room for the whole of it plus a page to grow: half-admitted prompts would starve each other.
    if (!running_.empty() && !pool_.has_room(next.missing() + pool_.page_tokens(), promised)) {
      give_back(next);
      return;
    }
    promised += pool_.pages_short(next.pages, static_cast<std::int64_t>(next.tokens.size()));
    budget -= next.missing();
    KvPool::count_hit(next.pages);
    if (next.choice == 0 && next.started_ns == 0) {  // it does not come back
      next.cached = next.computed;
      prefix_queries_ += next.prompt_size;
      prefix_hits_ += next.computed;
    }
    running_.push_back(std::move(waiting_[i]));
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

std::vector<Slice> Scheduler::plan() {
  std::vector<Slice> slices;
  std::int64_t budget = limits_.batch_tokens_max;
  const auto give = [&](std::size_t index, std::int64_t rows) {
    Sequence& sequence = *running_[index];
    if (!grow(sequence, sequence.computed + rows)) return;
    slices.push_back({&sequence, rows});
    budget -= rows;
  };
  // Decoding first: a waiting prompt never stalls a running stream. The list may lose its tail on
  // the way, but only sequences that have no slice yet: older ones come first in both passes ...
  for (std::size_t i = 0; i < running_.size() && budget > 0; ++i)
    if (running_[i]->missing() == 1) give(i, 1);
  const std::size_t admitted = running_.size();  // where those begin, also prompts of one token
  admit(budget);
  for (std::size_t i = 0; i < running_.size() && budget > 0; ++i)
    if (running_[i]->missing() > 1 || i >= admitted)
      give(i, std::min(running_[i]->missing(), budget));
  // ... but for a prompt's pages taken from a newer decoder: that one's slice goes with it.
  std::erase_if(slices, [&](const Slice& s) {
    return std::none_of(running_.begin(), running_.end(),
                        [&](const auto& r) { return r.get() == s.sequence; });
  });
  return slices;
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
  if (out) pool_.release(out->pages);
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
  for (const auto& s : running_) tables.push_back(&s->pages);
  for (const auto& s : waiting_) {
    HEARTH_CHECK(s->computed == 0);
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

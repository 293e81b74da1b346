#include "engine/draft_model.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/cache_size.h"

namespace hearth::engine {

Result<std::unique_ptr<DraftModel>> DraftModel::create(std::shared_ptr<const model::Model> draft,
                                                       const model::Model& target,
                                                       std::int64_t context, std::int64_t contexts,
                                                       std::int64_t cache_bytes) {
  if (draft->config().vocab != target.config().vocab)
    return invalid("draft_mismatch",
                   "{} has a vocabulary of {} tokens and {} one of {}: it cannot guess for it",
                   draft->source().name, draft->config().vocab, target.source().name,
                   target.config().vocab);
  backend::Backend& backend = draft->backend();
  std::vector<backend::KvGroupSpec> groups = draft->kv_groups();
  HEARTH_TRY(const auto pages, page_counts(backend, groups, cache_bytes,
                                           std::min(context, draft->config().context), contexts));
  HEARTH_TRY(auto cache, backend.make_cache(groups, pages));
  const double share = static_cast<double>(backend.weight_bytes()) /
                       static_cast<double>(target.backend().weight_bytes());
  auto pool = std::make_unique<KvPool>(std::move(cache), std::move(groups));
  return std::unique_ptr<DraftModel>(
      new DraftModel(std::move(draft), std::move(pool), std::min(1.0, share)));
}

DraftModel::DraftModel(std::shared_ptr<const model::Model> draft, std::unique_ptr<KvPool> pool,
                       double share)
    : runner_(std::move(draft)), pool_(std::move(pool)), share_(share) {}

double DraftModel::round_s(std::int64_t sequences, double target_s) const {
  return cost_.known() ? cost_.seconds(sequences) : share_ * target_s;
}

std::int64_t DraftModel::unseen(const Sequence& sequence) const {
  const auto found = shadows_.find(&sequence);
  const auto size = static_cast<std::int64_t>(sequence.tokens.size());
  return found == shadows_.end() ? size : size - static_cast<std::int64_t>(found->second.shared);
}

void DraftModel::forget(const Sequence& sequence) {
  const auto found = shadows_.find(&sequence);
  if (found == shadows_.end()) return;
  pool_->release(found->second.sequence->pages);
  shadows_.erase(found);
}

// Of what was guessed last time, that stays which has come true.
Sequence& DraftModel::follow(const Sequence& sequence) {
  Shadow& shadow = shadows_[&sequence];
  if (!shadow.sequence) {
    shadow.sequence = std::make_unique<Sequence>();
    shadow.sequence->owner = sequence.owner;
    shadow.sequence->choice = sequence.choice;
    shadow.sequence->prompt_size = sequence.prompt_size;
    shadow.sequence->pages = pool_->make_table();
  }
  Sequence& s = *shadow.sequence;
  const auto from = static_cast<std::ptrdiff_t>(shadow.shared);
  const auto differ = std::mismatch(s.tokens.begin() + from, s.tokens.end(),
                                    sequence.tokens.begin() + from, sequence.tokens.end());
  const std::int64_t same = differ.first - s.tokens.begin();
  s.computed =
      std::min(s.computed, std::min(same, static_cast<std::int64_t>(sequence.tokens.size()) - 1));
  s.tokens.erase(differ.first, s.tokens.end());
  s.tokens.insert(s.tokens.end(), differ.second, sequence.tokens.end());
  shadow.shared = s.tokens.size();
  return s;
}

// All that is missing of each, in passes, and one token more.
void DraftModel::run(std::vector<Sequence*> sequences) {
  std::vector<Sampled> sampled;
  while (!sequences.empty()) {
    std::vector<Slice> pass;
    std::int64_t rows = 0;
    for (Sequence* s : sequences) {
      const std::int64_t n = std::min(s->missing(), kPassRows - rows);
      if (n > 0) pass.push_back({s, n});
      rows += n;
    }
    const auto begun = std::chrono::steady_clock::now();
    runner_.run(pass, *pool_, sampled);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    cost_.add(rows, took.count());
    for (const Slice& slice : pass) {
      slice.sequence->computed += slice.rows;
      pool_->trim(slice.sequence->pages, slice.sequence->computed);
    }
    std::erase_if(sequences, [](const Sequence* s) { return s->missing() == 0; });
  }
  for (const Sampled& row : sampled) row.sequence->tokens.push_back(row.token);
}

void DraftModel::guess(std::span<DraftJob> jobs) {
  std::vector<std::pair<DraftJob*, Sequence*>> open;
  for (DraftJob& job : jobs)
    if (job.wanted > 0) open.emplace_back(&job, &follow(*job.sequence));
  for (;;) {
    std::erase_if(open, [this](const auto& entry) {
      const auto& [job, s] = entry;
      const auto size = static_cast<std::int64_t>(s->tokens.size());
      return static_cast<std::int64_t>(job->drafts.size()) == job->wanted ||
             size > pool_->tokens_max() || !pool_->grow(s->pages, size);
    });
    if (open.empty()) return;
    std::vector<Sequence*> now;
    for (const auto& [job, s] : open) now.push_back(s);
    run(std::move(now));
    std::erase_if(open, [](const auto& entry) {
      const auto& [job, s] = entry;
      const TokenId token = s->tokens.back();
      if (token < 0) {  // not a number: the guess is worth nothing, the answer may be all right
        s->tokens.pop_back();
        --s->computed;
        return true;
      }
      job->drafts.push_back(token);
      return false;
    });
  }
}

}  // namespace hearth::engine

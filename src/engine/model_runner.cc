#include "engine/model_runner.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace hearth::engine {

void ModelRunner::run(std::span<const Slice> slices, KvPool& pool, std::vector<Sampled>& sampled) {
  backend::Batch batch;
  batch.cache = &pool.cache();
  const std::size_t first_sampled = sampled.size();
  for (const Slice& slice : slices) {
    Sequence& s = *slice.sequence;
    const auto drafts = slice.finishes() ? static_cast<std::int64_t>(s.drafts.size()) : 0;
    backend::BatchSequence in_batch;
    in_batch.first_row = static_cast<std::int64_t>(batch.tokens.size());
    in_batch.rows = slice.rows + drafts;
    in_batch.position = s.computed;
    for (const auto& group : s.pages.groups) in_batch.page_tables.emplace_back(group);
    batch.sequences.push_back(std::move(in_batch));
    const auto begin = s.tokens.begin() + s.computed;
    batch.tokens.insert(batch.tokens.end(), begin, begin + slice.rows);
    if (!slice.finishes()) continue;
    batch.tokens.insert(batch.tokens.end(), s.drafts.begin(), s.drafts.end());
    for (std::int64_t i = 0; i <= drafts; ++i) {
      Sampled row;
      row.sequence = &s;
      row.logit_row = batch.logit_rows.size();
      row.after_drafts = i;
      sampled.push_back(std::move(row));
      batch.logit_rows.push_back(static_cast<std::int32_t>(batch.tokens.size()) - 1 -
                                 static_cast<std::int32_t>(drafts - i));
    }
  }
  model_->run(batch);
  sample_rows(std::span(sampled).subspan(first_sampled));
}

// Each row on whichever thread is free; what it draws depends on the request alone.
void ModelRunner::sample_rows(std::span<Sampled> rows) const {
  backend::Backend& backend = model_->backend();
  backend.parallel_for(static_cast<std::int64_t>(rows.size()), [&](std::int64_t i) {
    Sampled& row = rows[static_cast<std::size_t>(i)];
    const Sequence& s = *row.sequence;
    const SamplingParams& params = s.owner->request.sampling;
    if (s.owner->request.embed) {
      const std::span<const float> hidden = backend.hidden(row.logit_row);
      row.embedding.assign(hidden.begin(), hidden.end());
      const auto finite = [](float x) { return std::isfinite(x); };
      row.token = std::all_of(hidden.begin(), hidden.end(), finite) ? 0 : -1;
      return;
    }
    const std::span<const float> logits = backend.logits(row.logit_row);
    const auto greedy = static_cast<TokenId>(backend.argmax(logits));
    thread_local SamplerScratch scratch;
    row.token =
        sample(backend, logits, greedy, params, s.history,
               uniform_draw(params.seed, s.choice, s.generated() + row.after_drafts), scratch);
    row.out.id = row.token;
    if (row.token >= 0 && params.top_logprobs >= 0)
      row.out =
          with_logprobs(logits, row.token, backend.logsumexp(logits), params.top_logprobs, scratch);
  });
}

}  // namespace hearth::engine

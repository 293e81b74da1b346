#include "engine/score.h"

#include <algorithm>
#include <vector>

#include "engine/kv_pool.h"

namespace hearth::engine {
namespace {
constexpr std::int64_t kRows = 64;  // logits of one pass: 64 MiB for a vocabulary of 262,144
}

Status score(const model::Model& model, std::span<const std::int32_t> tokens, std::int64_t context,
             const std::function<void(std::int64_t, std::span<const float>)>& on_position) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  const std::int64_t limit = context > 0 ? context : model.config().context;
  if (count == 0) return invalid("invalid_prompt", "there are no tokens");
  if (count > limit)
    return invalid("context_length_exceeded", "{} tokens; the context holds {}", count, limit);
  for (std::int32_t id : tokens)
    if (id < 0 || id >= model.config().vocab)
      return invalid("invalid_prompt", "token {} is not in the vocabulary of {}", id,
                     model.config().vocab);

  const std::vector<std::int64_t> pages(model.kv_groups().size(),
                                        count / model.backend().page_tokens() + 1);
  HEARTH_TRY(auto cache, model.backend().make_cache(model.kv_groups(), pages));
  KvPool pool(std::move(cache), model.kv_groups());
  PageTable table = pool.make_table();
  HEARTH_CHECK(pool.grow(table, count));
  for (std::int64_t begin = 0; begin < count; begin += kRows) {
    const std::int64_t rows = std::min(kRows, count - begin);
    backend::Batch batch;
    batch.cache = &pool.cache();
    batch.tokens.assign(tokens.begin() + begin, tokens.begin() + begin + rows);
    backend::BatchSequence sequence;
    sequence.rows = rows;
    sequence.position = begin;
    for (const auto& group : table.groups) sequence.page_tables.emplace_back(group);
    batch.sequences.push_back(std::move(sequence));
    for (std::int64_t r = 0; r < rows; ++r)
      batch.logit_rows.push_back(static_cast<std::int32_t>(r));
    model.run(batch);
    for (std::int64_t r = 0; r < rows; ++r)
      on_position(begin + r, model.backend().logits(static_cast<std::size_t>(r)));
  }
  return {};
}

}  // namespace hearth::engine

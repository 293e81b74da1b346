#include <algorithm>
#include <cmath>
#include <utility>

#include "backend/cpu/step.h"

namespace hearth::backend {
namespace {

using kernels::kPageTokens;
using kernels::kSpanTokens;
using kernels::kTileRowsMax;

}  // namespace

// Cosines and sines of this step's positions, once per table.
void CpuStep::ensure_rope(std::size_t table) {
  if (rope_made_[table]) return;
  rope_made_[table] = true;
  const std::vector<float>& frequencies = ropes_[table].inverse_frequencies;
  const auto half = static_cast<std::int64_t>(frequencies.size());
  float* const cosines = memory_.cosines[table].ensure(rows_ * half);
  float* const sines = memory_.sines[table].ensure(rows_ * half);
  add_rows({"rope table"}, rows_,
           [this, &frequencies, half, cosines, sines](std::int64_t begin, std::int64_t end) {
             for (std::int64_t r = begin; r < end; ++r) {
               const auto position = static_cast<float>(positions_[static_cast<std::size_t>(r)]);
               for (std::int64_t i = 0; i < half; ++i) {
                 // The product is rounded to float32 first, as the reference implementations do.
                 const float angle = position * frequencies[static_cast<std::size_t>(i)];
                 cosines[r * half + i] = static_cast<float>(std::cos(static_cast<double>(angle)));
                 sines[r * half + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
               }
             }
           });
}

// Of one row and KV head: queries are normed, rotated and scaled where they are; key and value go
// to their page.
void CpuStep::rotate_and_store(CpuBuffer& qkv, const AttentionSpec& spec, std::int64_t row,
                               std::int64_t kv_head) {
  auto& group = static_cast<CpuKvCache&>(*batch_.cache).group(spec.kv_group);
  const std::int64_t dim = spec.head_dim;
  const std::int64_t shared = spec.heads / spec.kv_heads;
  const float* const cosines = memory_.cosines[spec.rope].data() + row * dim / 2;
  const float* const sines = memory_.sines[spec.rope].data() + row * dim / 2;
  float* const values = qkv.values.data() + row * qkv.columns;
  const auto prepare = [&](float* x, const Vector* norm, float scale) {
    if (norm) ops_.rms_norm(x, values_of(*norm), spec.norm_eps, dim, kernels::Store::kSet, x);
    ops_.rope(x, cosines, sines, dim, scale);
  };
  for (std::int64_t h = kv_head * shared; h < (kv_head + 1) * shared; ++h)
    prepare(values + h * dim, spec.q_norm, spec.scale);
  float* const key = values + (spec.heads + kv_head) * dim;
  prepare(key, spec.k_norm, 1.f);
  const std::int64_t position = positions_[static_cast<std::size_t>(row)];
  const auto sequence = static_cast<std::size_t>(row_sequence_[static_cast<std::size_t>(row)]);
  const std::int32_t page =
      batch_.sequences[sequence]
          .page_tables[spec.kv_group][static_cast<std::size_t>(position / kPageTokens)];
  std::byte* const head = group.page(page) + spec.layer_in_group * group.layout.layer_bytes() +
                          kv_head * group.layout.head_bytes();
  ops_.kv_store(group.layout, key, values + (spec.heads + spec.kv_heads + kv_head) * dim, head,
                position % kPageTokens);
}

std::vector<CpuStep::Tile> CpuStep::tiles_of(const AttentionSpec& spec) const {
  const std::int64_t shared = spec.heads / spec.kv_heads;
  const std::int64_t heads_tile = std::min(shared, kTileRowsMax);
  const std::int64_t tokens_tile = kTileRowsMax / heads_tile;
  std::vector<Tile> tiles;
  for (std::size_t s = 0; s < batch_.sequences.size(); ++s) {
    const BatchSequence& sequence = batch_.sequences[s];
    for (std::int64_t t = 0; t < sequence.rows; t += tokens_tile)
      for (std::int64_t h = 0; h < shared; h += heads_tile)
        tiles.push_back(
            {s, t, std::min(tokens_tile, sequence.rows - t), h, std::min(heads_tile, shared - h)});
  }
  return tiles;
}

bool CpuStep::split_over_spans(const std::vector<Tile>& tiles, const AttentionSpec& spec) const {
  if (spans_max_ <= 1) return false;
  std::int64_t most = 0;
  std::int64_t all = 0;
  for (const Tile& tile : tiles) {
    const std::int64_t end =
        batch_.sequences[tile.sequence].position + tile.first_token + tile.tokens;
    const std::int64_t keys = spec.window > 0 ? std::min(end, spec.window + tile.tokens) : end;
    const std::int64_t work = tile.tokens * tile.heads * keys;
    most = std::max(most, work);
    all += work * spec.kv_heads;
  }
  return most * 2 * threads_ > all;
}

// `split`: over spans. `store_too`: a tile rotates and stores what it looks at, being all that its
// sequence has there; only where it is not split.
void CpuStep::attend(CpuBuffer& out, CpuBuffer& qkv, const AttentionSpec& spec,
                     std::vector<Tile> tiles, bool split, bool store_too) {
  auto& cache = static_cast<CpuKvCache&>(*batch_.cache);
  const kernels::KvLayout layout = cache.group(spec.kv_group).layout;
  const std::int64_t shared = spec.heads / spec.kv_heads;
  OpCost cost = {store_too ? "rope, store, attention" : "attention"};
  for (const BatchSequence& sequence : batch_.sequences) {
    double seen = 0;  // keys, over all rows
    for (std::int64_t r = 0; r < sequence.rows; ++r) {
      const std::int64_t keys = sequence.position + r + 1;
      seen += static_cast<double>(spec.window > 0 ? std::min(keys, spec.window) : keys);
    }
    cost.operations += seen * static_cast<double>(4 * spec.heads * spec.head_dim);
    cost.bytes += static_cast<double>((sequence.position + sequence.rows) * layout.layer_bytes()) /
                  static_cast<double>(kPageTokens);
  }
  const auto tile_count = static_cast<std::int64_t>(tiles.size());
  const auto make_tile = [this, &out, &qkv, spec, layout, shared](const Tile& tile,
                                                                  std::int64_t kv_head) {
    const BatchSequence& sequence = batch_.sequences[tile.sequence];
    const std::int64_t row = sequence.first_row + tile.first_token;
    const std::int64_t column = (kv_head * shared + tile.first_head) * spec.head_dim;
    kernels::AttentionTile t;
    t.queries = qkv.values.data() + row * qkv.columns + column;
    t.query_stride = qkv.columns;
    t.out = out.values.data() + row * out.columns + column;
    t.out_stride = out.columns;
    t.tokens = tile.tokens;
    t.heads = tile.heads;
    t.position = sequence.position + tile.first_token;
    t.window = spec.window;
    t.softcap = spec.softcap;
    t.pages = pages_[tile.sequence][spec.kv_group].data();
    t.head_offset = spec.layer_in_group * layout.layer_bytes() + kv_head * layout.head_bytes();
    t.layout = layout;
    return t;
  };
  const auto spans_of = [](const kernels::AttentionTile& t) {
    return (t.position + t.tokens + kSpanTokens - 1) / kSpanTokens;
  };
  for (auto& scratch : memory_.thread_scratch)
    scratch.ensure(kernels::attention_scratch_floats(spec.head_dim));

  if (!split) {
    add(cost, tile_count * spec.kv_heads,
        [this, &qkv, spec, tiles = std::move(tiles), make_tile, spans_of, store_too](
            std::int64_t chunk, int thread) {
          const Tile& tile = tiles[static_cast<std::size_t>(chunk / spec.kv_heads)];
          const std::int64_t kv_head = chunk % spec.kv_heads;
          if (store_too)
            for (std::int64_t t = 0; t < tile.tokens; ++t)
              rotate_and_store(qkv, spec, batch_.sequences[tile.sequence].first_row + t, kv_head);
          const auto t = make_tile(tile, kv_head);
          ops_.attention(t, 0, spans_of(t), nullptr,
                         memory_.thread_scratch[static_cast<std::size_t>(thread)].data());
        });
    return;
  }
  // Few tiles over a long context: each span is a piece of work, merged afterwards in order.
  const std::int64_t partial = kernels::partial_floats(spec.head_dim);
  const std::int64_t per_tile = spans_max_ * kTileRowsMax * partial;
  float* const partials = memory_.partials.ensure(tile_count * spec.kv_heads * per_tile);
  add(cost, tile_count * spec.kv_heads * spans_max_,
      [this, tiles, make_tile, spans_of, tile_count, partials, per_tile, partial](
          std::int64_t chunk, int thread) {
        const std::int64_t item = chunk / spans_max_;
        const std::int64_t span = chunk % spans_max_;
        const auto t =
            make_tile(tiles[static_cast<std::size_t>(item % tile_count)], item / tile_count);
        if (span >= spans_of(t)) return;
        ops_.attention(t, span, span + 1,
                       partials + item * per_tile + span * t.tokens * t.heads * partial,
                       memory_.thread_scratch[static_cast<std::size_t>(thread)].data());
      });
  add({"attention merge"}, tile_count * spec.kv_heads,
      [this, tiles = std::move(tiles), make_tile, spans_of, tile_count, partials, per_tile,
       partial](std::int64_t item, int) {
        const auto t =
            make_tile(tiles[static_cast<std::size_t>(item % tile_count)], item / tile_count);
        const std::int64_t rows = t.tokens * t.heads;
        for (std::int64_t r = 0; r < rows; ++r)
          ops_.attention_merge(
              partials + item * per_tile + r * partial, rows * partial, spans_of(t),
              t.layout.head_dim,
              t.out + (r / t.heads) * t.out_stride + (r % t.heads) * t.layout.head_dim);
      });
}

void CpuStep::attention(Tensor out, Tensor qkv, const AttentionSpec& spec) {
  HEARTH_CHECK(qkv.columns == (spec.heads + 2 * spec.kv_heads) * spec.head_dim);
  CpuBuffer& o = buffer(out);
  CpuBuffer& in = buffer(qkv);
  will_write(o);
  floats(in);
  made_by(o, nullptr);
  ensure_rope(spec.rope);
  std::vector<Tile> tiles = tiles_of(spec);
  const bool split = split_over_spans(tiles, spec);
  const bool store_too = tiles.size() == batch_.sequences.size() && !split;
  if (!store_too) {
    // A few pieces a thread, each of neighbouring rows of a head: a cache line holds a dimension of
    // a whole page's keys, and two threads must not write it in turn.
    const std::int64_t items = rows_ * spec.kv_heads;
    const std::int64_t size = std::max(std::min(rows_, kPageTokens), items / (threads_ * 4));
    add({"rope, store"}, (items + size - 1) / size,
        [this, &in, spec, items, size](std::int64_t chunk, int) {
          for (std::int64_t i = chunk * size; i < std::min(items, (chunk + 1) * size); ++i)
            rotate_and_store(in, spec, i % rows_, i / rows_);
        });
  }
  attend(o, in, spec, std::move(tiles), split, store_too);
}

}  // namespace hearth::backend

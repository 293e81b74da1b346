// Softmax attention over pages with a running maximum (online softmax, arXiv 1805.02867; blocked as
// in FlashAttention, arXiv 2205.14135). Keys of a page are stored transposed, so 16 keys are scored
// by one fused multiply-add per dimension; query heads that share a KV head, and tokens of a
// prompt, share its loads.
//
// Cost per row and key of head_dim 64: 64 / 16 fused multiply-adds for the score, as many for the
// value, about 1/16 x 20 for the exponential: arithmetic for prompts. One token alone reads 256
// bytes (f16) for each key, shared by the heads of its group: memory.
//
// A row's arithmetic: spans of kSpanTokens positions; within a span page by page; partial results
// merged in order. Keys that a row must not see get probability 0, which leaves its sums as they
// are, to the bit.

inline constexpr float kNoKeyYet = -1e30f;  // finite, so that (max - max) is 0 and not NaN

// 16 neighbours; of pairs, what kBF16 keeps, see load_bf16_first() and _second().
template <KvType T>
HEARTH_INLINE Vf load_kv(const std::byte* p) {
  static_assert(T != KvType::kBF16);
  if constexpr (T == KvType::kF16) return load_f16(p);
  if constexpr (T == KvType::kI8) return load_i8(p);
  return load(static_cast<const float*>(static_cast<const void*>(p)));
}
template <KvType T>
inline constexpr std::int64_t kKvBytes = T == KvType::kF32  ? 4
                                         : T == KvType::kI8 ? 1
                                                            : 2;

struct TileState {
  float* maxima;         // (rows)
  float* sums;           // (rows, 16): by lanes until the span ends
  float* outputs;        // (rows, padded_dim)
  float* probabilities;  // (rows, kPageTokens)
};

// What will be read after a page, or null: pages lie far apart, and the processor's own fetching
// begins anew with each. A part of it with each dimension of the keys, two lines at most.
struct NextPage {
  const std::byte* head = nullptr;
  std::int64_t bytes = 0;  // for each dimension
  HEARTH_INLINE void fetch(std::int64_t d) const {
    if (!head) return;
    _mm_prefetch(head + d * bytes, _MM_HINT_T0);
    _mm_prefetch(head + d * bytes + bytes / 2, _MM_HINT_T0);
  }
};

// scores (R, 32) of R queries against the page's keys
template <KvType T, int R>
HEARTH_INLINE void score_rows(const float* const (&q)[R], const std::byte* keys, std::int64_t dim,
                              const NextPage& next, Vf (&out)[R][2]) {
  for (int first = 0; first < 2; first += kScoreVectors) {
    for (int r = 0; r < R; ++r)
      for (int v = first; v < first + kScoreVectors; ++v) out[r][v] = zero();
    const auto add_dimension = [&](std::int64_t d, const Vf(&k)[kScoreVectors]) {
      for (int r = 0; r < R; ++r) {
        const Vf qd = set1(q[r][d]);
        for (int v = 0; v < kScoreVectors; ++v)
          out[r][first + v] = fma(qd, k[v], out[r][first + v]);
      }
    };
    Vf k[kScoreVectors];
    if constexpr (T == KvType::kBF16) {
      for (std::int64_t d = 0; d < dim; d += 2) {
        const std::byte* pairs = keys + (d * kPageTokens / 2 + first * 16) * 4;
        if (first == 0) next.fetch(d), next.fetch(d + 1);
        for (int v = 0; v < kScoreVectors; ++v) k[v] = load_bf16_first(pairs + v * 64);
        add_dimension(d, k);
        for (int v = 0; v < kScoreVectors; ++v) k[v] = load_bf16_second(pairs + v * 64);
        add_dimension(d + 1, k);
      }
    } else {
      for (std::int64_t d = 0; d < dim; ++d) {
        if (first == 0) next.fetch(d);
        for (int v = 0; v < kScoreVectors; ++v)
          k[v] = load_kv<T>(keys + (d * kPageTokens + (first + v) * 16) * kKvBytes<T>);
        add_dimension(d, k);
      }
    }
  }
}

// outputs[r] += sum over slots t < slots of probability * value, for R rows and V vectors of
// dimensions from d on: R * V sums at once, as a multiply-add takes four cycles and two begin in
// each. Slots behind may hold anything, NaN too: they are not read.
template <KvType T, int R, int V>
HEARTH_INLINE void add_values(const std::byte* values, std::int64_t width, std::int64_t d,
                              std::int64_t slots, const float* probabilities, float* outputs) {
  Vf o[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) o[r][v] = load(outputs + r * width + v * 16);
  const auto add_token = [&](std::int64_t t, const Vf(&x)[V]) {
    for (int r = 0; r < R; ++r) {
      const Vf p = set1(probabilities[r * kPageTokens + t]);
      for (int v = 0; v < V; ++v) o[r][v] = fma(p, x[v], o[r][v]);
    }
  };
  Vf x[V];
  if constexpr (T == KvType::kBF16) {
    for (std::int64_t t = 0; t < slots; t += 2) {
      const std::byte* pairs = values + (t * width / 2 + d) * 4;
      for (int v = 0; v < V; ++v) x[v] = load_bf16_first(pairs + v * 64);
      add_token(t, x);
      if (t + 1 == slots) break;
      for (int v = 0; v < V; ++v) x[v] = load_bf16_second(pairs + v * 64);
      add_token(t + 1, x);
    }
  } else {
    for (std::int64_t t = 0; t < slots; ++t) {
      for (int v = 0; v < V; ++v)
        x[v] = load_kv<T>(values + (t * width + d + v * 16) * kKvBytes<T>);
      add_token(t, x);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) store(outputs + r * width + v * 16, o[r][v]);
}

template <KvType T, int R>
void page_rows(const AttentionTile& tile, std::int64_t first_row, std::int64_t page,
               const std::byte* keys, const std::byte* values, const float* key_scales,
               const float* value_scales, const NextPage& next, const TileState& state) {
  const std::int64_t dim = tile.layout.head_dim;
  const std::int64_t width = tile.layout.padded_dim();
  const std::int64_t page_begin = page * kPageTokens;
  const float* q[R];
  for (int r = 0; r < R; ++r) {
    const std::int64_t row = first_row + r;
    q[r] = tile.queries + (row / tile.heads) * tile.query_stride + (row % tile.heads) * dim;
  }
  Vf s[R][2];
  score_rows<T, R>(q, keys, dim, next, s);
  std::int64_t used_end = 0;  // keys that some row of these sees lie before this slot
  for (int r = 0; r < R; ++r) {
    const std::int64_t row = first_row + r;
    const std::int64_t position = tile.position + row / tile.heads;
    const std::int64_t hi = std::min(position + 1 - page_begin, kPageTokens);
    const std::int64_t lo =
        tile.window > 0 ? std::max<std::int64_t>(position - tile.window + 1 - page_begin, 0) : 0;
    used_end = std::max(used_end, hi);
    for (int v = 0; v < 2; ++v) {
      if (key_scales) s[r][v] = mul(s[r][v], load(key_scales + v * 16));
      if (tile.softcap > 0.f)
        s[r][v] = mul(tanh(mul(s[r][v], set1(1.f / tile.softcap))), set1(tile.softcap));
      if (lo > 0 || hi < kPageTokens)
        s[r][v] = keep_lanes(s[r][v], lo - v * 16, hi - v * 16, kNoKeyYet);
    }
    const float before = state.maxima[row];
    const float now = std::max(before, max_lane(max(s[r][0], s[r][1])));
    const Vf shift = set1(now);
    Vf p[2];
    for (int v = 0; v < 2; ++v) {
      const Vf d = sub(s[r][v], shift);
      p[v] = with_nan_of(exp(d), d);
      if (lo > 0 || hi < kPageTokens) p[v] = keep_lanes(p[v], lo - v * 16, hi - v * 16, 0.f);
    }
    const float fade = before == now ? 1.f : std::exp(before - now);
    state.maxima[row] = now;
    float* const sums = state.sums + row * 16;
    store(sums, fma(load(sums), set1(fade), add(p[0], p[1])));
    if (value_scales)
      for (int v = 0; v < 2; ++v) p[v] = mul(p[v], load(value_scales + v * 16));
    store(state.probabilities + row * kPageTokens, p[0]);
    store(state.probabilities + row * kPageTokens + 16, p[1]);
    if (fade != 1.f) {
      float* o = state.outputs + row * width;
      for (std::int64_t d = 0; d < width; d += 16) store(o + d, mul(load(o + d), set1(fade)));
    }
  }
  std::int64_t d = 0;
  // As many vectors at once as of keys: the registers are the same.
  for (; d + 16 * kScoreVectors <= width; d += 16 * kScoreVectors)
    add_values<T, R, kScoreVectors>(values, width, d, used_end,
                                    state.probabilities + first_row * kPageTokens,
                                    state.outputs + first_row * width + d);
  if (d < width)
    add_values<T, R, 1>(values, width, d, used_end, state.probabilities + first_row * kPageTokens,
                        state.outputs + first_row * width + d);
}

template <KvType T, int R>
HEARTH_INLINE void rest_rows(std::int64_t rest, const AttentionTile& tile, std::int64_t first_row,
                             std::int64_t page, const std::byte* keys, const std::byte* values,
                             const float* key_scales, const float* value_scales,
                             const NextPage& next, const TileState& state) {
  if constexpr (R > 0) {
    if (rest != R)
      return rest_rows<T, R - 1>(rest, tile, first_row, page, keys, values, key_scales,
                                 value_scales, next, state);
    page_rows<T, R>(tile, first_row, page, keys, values, key_scales, value_scales, next, state);
  }
}

template <KvType T>
void page_all_rows(const AttentionTile& tile, std::int64_t page, const std::byte* keys,
                   const std::byte* values, const float* key_scales, const float* value_scales,
                   NextPage next, const TileState& state) {
  const std::int64_t rows = tile.tokens * tile.heads;
  std::int64_t r = 0;
  for (; r + kAttentionRows <= rows; r += kAttentionRows, next.head = nullptr)
    page_rows<T, kAttentionRows>(tile, r, page, keys, values, key_scales, value_scales, next,
                                 state);
  rest_rows<T, kAttentionRows - 1>(rows - r, tile, r, page, keys, values, key_scales, value_scales,
                                   next, state);
}

// rows x columns floats of keys or values; columns is a multiple of 16.
template <KvType T>
void widen(const std::byte* in, std::int64_t rows, std::int64_t columns, float* out) {
  if constexpr (T == KvType::kBF16) {
    for (std::int64_t r = 0; r < rows; r += 2)
      for (std::int64_t c = 0; c < columns; c += 16) {
        const std::byte* pairs = in + (r / 2 * columns + c) * 4;
        store(out + r * columns + c, load_bf16_first(pairs));
        if (r + 1 < rows) store(out + (r + 1) * columns + c, load_bf16_second(pairs));
      }
  } else {
    for (std::int64_t i = 0; i < rows * columns; i += 16)
      store(out + i, load_kv<T>(in + i * kKvBytes<T>));
  }
}

// out (= a, updated) <- a merged with b; both (max, sum, padded_dim values)
HEARTH_INLINE void merge_partial(float* a, const float* b, std::int64_t width) {
  const float m = std::max(a[0], b[0]);
  const float fa = a[0] == m ? 1.f : std::exp(a[0] - m);
  const float fb = b[0] == m ? 1.f : std::exp(b[0] - m);
  a[0] = m;
  a[1] = a[1] * fa + b[1] * fb;
  for (std::int64_t d = 0; d < width; d += 16)
    store(a + 2 + d, fma(load(b + 2 + d), set1(fb), mul(load(a + 2 + d), set1(fa))));
}

// A span's result: the first one of `to`, or merged into it.
HEARTH_INLINE void keep_partial(float maximum, float sum, const float* outputs, std::int64_t width,
                                float* to, bool first) {
  float one[2 + kHeadDimMax];
  float* const into = first ? to : one;
  into[0] = maximum;
  into[1] = sum;
  std::copy_n(outputs, width, into + 2);
  if (!first) merge_partial(to, one, width);
}

// The softmax's division; `out` has head_dim floats and no room behind them.
HEARTH_INLINE void finish_partial(const float* partial, std::int64_t dim, float* out) {
  const Vf inverse = set1(1.f / partial[1]);
  std::int64_t d = 0;
  for (; d + 16 <= dim; d += 16) store(out + d, mul(load(partial + 2 + d), inverse));
  if (d < dim) store_part(out + d, dim - d, mul(load(partial + 2 + d), inverse));
}

template <KvType T>
void attention_typed(const AttentionTile& tile, std::int64_t span_begin, std::int64_t span_end,
                     float* partials, float* scratch) {
  const std::int64_t dim = tile.layout.head_dim;
  const std::int64_t width = tile.layout.padded_dim();
  const std::int64_t rows = tile.tokens * tile.heads;
  const std::int64_t partial = partial_floats(dim);
  float* wide_keys = scratch;
  float* wide_values = wide_keys + width * kPageTokens;
  TileState state;
  state.probabilities = wide_values + width * kPageTokens;
  state.outputs = state.probabilities + kTileRowsMax * kPageTokens;
  state.maxima = state.outputs + kTileRowsMax * width;
  state.sums = state.maxima + kTileRowsMax;
  float* merged = state.sums + kTileRowsMax * 16;  // (rows, partial)

  const std::int64_t end = tile.position + tile.tokens;  // keys before this position exist
  const std::int64_t begin =
      tile.window > 0 ? std::max<std::int64_t>(tile.position - tile.window + 1, 0) : 0;
  for (std::int64_t span = span_begin; span < span_end; ++span) {
    std::fill_n(state.maxima, rows, kNoKeyYet);
    std::fill_n(state.sums, rows * 16, 0.f);
    std::fill_n(state.outputs, rows * width, 0.f);
    const std::int64_t page_first = std::max(span * kSpanTokens, begin) / kPageTokens;
    const std::int64_t page_last = (std::min((span + 1) * kSpanTokens, end) - 1) / kPageTokens;
    for (std::int64_t page = page_first; page <= page_last; ++page) {
      const std::byte* keys = tile.pages[page] + tile.head_offset;
      const std::byte* values = keys + tile.layout.value_offset();
      const float* scales = nullptr;
      if constexpr (T == KvType::kI8)
        scales =
            static_cast<const float*>(static_cast<const void*>(keys + tile.layout.scale_offset()));
      const float* value_scales = scales ? scales + kPageTokens : nullptr;
      NextPage next;
      if (page < page_last)
        next = {tile.pages[page + 1] + tile.head_offset, tile.layout.head_bytes() / dim};
      if (T != KvType::kF32 && rows > 2 * kAttentionRows) {
        // Many rows: widen the page once. The values, and so the bits of the result, are the same.
        const std::int64_t slots = std::min(kPageTokens, end - page * kPageTokens);
        widen<T>(keys, dim, kPageTokens, wide_keys);
        widen<T>(values, slots, width, wide_values);
        const auto bytes = [](const float* p) {
          return static_cast<const std::byte*>(static_cast<const void*>(p));
        };
        page_all_rows<KvType::kF32>(tile, page, bytes(wide_keys), bytes(wide_values), scales,
                                    value_scales, next, state);
      } else {
        page_all_rows<T>(tile, page, keys, values, scales, value_scales, next, state);
      }
    }
    for (std::int64_t r = 0; r < rows; ++r)
      keep_partial(
          state.maxima[r], sum(load(state.sums + r * 16)), state.outputs + r * width, width,
          partials ? partials + ((span - span_begin) * rows + r) * partial : merged + r * partial,
          partials || span == span_begin);
  }
  if (partials) return;
  for (std::int64_t r = 0; r < rows; ++r) {
    float* to = tile.out + (r / tile.heads) * tile.out_stride + (r % tile.heads) * dim;
    finish_partial(merged + r * partial, dim, to);
  }
}

#if HEARTH_HAVE_BF16
#include "kernels/cpu/attention_bf16.inl"
#endif

void attention(const AttentionTile& tile, std::int64_t span_begin, std::int64_t span_end,
               float* partials, float* scratch) {
  switch (tile.layout.type) {
    case KvType::kF16:
      return attention_typed<KvType::kF16>(tile, span_begin, span_end, partials, scratch);
    case KvType::kBF16:
#if HEARTH_HAVE_BF16
      return attention_pairs(tile, span_begin, span_end, partials, scratch);
#else
      return attention_typed<KvType::kBF16>(tile, span_begin, span_end, partials, scratch);
#endif
    case KvType::kI8:
      return attention_typed<KvType::kI8>(tile, span_begin, span_end, partials, scratch);
    case KvType::kF32:
      return attention_typed<KvType::kF32>(tile, span_begin, span_end, partials, scratch);
  }
}

void attention_merge(const float* partials, std::int64_t stride, std::int64_t spans,
                     std::int64_t head_dim, float* out) {
  float merged[2 + kHeadDimMax];
  std::copy_n(partials, partial_floats(head_dim), merged);
  const std::int64_t width = partial_floats(head_dim) - 2;
  for (std::int64_t s = 1; s < spans; ++s) merge_partial(merged, partials + s * stride, width);
  finish_partial(merged, head_dim, out);
}

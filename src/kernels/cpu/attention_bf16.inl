// Softmax attention over pages of bfloat16 pairs (KvType::kBF16), with vdpbf16ps: 32 multiply-adds
// an instruction, twice what float32 does. Queries and probabilities are rounded to bfloat16 too;
// sums, maxima and exponentials are float32.
//
// A row's arithmetic: spans of kSpanTokens positions, within a span blocks of kBlockKeys, within a
// block its keys two by two in order. What a row must not see has probability 0, which leaves its
// sums as they are, to the bit; so the rows that share a tile do not show.
//
// Cost per row and key of head_dim 64: 64 / 32 instructions for the score, 64 / 32 for the value,
// and about 1/16 x 15 for the exponential: arithmetic for prompts. One token alone reads 256 bytes
// for each key: memory.

inline constexpr std::int64_t kBlockKeys = 128;
static_assert(kSpanTokens % kBlockKeys == 0 && kBlockKeys % kPageTokens == 0);
inline constexpr std::int64_t kBlockPages = kBlockKeys / kPageTokens;
inline constexpr int kScoreRows = 12;  // 12 x 2 sums, 2 vectors of keys
inline constexpr int kValueRows = 6;   // 6 x 4 sums, a vector of values
inline constexpr int kValueVectors = 4;

// 2^x, relative error under 4e-6, which is far less than the rounding to bfloat16 that follows. Any
// x <= 0 is good, infinities and NaN too.
HEARTH_INLINE __m512 exp2_bf16(__m512 x) {
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 f = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(9.6718751e-3f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.5503324e-2f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.4022121e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.9314718e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.f));
  return _mm512_scalef_ps(p, n);
}

struct PairState {
  std::uint32_t* queries;  // (rows, head_dim / 2) pairs
  float* scores;           // (rows, kBlockKeys)
  std::uint32_t* weights;  // (rows, kBlockKeys / 2) pairs of probabilities
  float* outputs;          // (rows, padded_dim)
  float* maxima;           // (rows)
  float* sums;             // (rows)
  float* fades;            // (rows), what a new maximum makes of what was summed before
  float* merged;           // (rows, partial_floats)
  std::uint32_t* seen;     // (kPageTokens / 2, padded_dim) pairs: values of a page that ends early
};

inline PairState lay_out_pairs(float* scratch, std::int64_t dim) {
  PairState s;
  const auto take = [&](std::int64_t floats) {
    float* const part = scratch;
    scratch += (floats + 15) / 16 * 16;
    return part;
  };
  const auto words = [](float* p) { return static_cast<std::uint32_t*>(static_cast<void*>(p)); };
  s.queries = words(take(kTileRowsMax * (dim / 2)));
  s.scores = take(kTileRowsMax * kBlockKeys);
  s.weights = words(take(kTileRowsMax * kBlockKeys / 2));
  s.outputs = take(kTileRowsMax * ((dim + 15) / 16 * 16));
  s.maxima = take(kTileRowsMax);
  s.sums = take(kTileRowsMax);
  s.fades = take(kTileRowsMax);
  s.merged = take(kTileRowsMax * partial_floats(dim));
  s.seen = words(take(kPageTokens / 2 * ((dim + 15) / 16 * 16)));
  return s;
}

// Scores of R rows against the 32 keys of a page. `next` (or null) is what will be read after them:
// pages lie far apart, and the processor's own prefetching begins anew with each.
template <int R>
void score_page(const std::uint32_t* queries, std::int64_t pairs, const std::byte* keys,
                const std::byte* next, float* scores) {
  __m512 sums[R][2];
  for (int r = 0; r < R; ++r) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  for (std::int64_t d = 0; d < pairs; ++d) {
    const __m512bh k0 = load_pairs(keys + d * kPageTokens * 4);
    const __m512bh k1 = load_pairs(keys + d * kPageTokens * 4 + 64);
    if (next) {
      _mm_prefetch(next + d * kPageTokens * 4, _MM_HINT_T0);
      _mm_prefetch(next + d * kPageTokens * 4 + 64, _MM_HINT_T0);
    }
    for (int r = 0; r < R; ++r) {
      const __m512bh q = set_pair(queries + r * pairs + d);
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], q, k0);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], q, k1);
    }
  }
  for (int r = 0; r < R; ++r) {
    _mm512_storeu_ps(scores + r * kBlockKeys, sums[r][0]);
    _mm512_storeu_ps(scores + r * kBlockKeys + 16, sums[r][1]);
  }
}

// The pages of a block that are looked at, as numbers within it.
struct BlockPages {
  std::int64_t begin, end;
  std::int64_t tokens_of_last;
};

// outputs[r] += sum over the block's pages and their tokens of weight * value, for R rows, V
// vectors of dimensions. values_of(page) and next_of(page): what is read, and what will be after
// it, or null.
template <int R, int V, class ValuesOf, class NextOf>
void add_vectors(const std::uint32_t* weights, const BlockPages& pages, ValuesOf values_of,
                 NextOf next_of, std::int64_t width, float* outputs) {
  __m512 sums[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) sums[r][v] = _mm512_loadu_ps(outputs + r * width + v * 16);
  for (std::int64_t p = pages.begin; p < pages.end; ++p, weights += kPageTokens / 2) {
    const std::byte* const values = values_of(p);
    const std::byte* const next = next_of(p);
    const std::int64_t tokens = p + 1 < pages.end ? kPageTokens : pages.tokens_of_last;
    const auto add_pair = [&](std::int64_t t, auto load) {
      __m512bh x[V];
      for (int v = 0; v < V; ++v) x[v] = load(values + (t * width + v * 16) * 4);
      if (next)
        for (int v = 0; v < V; ++v) _mm_prefetch(next + (t * width + v * 16) * 4, _MM_HINT_T0);
      for (int r = 0; r < R; ++r) {
        const __m512bh w = set_pair(weights + r * (kBlockKeys / 2) + t);
        for (int v = 0; v < V; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], w, x[v]);
      }
    };
    for (std::int64_t t = 0; t < tokens / 2; ++t) add_pair(t, load_pairs);
    // The other half of the last pair may hold anything, NaN too.
    if (tokens % 2 != 0)
      add_pair(tokens / 2, [](const std::byte* at) {
        return as_pairs(_mm512_maskz_loadu_epi16(0x55555555u, at));
      });
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) _mm512_storeu_ps(outputs + r * width + v * 16, sums[r][v]);
}

template <int R, class ValuesOf, class NextOf>
void add_values(const std::uint32_t* weights, const BlockPages& pages, ValuesOf values_of,
                NextOf next_of, std::int64_t width, float* outputs) {
  const auto add = [&](auto v, std::int64_t d) {
    const auto shifted = [d](auto of) {
      return [d, of](std::int64_t p) -> const std::byte* {
        const std::byte* const at = of(p);
        return at ? at + d * 4 : nullptr;
      };
    };
    add_vectors<R, v.value>(weights, pages, shifted(values_of), shifted(next_of), width,
                            outputs + d);
  };
  std::int64_t d = 0;
  for (; d + kValueVectors * 16 <= width; d += kValueVectors * 16)
    add(std::integral_constant<int, kValueVectors>(), d);
  for (; d + 32 <= width; d += 32) add(std::integral_constant<int, 2>(), d);
  if (d < width) add(std::integral_constant<int, 1>(), d);
}

// fn(std::integral_constant<int, R>, first row) for all rows, at most Most at a time.
template <int Most, class Fn>
HEARTH_INLINE void by_rows(std::int64_t rows, Fn fn) {
  std::int64_t r = 0;
  for (; r + Most <= rows; r += Most) fn(std::integral_constant<int, Most>(), r);
  if constexpr (Most > 8) {
    for (; r + 8 <= rows; r += 8) fn(std::integral_constant<int, 8>(), r);
  }
  if constexpr (Most > 4) {
    for (; r + 4 <= rows; r += 4) fn(std::integral_constant<int, 4>(), r);
  }
  for (; r + 3 <= rows; r += 3) fn(std::integral_constant<int, 3>(), r);
  for (; r < rows; ++r) fn(std::integral_constant<int, 1>(), r);
}

// The lanes of vector v of a block that lie in [lo, hi).
HEARTH_INLINE __mmask16 lanes_seen(std::int64_t v, std::int64_t lo, std::int64_t hi) {
  const auto below = [v](std::int64_t end) {
    return (1u << std::clamp<std::int64_t>(end - v * 16, 0, 16)) - 1;
  };
  return static_cast<__mmask16>(below(hi) & ~below(lo));
}

// The scores of a block's vectors [v_begin, v_end) become probabilities, for all rows; range(row)
// is {lo, hi}, the keys that a row sees. Step by step rather than row by row: the rows' maxima and
// sums wait for each other least.
template <class Range>
void weigh(const AttentionTile& tile, const PairState& s, std::int64_t rows, std::int64_t v_begin,
           std::int64_t v_end, Range range) {
  const auto sees_all = [&](std::int64_t lo, std::int64_t hi) {
    return lo <= v_begin * 16 && hi >= v_end * 16;
  };
  for (std::int64_t r = 0; r < rows; ++r) {
    float* const scores = s.scores + r * kBlockKeys;
    const auto [lo, hi] = range(r);
    const bool all = sees_all(lo, hi);
    __m512 largest = _mm512_set1_ps(kNoKeyYet);
    for (std::int64_t v = v_begin; v < v_end; ++v) {
      __m512 x = _mm512_loadu_ps(scores + v * 16);
      if (tile.softcap > 0.f)
        x = mul(tanh(mul({x}, set1(1.f / tile.softcap))), set1(tile.softcap)).v;
      if (!all) x = _mm512_mask_blend_ps(lanes_seen(v, lo, hi), _mm512_set1_ps(kNoKeyYet), x);
      if (!all || tile.softcap > 0.f) _mm512_storeu_ps(scores + v * 16, x);
      largest = _mm512_max_ps(largest, x);
    }
    const float before = s.maxima[r];
    s.maxima[r] = std::max(before, _mm512_reduce_max_ps(largest));
    s.fades[r] = before == s.maxima[r] ? 1.f : std::exp(before - s.maxima[r]);
  }
  constexpr float kLog2E = 1.44269504088896341f;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* const scores = s.scores + r * kBlockKeys;
    const auto [lo, hi] = range(r);
    const bool all = sees_all(lo, hi);
    const __m512 shift = _mm512_set1_ps(-s.maxima[r] * kLog2E);
    __m512 total = _mm512_setzero_ps();
    for (std::int64_t v = v_begin; v < v_end; v += 2) {
      __m512 x[2];
      for (int i = 0; i < 2; ++i) {
        x[i] = exp2_bf16(
            _mm512_fmadd_ps(_mm512_loadu_ps(scores + (v + i) * 16), _mm512_set1_ps(kLog2E), shift));
        if (!all) x[i] = _mm512_maskz_mov_ps(lanes_seen(v + i, lo, hi), x[i]);
        total = _mm512_add_ps(total, x[i]);
      }
      _mm512_storeu_si512(s.weights + r * (kBlockKeys / 2) + v * 8,
                          __builtin_bit_cast(__m512i, _mm512_cvtne2ps_pbh(x[1], x[0])));
    }
    s.sums[r] = s.sums[r] * s.fades[r] + sum({total});
  }
  const std::int64_t width = tile.layout.padded_dim();
  for (std::int64_t r = 0; r < rows; ++r) {
    if (s.fades[r] == 1.f) continue;
    float* const o = s.outputs + r * width;
    for (std::int64_t d = 0; d < width; d += 16) store(o + d, mul(load(o + d), set1(s.fades[r])));
  }
}

#if HEARTH_HAVE_TILES
#include "kernels/cpu/attention_tiles.inl"
#endif

HEARTH_INLINE bool on_tiles([[maybe_unused]] const AttentionTile& tile) {
#if HEARTH_HAVE_TILES
  return tile.layout.head_dim % kTileDims == 0;
#else
  return false;
#endif
}

// Keys [begin, end) of one block, for all rows.
void attend_block(const AttentionTile& tile, const PairState& s, std::int64_t block,
                  std::int64_t begin, std::int64_t end) {
  const std::int64_t rows = tile.tokens * tile.heads;
  const std::int64_t pairs = tile.layout.head_dim / 2;
  const std::int64_t width = tile.layout.padded_dim();
  const std::int64_t first = block * kBlockKeys;
  const auto head_of = [&](std::int64_t page) { return tile.pages[page] + tile.head_offset; };
  // A page behind or before what is there stays as good as unseen.
  const std::int64_t page_begin = begin / kPageTokens - block * kBlockPages;
  const std::int64_t page_end = (end - 1) / kPageTokens + 1 - block * kBlockPages;
  // One token alone waits for memory: while it looks at one page, the next comes. Keys of all pages
  // are followed by the values of the first, those by the next block's keys.
  const bool ahead = tile.tokens == 1;
  const auto values_of = [&](std::int64_t p) {
    return head_of(block * kBlockPages + p) + tile.layout.value_offset();
  };
  const auto after_keys = [&](std::int64_t p) -> const std::byte* {
    if (!ahead) return nullptr;
    return p + 1 < page_end ? head_of(block * kBlockPages + p + 1) : values_of(page_begin);
  };
  const auto after_values = [&](std::int64_t p) -> const std::byte* {
    const std::int64_t page = block * kBlockPages + p;
    const bool more = (page + 1) * kPageTokens < tile.position + tile.tokens;
    if (!ahead) return nullptr;
    return p + 1 < page_end ? values_of(p + 1) : more ? head_of(page + 1) : nullptr;
  };
  const auto seen_of = [&](std::int64_t p) {
    return std::min(kPageTokens, end - (block * kBlockPages + p) * kPageTokens);
  };
  if (on_tiles(tile)) {
#if HEARTH_HAVE_TILES
    for (std::int64_t p = page_begin; p < page_end; ++p) {
      if (ahead) fetch(after_keys(p), pairs * kPageTokens * 4);
      score_page_tiles<Tiles>(s, rows, pairs, head_of(block * kBlockPages + p),
                              s.scores + p * kPageTokens);
    }
#endif
  } else {
    by_rows<kScoreRows>(rows, [&](auto n, std::int64_t row) {
      for (std::int64_t p = page_begin; p < page_end; ++p)
        score_page<n.value>(s.queries + row * pairs, pairs, head_of(block * kBlockPages + p),
                            after_keys(p), s.scores + row * kBlockKeys + p * kPageTokens);
    });
  }
  constexpr std::int64_t kPageVectors = kPageTokens / 16;
  weigh(tile, s, rows, page_begin * kPageVectors, page_end * kPageVectors, [&](std::int64_t r) {
    const std::int64_t position = tile.position + r / tile.heads;
    const std::int64_t lo =
        tile.window > 0 ? std::max<std::int64_t>(position - tile.window + 1, begin) : begin;
    return std::pair(lo - first, std::min(position + 1, end) - first);
  });
  if (on_tiles(tile)) {
#if HEARTH_HAVE_TILES
    const bool part = seen_of(page_end - 1) < kPageTokens;
    if (part) copy_seen(values_of(page_end - 1), seen_of(page_end - 1), width, s.seen);
    const auto* const last = static_cast<const std::byte*>(static_cast<const void*>(s.seen));
    for (std::int64_t p = page_begin; p < page_end; ++p)
      if (const std::byte* const next = after_values(p)) fetch(next, width * kPageTokens * 2);
    add_values_tiles<Tiles>(s, rows, width, page_begin, page_end, [&](std::int64_t p) {
      return part && p + 1 == page_end ? last : values_of(p);
    });
#endif
  } else {
    by_rows<kValueRows>(rows, [&](auto n, std::int64_t row) {
      add_values<n.value>(s.weights + row * (kBlockKeys / 2) + page_begin * (kPageTokens / 2),
                          {page_begin, page_end, seen_of(page_end - 1)}, values_of, after_values,
                          width, s.outputs + row * width);
    });
  }
}

void round_queries(const AttentionTile& tile, const PairState& s) {
  constexpr std::int64_t kAhead = 4;                         // tokens; their rows lie far apart
  const std::int64_t n = tile.heads * tile.layout.head_dim;  // a token's heads lie side by side
  auto* to = static_cast<std::uint16_t*>(static_cast<void*>(s.queries));
  const auto rounded = [](Vf v) { return __builtin_bit_cast(__m256i, _mm512_cvtneps_pbh(v.v)); };
  for (std::int64_t t = 0; t < tile.tokens; ++t, to += n) {
    const float* q = tile.queries + t * tile.query_stride;
    const bool more = t + kAhead < tile.tokens;
    std::int64_t d = 0;
    for (; d + 16 <= n; d += 16) {
      if (more) _mm_prefetch(q + kAhead * tile.query_stride + d, _MM_HINT_T0);
      _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(to + d)), rounded(load(q + d)));
    }
    if (d < n)
      _mm256_mask_storeu_epi16(to + d, static_cast<__mmask16>((1u << (n - d)) - 1),
                               rounded(load_part(q + d, n - d)));
  }
}

void attention_pairs(const AttentionTile& tile, std::int64_t span_begin, std::int64_t span_end,
                     float* partials, float* scratch) {
  const std::int64_t dim = tile.layout.head_dim;
  const std::int64_t width = tile.layout.padded_dim();
  const std::int64_t rows = tile.tokens * tile.heads;
  const std::int64_t partial = partial_floats(dim);
  const PairState s = lay_out_pairs(scratch, dim);
  round_queries(tile, s);
#if HEARTH_HAVE_TILES
  if (on_tiles(tile)) {
    pad_rows(s, rows, dim / 2);
    Tiles::configure(64);
  }
#endif
  const std::int64_t all_end = tile.position + tile.tokens;  // keys before this position exist
  const std::int64_t all_begin =
      tile.window > 0 ? std::max<std::int64_t>(tile.position - tile.window + 1, 0) : 0;
  for (std::int64_t span = span_begin; span < span_end; ++span) {
    std::fill_n(s.maxima, rows, kNoKeyYet);
    std::fill_n(s.sums, rows, 0.f);
    std::fill_n(s.outputs, rows * width, 0.f);
    const std::int64_t begin = std::max(span * kSpanTokens, all_begin);
    const std::int64_t end = std::min((span + 1) * kSpanTokens, all_end);
    for (std::int64_t block = begin / kBlockKeys; block * kBlockKeys < end; ++block)
      attend_block(tile, s, block, std::max(begin, block * kBlockKeys),
                   std::min(end, (block + 1) * kBlockKeys));
    for (std::int64_t r = 0; r < rows; ++r)
      keep_partial(
          s.maxima[r], s.sums[r], s.outputs + r * width, width,
          partials ? partials + ((span - span_begin) * rows + r) * partial : s.merged + r * partial,
          partials || span == span_begin);
  }
#if HEARTH_HAVE_TILES
  if (on_tiles(tile)) Tiles::release();
#endif
  if (partials) return;
  for (std::int64_t r = 0; r < rows; ++r) {
    float* to = tile.out + (r / tile.heads) * tile.out_stride + (r % tile.heads) * dim;
    finish_partial(s.merged + r * partial, dim, to);
  }
}

// Quantised weights x 8-bit activations on matrix tiles (AMX: tdpbssd and tdpbsud, 16 tokens x 16
// rows x 32 columns in one instruction). A quad vector of packed.h is already a row of the tile of
// weights; codes are spread to bytes once for up to kBlockTokens tokens, less what they are off by
// where that is a constant. The sums of integers are exact and the floating-point arithmetic is
// that of tile_q, so the results have the same bits: fewer than 16 tokens go through tile_q.
//
// Per (16 tokens, panel, group), of 8192 multiply-adds: one tile product (16 cycles), and for each
// token one conversion, one multiplication and one or two fused multiply-adds: 48 or 64 cycles, as
// only one port takes vectors while tiles are at work (ADR 10), which are the limit. The way from a
// tile of sums to a register is through memory and takes some hundred cycles, so products run
// kTilesAhead groups ahead of the vectors.
//
// `Tiles` is the processor's tiles or a model of them (see amx_test.cc): configure(a_bytes),
// zero<C>(), load<T>(from, stride), multiply_signed<C, A, B>(), multiply_unsigned<C, A, B>()
// (signed activations x signed or unsigned codes), store<C>(to, stride), release().

inline constexpr std::int64_t kTileTokens = 16;
inline constexpr std::int64_t kBlockTokens = 128;  // whose sums lie in the first-level cache
inline constexpr std::int64_t kSpreadGroups = 32;  // 16 KB of spread codes a panel
inline constexpr int kTilesAhead = 3;
inline constexpr int kTileSums = 4;  // tiles 0 to 3: sums; 4, 5: activations; 6, 7: weights
inline constexpr int kTileA = 4, kTileB = 6;
static_assert(kTilesAhead < kTileSums);

template <Form F, int Q>
HEARTH_INLINE void spread_group(const std::byte* group, std::byte* to) {
  if constexpr (Q < kQuadsPerGroup) {
    Vb codes = load_quad<F, Q>(group);
    if constexpr (FormTraits<F>::kBiasBits != 0)
      codes = sub_b<1 << FormTraits<F>::kBiasBits>(codes);
    store_b(to + Q * 64, codes);
    spread_group<F, Q + 1>(group, to);
  }
}

// What a panel's tile products need to know; steps are counted from the first group spread.
template <Form F>
struct TileWork {
  static constexpr int kHalves = FormTraits<F>::kHalves;
  static constexpr std::int64_t kStepColumns = kGroup / kHalves;
  const std::byte* spread;
  const std::byte* panel;
  std::int64_t groups;   // of the panel
  std::int64_t begin;    // the first group spread
  const std::int8_t* x;  // first token, first group
  std::int64_t x_ld;
  const float* xs;  // likewise
  const float* xsum;
  std::int64_t steps;     // groups, or halves of them
  const std::byte* next;  // a panel after these, or null: the same piece is fetched meanwhile
};

struct alignas(64) TileRing {
  std::int32_t sums[kTileSums][kTileTokens][kPanelRows];
};

template <class Tiles, Form F, int J>
HEARTH_INLINE void start_tile(const TileWork<F>& work, std::int64_t step, TileRing& ring) {
  constexpr int kA = kTileA + J % 2, kB = kTileB + J % 2;
  Tiles::template load<kA>(work.x + step * work.kStepColumns, work.x_ld);
  Tiles::template load<kB>(work.spread + step * work.kStepColumns * kPanelRows, 64);
  Tiles::template zero<J>();
  if constexpr (FormTraits<F>::kOffsets)
    Tiles::template multiply_unsigned<J, kA, kB>();
  else
    Tiles::template multiply_signed<J, kA, kB>();
  Tiles::template store<J>(ring.sums[J], 64);
  if (work.next && step % work.kHalves == 0)
    fetch_group<F>(work.next, work.begin + step / work.kHalves);
}

// The compiler would move all multiplications to the front, and spill.
HEARTH_INLINE void keep_in_order(Vf& v) { asm volatile("" : "+v"(v.v)); }

template <int M>
HEARTH_INLINE void add_scaled(const std::int32_t (&acc)[kTileTokens][kPanelRows], Vf ws,
                              const float* xs, std::int64_t ld, Vf (&sums)[kTileTokens]) {
  if constexpr (M < kTileTokens) {
    sums[M] = fma(to_float(load_i(acc[M])), mul(ws, set1(*xs)), sums[M]);
    keep_in_order(sums[M]);
    add_scaled<M + 1>(acc, ws, xs + ld, ld, sums);
  }
}

template <int M>
HEARTH_INLINE void add_offsets(Vf offset, const float* xsum, std::int64_t ld,
                               Vf (&sums)[kTileTokens]) {
  if constexpr (M < kTileTokens) {
    sums[M] = fma(offset, set1(*xsum), sums[M]);
    keep_in_order(sums[M]);
    add_offsets<M + 1>(offset, xsum + ld, ld, sums);
  }
}

template <Form F>
HEARTH_INLINE void add_tile(const TileWork<F>& work, std::int64_t step,
                            const std::int32_t (&acc)[kTileTokens][kPanelRows],
                            Vf (&sums)[kTileTokens]) {
  const std::int64_t g = step / work.kHalves;
  const std::int64_t of_panel = work.begin + g;
  const bool second = step % work.kHalves != 0;
  const Vf scales =
      second ? scales_of<F, 1>(work.panel, of_panel) : scales_of<F>(work.panel, of_panel);
  add_scaled<0>(acc, scales, work.xs + g, work.groups, sums);
  if constexpr (FormTraits<F>::kOffsets)
    add_offsets<0>(offsets_of<F>(work.panel, of_panel), work.xsum + g, work.groups, sums);
}

template <class Tiles, Form F, int J>
HEARTH_INLINE void start_tiles(const TileWork<F>& work, TileRing& ring) {
  if constexpr (J < kTilesAhead) {
    if (J < work.steps) start_tile<Tiles, F, J>(work, J, ring);
    start_tiles<Tiles, F, J + 1>(work, ring);
  }
}

template <class Tiles, Form F, int J>
HEARTH_INLINE void ring_round(const TileWork<F>& work, std::int64_t step, TileRing& ring,
                              Vf (&sums)[kTileTokens]) {
  if constexpr (J < kTileSums) {
    constexpr int kNext = (J + kTilesAhead) % kTileSums;
    if (step + J + kTilesAhead < work.steps)
      start_tile<Tiles, F, kNext>(work, step + J + kTilesAhead, ring);
    if (step + J < work.steps) add_tile<F>(work, step + J, ring.sums[J], sums);
    ring_round<Tiles, F, J + 1>(work, step, ring, sums);
  }
}

template <class Tiles, Form F>
HEARTH_INLINE void run_tiles(const TileWork<F>& work, Vf (&sums)[kTileTokens]) {
  TileRing ring;
  start_tiles<Tiles, F, 0>(work, ring);
  for (std::int64_t step = 0; step < work.steps; step += kTileSums)
    ring_round<Tiles, F, 0>(work, step, ring, sums);
}

// Tokens [m_begin, m_end), at least 16 and at most kBlockTokens, x NP panels.
template <class Tiles, Form F, int NP>
void block_tiles(const PackedMatrix& w, const QuantizedRows& x, const float* bias, Store mode,
                 std::int64_t panel, std::int64_t m_begin, std::int64_t m_end, float* out,
                 std::int64_t ld) {
  const std::int64_t groups = w.columns / kGroup;
  const std::int64_t bytes = panel_bytes(F, w.columns);
  alignas(64) std::byte spread[NP][kSpreadGroups * kQuadsPerGroup * 64];
  alignas(64) float kept[NP][kBlockTokens][kPanelRows];  // between pieces of a row
  const std::int64_t pieces = (groups + kSpreadGroups - 1) / kSpreadGroups;
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    const std::int64_t begin = groups * piece / pieces;
    const std::int64_t end = groups * (piece + 1) / pieces;
    for (int p = 0; p < NP; ++p)
      for (std::int64_t g = begin; g < end; ++g)
        spread_group<F, 0>(w.data + (panel + p) * bytes + codes_at(F, g),
                           spread[p] + (g - begin) * kQuadsPerGroup * 64);
    for (std::int64_t m = m_begin; m < m_end; m += kTileTokens) {
      // The last tile may begin among rows that are done: these are computed again and left alone.
      const std::int64_t first = std::min(m, m_end - kTileTokens);
      for (int p = 0; p < NP; ++p) {
        const TileWork<F> work = {spread[p],
                                  w.data + (panel + p) * bytes,
                                  groups,
                                  begin,
                                  x.codes + first * x.columns + begin * kGroup,
                                  x.columns,
                                  x.scales + first * groups + begin,
                                  x.scaled_sums + first * groups + begin,
                                  (end - begin) * FormTraits<F>::kHalves,
                                  m == m_begin ? w.data + (panel + p + NP) * bytes : nullptr};
        float* const at = kept[p][m - m_begin];
        Vf sums[kTileTokens];
        for (int i = 0; i < kTileTokens; ++i)
          sums[i] = piece == 0 ? zero() : load(at + i * kPanelRows);
        run_tiles<Tiles, F>(work, sums);
        for (int i = 0; i < kTileTokens; ++i) store(at + i * kPanelRows, sums[i]);
        if (piece + 1 < pieces) continue;
        const std::int64_t row = (panel + p) * kPanelRows;
        for (std::int64_t i = 0; i < kTileTokens; ++i)
          if (first + i >= m)
            finish_row(load(at + i * kPanelRows), bias ? bias + row : nullptr, mode, w.rows - row,
                       out + (first + i) * ld + row);
      }
    }
  }
}

template <class Tiles, Form F>
void matmul_form_tiles(const PackedMatrix& w, const QuantizedRows& x, const float* bias, Store mode,
                       std::int64_t panel_begin, std::int64_t panel_end, std::int64_t m_begin,
                       std::int64_t m_end, float* out, std::int64_t ld) {
  const std::int64_t rows = m_end - m_begin;
  if (rows < kTileTokens)
    return matmul_form<F>(w, x, bias, mode, panel_begin, panel_end, m_begin, m_end, out, ld);
  Tiles::configure(static_cast<int>(TileWork<F>::kStepColumns));
  const std::int64_t blocks = (rows + kBlockTokens - 1) / kBlockTokens;
  for (std::int64_t block = 0; block < blocks; ++block) {
    // Whole tiles, all but the last block's.
    const std::int64_t tiles = (rows + kTileTokens - 1) / kTileTokens;
    const std::int64_t begin = m_begin + tiles * block / blocks * kTileTokens;
    const std::int64_t end = std::min(m_end, m_begin + tiles * (block + 1) / blocks * kTileTokens);
    std::int64_t panel = panel_begin;
    for (; panel + 2 <= panel_end; panel += 2)
      block_tiles<Tiles, F, 2>(w, x, bias, mode, panel, begin, end, out, ld);
    if (panel < panel_end) block_tiles<Tiles, F, 1>(w, x, bias, mode, panel, begin, end, out, ld);
  }
  Tiles::release();
}

// Quantised weights x 8-bit activations on matrix tiles (AMX: tdpbsud, 16 tokens x 16 rows x 32
// columns in one instruction). A quad vector of packed.h is already a row of the tile of weights; 4
// to 6 bit codes are spread to bytes once for up to 48 tokens. The sums of integers are exact and
// the floating-point arithmetic is that of tile_q, so the results have the same bits: tokens that
// fill no tile go through tile_q.
//
// Per (16 tokens, panel, group), of 8192 multiply-adds: one tile product (16 cycles), then 16 times
// load, convert, multiply, load, fused multiply-add, store (about 32): half of what dot products
// take, and the conversions are the limit.
//
// `Tiles` is the processor's tiles or a model of them (see amx_test.cc): configure(a_bytes),
// zero<C>(), load<T>(from, stride), multiply<C, A, B>(), store<C>(to, stride), release().

inline constexpr std::int64_t kTileTokens = 16;
inline constexpr int kTokenTilesMax = 3;  // 3 x 2 tiles of sums, one of activations, one of weights
inline constexpr int kTileA = 6, kTileB = 7;

template <Form F, int Q, int QEnd>
HEARTH_INLINE void spread_codes(const std::byte* group, std::byte* to) {
  if constexpr (Q < QEnd) {
    store_b(to, load_quad<F, Q>(group));
    spread_codes<F, Q + 1, QEnd>(group, to + 64);
  }
}

template <int MT, int NP>
struct TileSums {
  alignas(64) float sums[NP][MT * kTileTokens][kPanelRows];
  alignas(64) std::int32_t acc[NP][MT * kTileTokens][kPanelRows];  // of one group
};

template <class Tiles, int NP, int MT, int P, int T>
HEARTH_INLINE void multiply_tiles(const std::byte* const (&b)[NP], const std::int8_t* x,
                                  std::int64_t ld, TileSums<MT, NP>& s) {
  if constexpr (P < NP) {
    if constexpr (T < MT) {
      if constexpr (T == 0) Tiles::template load<kTileB>(b[P], 64);
      constexpr int kSum = P * kTokenTilesMax + T;
      Tiles::template load<kTileA>(x + T * kTileTokens * ld, ld);
      Tiles::template zero<kSum>();
      Tiles::template multiply<kSum, kTileA, kTileB>();
      Tiles::template store<kSum>(s.acc[P][T * kTileTokens], 64);
      multiply_tiles<Tiles, NP, MT, P, T + 1>(b, x, ld, s);
    } else {
      multiply_tiles<Tiles, NP, MT, P + 1, 0>(b, x, ld, s);
    }
  }
}

template <class Tiles, Form F, int NP, int MT>
void tiles_q(const PackedMatrix& w, const QuantizedRows& x, const float* bias, Store mode,
             std::int64_t panel, std::int64_t m0, float* out, std::int64_t ld) {
  using Traits = FormTraits<F>;
  constexpr FormLayout kLayout = layout_of(F);
  constexpr int kHalves = Traits::kHalves;
  constexpr int kQuads = kQuadsPerGroup / kHalves;
  const std::int64_t groups = w.columns / kGroup;
  const std::int64_t bytes = panel_bytes(F, w.columns);
  const float* xs = x.scales + m0 * groups;
  const float* xsum = x.scaled_sums + m0 * groups;
  const std::int32_t* minus = x.minus_sums + m0 * groups * 2;
  TileSums<MT, NP> s;
  std::memset(s.sums, 0, sizeof s.sums);
  alignas(64) std::byte spread[NP][kQuadsPerGroup * 64];
  for (std::int64_t g = 0; g < groups; ++g) {
    const std::byte* scales[NP];
    const std::byte* codes[NP];
    for (int p = 0; p < NP; ++p) {
      const std::byte* const data = w.data + (panel + p) * bytes;
      const std::byte* const group = data + g * kLayout.code_stride;
      scales[p] = data + scales_offset(F, groups) + g * kLayout.scale_stride;
      codes[p] = group;
      if constexpr (F != Form::kQ8) {
        spread_codes<F, 0, kQuadsPerGroup>(group, spread[p]);
        codes[p] = spread[p];
      }
    }
    for (int half = 0; half < kHalves; ++half) {
      const std::byte* b[NP];
      for (int p = 0; p < NP; ++p) b[p] = codes[p] + half * kQuads * 64;
      multiply_tiles<Tiles, NP, MT, 0, 0>(
          b, x.codes + m0 * x.columns + g * kGroup + half * kQuads * 4, x.columns, s);
      for (int p = 0; p < NP; ++p) {
        const Vf ws = load_f16(scales[p] + half * 32);
        const Vf offset = Traits::kOffsets ? load_f16(scales[p] + kOffsetsAfterScales) : zero();
        for (std::int64_t m = 0; m < MT * kTileTokens; ++m) {
          float* const at = s.sums[p][m];
          Vi acc = load_i(s.acc[p][m]);
          if constexpr (Traits::kBiasBits != 0) {
            const std::int32_t* of_group = minus + (m * groups + g) * 2;
            const std::int32_t start = kHalves == 1 ? of_group[1]
                                       : half == 0  ? of_group[0]
                                                    : of_group[1] - of_group[0];
            acc = add_i(acc, shift_left<Traits::kBiasBits>(set1_i(start)));
          }
          Vf sum = fma(to_float(acc), mul(ws, set1(xs[m * groups + g])), load(at));
          if constexpr (Traits::kOffsets) sum = fma(offset, set1(xsum[m * groups + g]), sum);
          store(at, sum);
        }
      }
    }
  }
  for (int p = 0; p < NP; ++p) {
    const std::int64_t row = (panel + p) * kPanelRows;
    for (std::int64_t m = 0; m < MT * kTileTokens; ++m)
      finish_row(load(s.sums[p][m]), bias ? bias + row : nullptr, mode, w.rows - row,
                 out + (m0 + m) * ld + row);
  }
}

template <class Tiles, Form F, int NP>
void panels_tiles(const PackedMatrix& w, const QuantizedRows& x, const float* bias, Store mode,
                  std::int64_t panel, std::int64_t m_begin, std::int64_t m_end, float* out,
                  std::int64_t ld) {
  std::int64_t m = m_begin;
  for (; m + 3 * kTileTokens <= m_end; m += 3 * kTileTokens)
    tiles_q<Tiles, F, NP, 3>(w, x, bias, mode, panel, m, out, ld);
  if (m + 2 * kTileTokens <= m_end) {
    tiles_q<Tiles, F, NP, 2>(w, x, bias, mode, panel, m, out, ld);
    m += 2 * kTileTokens;
  }
  if (m + kTileTokens <= m_end) {
    tiles_q<Tiles, F, NP, 1>(w, x, bias, mode, panel, m, out, ld);
    m += kTileTokens;
  }
  if (m < m_end) panels_q<F, NP>(w, x, bias, mode, panel, m, m_end, out, ld);
}

template <class Tiles, Form F>
void matmul_form_tiles(const PackedMatrix& w, const QuantizedRows& x, const float* bias, Store mode,
                       std::int64_t panel_begin, std::int64_t panel_end, std::int64_t m_begin,
                       std::int64_t m_end, float* out, std::int64_t ld) {
  if (m_end - m_begin < kTileTokens)
    return matmul_form<F>(w, x, bias, mode, panel_begin, panel_end, m_begin, m_end, out, ld);
  Tiles::configure(static_cast<int>(kGroup) / FormTraits<F>::kHalves);
  std::int64_t panel = panel_begin;
  for (; panel + 2 <= panel_end; panel += 2)
    panels_tiles<Tiles, F, 2>(w, x, bias, mode, panel, m_begin, m_end, out, ld);
  for (; panel < panel_end; ++panel)
    panels_tiles<Tiles, F, 1>(w, x, bias, mode, panel, m_begin, m_end, out, ld);
  Tiles::release();
}

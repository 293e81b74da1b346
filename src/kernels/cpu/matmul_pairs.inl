// bfloat16 weights in pairs of columns x activations rounded to bfloat16: vdpbf16ps, 32
// multiply-adds an instruction, in the order of the columns. A tile of 12 tokens x 2 panels takes
// 14 loads for 24 of them: arithmetic is its limit (twice the float32 one). Decode reads each
// weight once: bandwidth.

inline constexpr int kPairRows = 12;

template <int MR, int NP>
void tile_pairs(const PackedMatrix& w, const std::uint32_t* x, const float* bias, Store mode,
                std::int64_t panel, std::int64_t ahead, float* out, std::int64_t ld) {
  const std::int64_t pairs = (w.columns + 1) / 2;
  const std::byte* weights[NP];
  for (int p = 0; p < NP; ++p) weights[p] = w.data + (panel + p) * pairs * 64;
  __m512 sums[NP][MR];
  for (int p = 0; p < NP; ++p)
    for (int m = 0; m < MR; ++m) sums[p][m] = _mm512_setzero_ps();
  for (std::int64_t k = 0; k < pairs; ++k) {
    __m512bh v[NP];
    for (int p = 0; p < NP; ++p) v[p] = load_pairs(weights[p] + k * 64);
    if (ahead != 0)
      for (int p = 0; p < NP; ++p) _mm_prefetch(weights[p] + k * 64 + ahead, _MM_HINT_T0);
    for (int m = 0; m < MR; ++m) {
      const __m512bh xm = set_pair(x + m * pairs + k);
      for (int p = 0; p < NP; ++p) sums[p][m] = _mm512_dpbf16_ps(sums[p][m], xm, v[p]);
    }
  }
  for (int p = 0; p < NP; ++p) {
    const std::int64_t row = (panel + p) * kPanelRows;
    for (int m = 0; m < MR; ++m)
      finish_row({sums[p][m]}, bias ? bias + row : nullptr, mode, w.rows - row, out + m * ld + row);
  }
}

template <int NP, int MR = kPairRows>
HEARTH_INLINE void rows_pairs(const PackedMatrix& w, const std::uint32_t* x, const float* bias,
                              Store mode, std::int64_t panel, std::int64_t rows, std::int64_t ahead,
                              float* out, std::int64_t ld) {
  if constexpr (MR > 0) {
    if (rows != MR) return rows_pairs<NP, MR - 1>(w, x, bias, mode, panel, rows, ahead, out, ld);
    tile_pairs<MR, NP>(w, x, bias, mode, panel, ahead, out, ld);
  }
}

template <int NP>
void panels_pairs(const PackedMatrix& w, const std::uint32_t* x, std::int64_t m_begin,
                  std::int64_t m_end, const float* bias, Store mode, std::int64_t panel, float* out,
                  std::int64_t ld) {
  std::int64_t ahead = NP * panel_bytes(Form::kPairs, w.columns);
  std::int64_t m = m_begin;
  for (std::int64_t tiles = (m_end - m_begin + kPairRows - 1) / kPairRows; tiles > 0; --tiles) {
    const std::int64_t rows = (m_end - m + tiles - 1) / tiles;
    rows_pairs<NP>(w, x + (m - m_begin) * ((w.columns + 1) / 2), bias, mode, panel, rows, ahead,
                   out + m * ld, ld);
    m += rows;
    ahead = 0;
  }
}

void matmul_pairs(const PackedMatrix& w, const float* x, std::int64_t x_ld, const float* bias,
                  Store mode, std::int64_t panel_begin, std::int64_t panel_end,
                  std::int64_t m_begin, std::int64_t m_end, float* out, std::int64_t ld,
                  float* scratch) {
  auto* const pairs = static_cast<std::uint32_t*>(static_cast<void*>(scratch));
  round_to_pairs(x, x_ld, m_begin, m_end, w.columns, (w.columns + 1) / 2, pairs);
  std::int64_t panel = panel_begin;
  for (; panel + 2 <= panel_end; panel += 2)
    panels_pairs<2>(w, pairs, m_begin, m_end, bias, mode, panel, out, ld);
  if (panel < panel_end) panels_pairs<1>(w, pairs, m_begin, m_end, bias, mode, panel, out, ld);
}

// F32, F16 and BF16 weights x float32 activations: one fused multiply-add per 16 weights and token,
// in the order of the columns. Decode reads each weight once: bandwidth is its limit.

template <Form F>
HEARTH_INLINE Vf load_weights(const std::byte* p) {
  if constexpr (F == Form::kF32)
    return load(static_cast<const float*>(static_cast<const void*>(p)));
  if constexpr (F == Form::kF16) return load_f16(p);
  return load_bf16(p);
}

template <Form F, int MR, int NP>
void tile_f(const PackedMatrix& w, const float* x, std::int64_t x_ld, const float* bias, Store mode,
            std::int64_t panel, std::int64_t m0, std::int64_t ahead, float* out, std::int64_t ld) {
  constexpr std::int64_t kStep = kPanelRows * (F == Form::kF32 ? 4 : 2);
  const std::int64_t bytes = panel_bytes(F, w.columns);
  const std::byte* weights[NP];
  for (int p = 0; p < NP; ++p) weights[p] = w.data + (panel + p) * bytes;
  const float* rows = x + m0 * x_ld;
  Vf sums[NP][MR];
  for (int p = 0; p < NP; ++p)
    for (int m = 0; m < MR; ++m) sums[p][m] = zero();
  for (std::int64_t k = 0; k < w.columns; ++k) {
    Vf v[NP];
    for (int p = 0; p < NP; ++p) v[p] = load_weights<F>(weights[p] + k * kStep);
    if (ahead != 0)
      for (int p = 0; p < NP; ++p) _mm_prefetch(weights[p] + k * kStep + ahead, _MM_HINT_T0);
    for (int m = 0; m < MR; ++m) {
      const Vf xm = set1(rows[m * x_ld + k]);
      for (int p = 0; p < NP; ++p) sums[p][m] = fma(v[p], xm, sums[p][m]);
    }
  }
  for (int p = 0; p < NP; ++p) {
    const std::int64_t row = (panel + p) * kPanelRows;
    for (int m = 0; m < MR; ++m)
      finish_row(sums[p][m], bias ? bias + row : nullptr, mode, w.rows - row,
                 out + (m0 + m) * ld + row);
  }
}

template <Form F, int NP, int MR = kMatmulRowsF>
HEARTH_INLINE void rows_f(const PackedMatrix& w, const float* x, std::int64_t x_ld,
                          const float* bias, Store mode, std::int64_t panel, std::int64_t m,
                          std::int64_t rows, std::int64_t ahead, float* out, std::int64_t ld) {
  if constexpr (MR > 0) {
    if (rows != MR)
      return rows_f<F, NP, MR - 1>(w, x, x_ld, bias, mode, panel, m, rows, ahead, out, ld);
    tile_f<F, MR, NP>(w, x, x_ld, bias, mode, panel, m, ahead, out, ld);
  }
}

template <Form F, int NP>
void panels_f(const PackedMatrix& w, const float* x, std::int64_t x_ld, const float* bias,
              Store mode, std::int64_t panel, std::int64_t m_begin, std::int64_t m_end, float* out,
              std::int64_t ld) {
  std::int64_t ahead = NP * panel_bytes(F, w.columns);
  std::int64_t m = m_begin;
  for (std::int64_t tiles = (m_end - m_begin + kMatmulRowsF - 1) / kMatmulRowsF; tiles > 0;
       --tiles) {
    const std::int64_t rows = (m_end - m + tiles - 1) / tiles;
    rows_f<F, NP>(w, x, x_ld, bias, mode, panel, m, rows, ahead, out, ld);
    m += rows;
    ahead = 0;
  }
}

// clang-format off
#if HEARTH_HAVE_BF16
#include "kernels/cpu/pairs.inl"
#if HEARTH_HAVE_TILES
#include "kernels/cpu/tiles_bf16.inl"
#include "kernels/cpu/matmul_pairs_tiles.inl"
#else
#include "kernels/cpu/matmul_pairs.inl"
#endif
#endif
// clang-format on

void matmul_f(const PackedMatrix& w, const float* x, std::int64_t x_ld, const float* bias,
              Store mode, std::int64_t panel_begin, std::int64_t panel_end, std::int64_t m_begin,
              std::int64_t m_end, float* out, std::int64_t ld, [[maybe_unused]] float* scratch) {
  const auto run = [&](auto form) {
    std::int64_t panel = panel_begin;
    for (; panel + kMatmulPanels <= panel_end; panel += kMatmulPanels)
      panels_f<form.value, kMatmulPanels>(w, x, x_ld, bias, mode, panel, m_begin, m_end, out, ld);
    for (; panel < panel_end; ++panel)
      panels_f<form.value, 1>(w, x, x_ld, bias, mode, panel, m_begin, m_end, out, ld);
  };
  switch (w.form) {
    case Form::kF32:
      return run(std::integral_constant<Form, Form::kF32>());
    case Form::kF16:
      return run(std::integral_constant<Form, Form::kF16>());
    case Form::kBF16:
      return run(std::integral_constant<Form, Form::kBF16>());
#if HEARTH_HAVE_BF16
    case Form::kPairs:
      return matmul_pairs(w, x, x_ld, bias, mode, panel_begin, panel_end, m_begin, m_end, out, ld,
                          scratch);
#endif
    default:
      HEARTH_CHECK(false);
  }
}

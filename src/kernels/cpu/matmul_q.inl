// Quantised weights x 8-bit activations (see packed.h and QuantizedRows). A register tile of MR
// tokens x NP panels runs down all groups; per group and (token, panel) it costs 8 dot
// instructions, one conversion, one multiply and one or two fused multiply-adds for 16 * 32
// multiply-adds: at best 8/11 of the machine's integer peak. Without such an instruction (AVX2) a
// dot product is two multiplications and two additions of half its width, 32 of 44 instructions.
// With one token the weights' bytes are the limit instead.

// Into the first-level cache, meanwhile.
HEARTH_INLINE void fetch(const std::byte* p, std::int64_t bytes) {
  for (std::int64_t line = 0; line < bytes; line += 64) _mm_prefetch(p + line, _MM_HINT_T0);
}

template <Form F>
struct FormTraits {
  static constexpr bool kOffsets = F == Form::kQ4 || F == Form::kQ4K || F == Form::kQ5;
  static constexpr int kHalves = F == Form::kQ6 ? 2 : 1;  // scales per group
  // What a code is off by, a power of two; folded into the start of the integer sum, exactly.
  static constexpr int kBiasBits = F == Form::kQ4S                ? 3
                                   : F == Form::kQ6               ? 5
                                   : F == Form::kQ8 && !kSignedQ8 ? 7
                                                                  : 0;
};

// Quad q (4 columns) of a group: 16 rows x 4 code bytes.
template <Form F, int Q>
HEARTH_INLINE Vb load_quad(const std::byte* group) {
  if constexpr (F == Form::kQ8) {
    return load_b(group + Q * 64);
  } else {
    const Vb pair = load_b(group + (Q / 2) * 64);
    const Vb nibbles = Q % 2 == 0 ? low_nibbles(pair) : high_nibbles(pair);
    if constexpr (F == Form::kQ5) return or_bit4(nibbles, group + kQ5HighOffset + Q * 8);
    if constexpr (F == Form::kQ6)
      return or_bits45<2 * (Q % 4)>(nibbles, load_b(group + kQ6HighOffset + (Q / 4) * 64));
    return nibbles;
  }
}

#if HEARTH_HAVE_DOT
template <Form F>
inline constexpr int kTileRows = kMatmulRows;

template <Form F, int Q, int QEnd, int MR, int NP>
HEARTH_INLINE void accumulate(Vi (&acc)[NP][MR], const std::byte* const (&group)[NP],
                              const std::int8_t* x, std::int64_t ld) {
  if constexpr (Q < QEnd) {
    Vb codes[NP];
    for (int p = 0; p < NP; ++p) codes[p] = load_quad<F, Q>(group[p]);
    for (int m = 0; m < MR; ++m)
      for (int p = 0; p < NP; ++p) dot(acc[p][m], codes[p], x + m * ld + Q * 4);
    accumulate<F, Q + 1, QEnd, MR, NP>(acc, group, x, ld);
  }
}
#else
// vpmaddubsw adds pairs of products into 16 bits. How many of these sums can be added up before
// they must be widened follows from the largest code: 2 * 127 * code_max * n <= 32767.
template <Form F>
inline constexpr int kQuadsPerWord = F == Form::kQ4 || F == Form::kQ4K || F == Form::kQ4S ? 8
                                     : F == Form::kQ5                                     ? 4
                                     : F == Form::kQ6                                     ? 2
                                                                                          : 1;

// Where they are widened more than once but not each time, both kinds of sums need registers.
template <Form F>
inline constexpr int kTileRows = kQuadsPerWord<F> == 8 || kQuadsPerWord<F> == 1 ? kMatmulRows : 4;

template <Form F>
HEARTH_INLINE Vi dot16(Vb codes, const std::int8_t* x) {
  std::int32_t four;
  std::memcpy(&four, x, sizeof four);
  const __m256i b = _mm256_set1_epi32(four);
  if constexpr (F == Form::kQ8) {
    // 255 * 127 * 2 would saturate: multiply |w| with x * sign(w).
    const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
    const __m256i wl = _mm256_xor_si256(codes.l, flip);
    const __m256i wh = _mm256_xor_si256(codes.h, flip);
    return {_mm256_maddubs_epi16(_mm256_abs_epi8(wl), _mm256_sign_epi8(b, wl)),
            _mm256_maddubs_epi16(_mm256_abs_epi8(wh), _mm256_sign_epi8(b, wh))};
  } else {
    return {_mm256_maddubs_epi16(codes.l, b), _mm256_maddubs_epi16(codes.h, b)};
  }
}

template <Form F, int Q, int QEnd, int MR>
HEARTH_INLINE void add_words(Vi (&words)[MR], const std::byte* group, const std::int8_t* x,
                             std::int64_t ld) {
  if constexpr (Q < QEnd) {
    const Vb codes = load_quad<F, Q>(group);
    for (int m = 0; m < MR; ++m) {
      const Vi t = dot16<F>(codes, x + m * ld + Q * 4);
      words[m] = {_mm256_add_epi16(words[m].l, t.l), _mm256_add_epi16(words[m].h, t.h)};
    }
    add_words<F, Q + 1, QEnd, MR>(words, group, x, ld);
  }
}

template <Form F, int Q, int QEnd, int MR, int NP>
HEARTH_INLINE void accumulate(Vi (&acc)[NP][MR], const std::byte* const (&group)[NP],
                              const std::int8_t* x, std::int64_t ld) {
  static_assert(NP == 1);
  if constexpr (Q < QEnd) {
    constexpr int kNext = Q + kQuadsPerWord<F> < QEnd ? Q + kQuadsPerWord<F> : QEnd;
    Vi words[MR];
    for (int m = 0; m < MR; ++m) words[m] = zero_i();
    add_words<F, Q, kNext, MR>(words, group[0], x, ld);
    const __m256i ones = _mm256_set1_epi16(1);
    for (int m = 0; m < MR; ++m)
      acc[0][m] = {_mm256_add_epi32(acc[0][m].l, _mm256_madd_epi16(words[m].l, ones)),
                   _mm256_add_epi32(acc[0][m].h, _mm256_madd_epi16(words[m].h, ones))};
    accumulate<F, kNext, QEnd, MR, NP>(acc, group, x, ld);
  }
}
#endif

// Of a group's half, or of all of it.
template <Form F, int Half = 0>
HEARTH_INLINE Vf scales_of(const std::byte* panel, std::int64_t g) {
  const Vf scale = load_f16(panel + scales_at(F, g) + Half * 32);
  if constexpr (F == Form::kQ4K)
    return mul(scale, load_u8(panel + scale_bytes_at(g)));
  else
    return scale;
}

template <Form F>
HEARTH_INLINE Vf offsets_of(const std::byte* panel, std::int64_t g) {
  const Vf offset = load_f16(panel + scales_at(F, g) + kOffsetsAfterScales);
  if constexpr (F == Form::kQ4K)
    return mul(offset, load_u8(panel + scale_bytes_at(g) + kOffsetBytesAfterScaleBytes));
  else
    return offset;
}

// What the group g of a panel is read from.
template <Form F>
HEARTH_INLINE void fetch_group(const std::byte* panel, std::int64_t g) {
  fetch(panel + codes_at(F, g), code_bytes(F));
  if constexpr (F == Form::kQ4K) {
    if (g % 2 != 0) _mm_prefetch(panel + scale_bytes_at(g), _MM_HINT_T0);
    if (g % kSuperGroups != 0) return;
  }
  _mm_prefetch(panel + scales_at(F, g), _MM_HINT_T0);
}

HEARTH_INLINE void finish_row(Vf y, const float* bias, Store mode, std::int64_t rows, float* out) {
  if (rows >= kPanelRows) {
    if (bias) y = add(y, load(bias));
    if (mode == Store::kAdd) y = add(load(out), y);
    store(out, y);
  } else {
    if (bias) y = add(y, load_part(bias, rows));
    if (mode == Store::kAdd) y = add(load_part(out, rows), y);
    store_part(out, rows, y);
  }
}

template <Form F, int MR, int NP>
void tile_q(const PackedMatrix& w, const QuantizedRows& x, const float* bias, Store mode,
            std::int64_t panel, std::int64_t m0, std::int64_t ahead, float* out, std::int64_t ld) {
  using Traits = FormTraits<F>;
  const std::int64_t groups = w.columns / kGroup;
  const std::int64_t bytes = panel_bytes(F, w.columns);
  const std::byte* panels[NP];
  for (int p = 0; p < NP; ++p) panels[p] = w.data + (panel + p) * bytes;
  const std::int8_t* xc = x.codes + m0 * x.columns;
  const float* xs = x.scales + m0 * groups;
  const float* xsum = x.scaled_sums + m0 * groups;
  const std::int32_t* minus = x.minus_sums + m0 * groups * 2;

  Vf sums[NP][MR];
  for (int p = 0; p < NP; ++p)
    for (int m = 0; m < MR; ++m) sums[p][m] = zero();

  for (std::int64_t g = 0; g < groups; ++g) {
    // The compiler must not give them registers.
    if constexpr (kSumsInMemory && MR > 1) asm volatile("" ::"r"(&sums) : "memory");
    constexpr int kQuads = kQuadsPerGroup / Traits::kHalves;
    if (ahead != 0)
      for (int p = 0; p < NP; ++p) fetch_group<F>(panels[p] + ahead, g);
    const std::byte* codes[NP];
    for (int p = 0; p < NP; ++p) codes[p] = panels[p] + codes_at(F, g);
    Vi acc[NP][MR];
    for (int m = 0; m < MR; ++m) {
      Vi start = zero_i();
      if constexpr (Traits::kBiasBits != 0) {
        const std::int32_t* of_group = minus + (m * groups + g) * 2;
        start = shift_left<Traits::kBiasBits>(set1_i(of_group[Traits::kHalves == 2 ? 0 : 1]));
      }
      for (int p = 0; p < NP; ++p) acc[p][m] = start;
    }
    accumulate<F, 0, kQuads, MR, NP>(acc, codes, xc + g * kGroup, x.columns);
    for (int p = 0; p < NP; ++p) {
      const Vf ws = scales_of<F>(panels[p], g);
      for (int m = 0; m < MR; ++m)
        sums[p][m] = fma(to_float(acc[p][m]), mul(ws, set1(xs[m * groups + g])), sums[p][m]);
    }
    if constexpr (Traits::kHalves == 2) {
      for (int m = 0; m < MR; ++m) {
        const std::int32_t* of_group = minus + (m * groups + g) * 2;
        const Vi start =
            shift_left<Traits::kBiasBits>(sub_i(set1_i(of_group[1]), set1_i(of_group[0])));
        for (int p = 0; p < NP; ++p) acc[p][m] = start;
      }
      accumulate<F, kQuads, 2 * kQuads, MR, NP>(acc, codes, xc + g * kGroup, x.columns);
      for (int p = 0; p < NP; ++p) {
        const Vf ws = scales_of<F, 1>(panels[p], g);
        for (int m = 0; m < MR; ++m)
          sums[p][m] = fma(to_float(acc[p][m]), mul(ws, set1(xs[m * groups + g])), sums[p][m]);
      }
    }
    if constexpr (Traits::kOffsets) {
      for (int p = 0; p < NP; ++p) {
        const Vf offset = offsets_of<F>(panels[p], g);
        for (int m = 0; m < MR; ++m)
          sums[p][m] = fma(offset, set1(xsum[m * groups + g]), sums[p][m]);
      }
    }
  }
  for (int p = 0; p < NP; ++p) {
    const std::int64_t row = (panel + p) * kPanelRows;
    for (int m = 0; m < MR; ++m)
      finish_row(sums[p][m], bias ? bias + row : nullptr, mode, w.rows - row,
                 out + (m0 + m) * ld + row);
  }
}

template <Form F, int NP, int MR = kTileRows<F>>
HEARTH_INLINE void rows_q(const PackedMatrix& w, const QuantizedRows& x, const float* bias,
                          Store mode, std::int64_t panel, std::int64_t m, std::int64_t rows,
                          std::int64_t ahead, float* out, std::int64_t ld) {
  if constexpr (MR > 0) {
    if (rows != MR) return rows_q<F, NP, MR - 1>(w, x, bias, mode, panel, m, rows, ahead, out, ld);
    tile_q<F, MR, NP>(w, x, bias, mode, panel, m, ahead, out, ld);
  }
}

template <Form F, int NP>
void panels_q(const PackedMatrix& w, const QuantizedRows& x, const float* bias, Store mode,
              std::int64_t panel, std::int64_t m_begin, std::int64_t m_end, float* out,
              std::int64_t ld) {
  // Tiles of nearly one size: a tile of few rows leaves the multipliers waiting for their sums.
  // The first tile fetches the panels of the next ones while it computes.
  std::int64_t ahead = NP * panel_bytes(F, w.columns);
  std::int64_t m = m_begin;
  for (std::int64_t tiles = (m_end - m_begin + kTileRows<F> - 1) / kTileRows<F>; tiles > 0;
       --tiles) {
    const std::int64_t rows = (m_end - m + tiles - 1) / tiles;
    rows_q<F, NP>(w, x, bias, mode, panel, m, rows, ahead, out, ld);
    m += rows;
    ahead = 0;
  }
}

template <Form F>
void matmul_form(const PackedMatrix& w, const QuantizedRows& x, const float* bias, Store mode,
                 std::int64_t panel_begin, std::int64_t panel_end, std::int64_t m_begin,
                 std::int64_t m_end, float* out, std::int64_t ld) {
  std::int64_t panel = panel_begin;
  // A single tile waits for memory, and one panel at a time is read in the order in which it lies:
  // a tenth faster (measured on Zen 5).
  const bool waits = m_end - m_begin <= kTileRows<F>;
  for (; !waits && panel + kMatmulPanels <= panel_end; panel += kMatmulPanels)
    panels_q<F, kMatmulPanels>(w, x, bias, mode, panel, m_begin, m_end, out, ld);
  for (; panel < panel_end; ++panel)
    panels_q<F, 1>(w, x, bias, mode, panel, m_begin, m_end, out, ld);
}

// Calls run(std::integral_constant<Form, w.form>()).
template <class Run>
HEARTH_INLINE void for_form(Form form, Run run) {
  switch (form) {
    case Form::kQ4S:
      return run(std::integral_constant<Form, Form::kQ4S>());
    case Form::kQ4:
      return run(std::integral_constant<Form, Form::kQ4>());
    case Form::kQ4K:
      return run(std::integral_constant<Form, Form::kQ4K>());
    case Form::kQ5:
      return run(std::integral_constant<Form, Form::kQ5>());
    case Form::kQ6:
      return run(std::integral_constant<Form, Form::kQ6>());
    case Form::kQ8:
      return run(std::integral_constant<Form, Form::kQ8>());
    default:
      HEARTH_CHECK(false);
  }
}

#if HEARTH_HAVE_TILES
#include "kernels/cpu/matmul_tiles.inl"
#endif

void matmul_q(const PackedMatrix& w, const QuantizedRows& x, const float* bias, Store mode,
              std::int64_t panel_begin, std::int64_t panel_end, std::int64_t m_begin,
              std::int64_t m_end, float* out, std::int64_t ld) {
  for_form(w.form, [&](auto form) {
#if HEARTH_HAVE_TILES
    matmul_form_tiles<Tiles, form.value>(w, x, bias, mode, panel_begin, panel_end, m_begin, m_end,
                                         out, ld);
#else
    matmul_form<form.value>(w, x, bias, mode, panel_begin, panel_end, m_begin, m_end, out, ld);
#endif
  });
}

inline constexpr int kQuantizeGroups = 16;  // at a time: their divisions are two vector divisions

// Groups of 32 values x (count, 32) into groups first, first + step, ... (counted over all rows) of
// `out`. About 25 instructions a group, a third of them for its largest magnitude.
HEARTH_INLINE void quantize_groups(const float* x, int count, const QuantizedRows& out,
                                   std::int64_t first, std::int64_t step) {
  // Magnitudes compare like their bits, and NaN and infinity are above all others.
  alignas(64) std::int32_t bits[kQuantizeGroups];
  alignas(64) float scales[kQuantizeGroups];
  alignas(64) float inverses[kQuantizeGroups];
  for (int i = 0; i < count; ++i)
    bits[i] = max_lane_i(
        max_i(as_int(abs(load(x + i * kGroup))), as_int(abs(load(x + i * kGroup + 16)))));
  bool all_finite = true;
  for (int i = 0; i < count; ++i) {
    const auto largest = __builtin_bit_cast(float, bits[i]);
    scales[i] = largest / 127.f;
    inverses[i] = largest > kSmallestScaled ? 127.f / largest : 0.f;
    all_finite = all_finite && bits[i] < 0x7f800000;
  }
  for (int i = 0; i < count; ++i) {
    const std::int64_t at = first + i * step;
    const Vf inverse = set1(inverses[i]);
    std::int32_t sum_first, sum_second;
    store_codes(out.codes + at * kGroup, round_to_int(mul(load(x + i * kGroup), inverse)),
                round_to_int(mul(load(x + i * kGroup + 16), inverse)), sum_first, sum_second);
    out.minus_sums[at * 2] = -sum_first;
    out.minus_sums[at * 2 + 1] = -sum_first - sum_second;
    out.scales[at] = scales[i];
    out.scaled_sums[at] = scales[i] * static_cast<float>(sum_first + sum_second);
  }
  if (all_finite) return;
  // NaN and infinity must not vanish here: they make the scale, and so every output, NaN.
  for (int i = 0; i < count; ++i) {
    if (bits[i] < 0x7f800000) continue;
    const std::int64_t at = first + i * step;
    std::memset(out.codes + at * kGroup, 0, kGroup);
    out.minus_sums[at * 2] = out.minus_sums[at * 2 + 1] = 0;
    out.scales[at] = out.scaled_sums[at] = std::numeric_limits<float>::quiet_NaN();
  }
}

void quantize_rows(const float* x, std::int64_t ld, std::int64_t m_begin, std::int64_t m_end,
                   const QuantizedRows& out) {
  const std::int64_t groups = out.columns / kGroup;
  for (std::int64_t m = m_begin; m < m_end; ++m)
    for (std::int64_t g = 0; g < groups; g += kQuantizeGroups)
      quantize_groups(x + m * ld + g * kGroup,
                      static_cast<int>(std::min<std::int64_t>(kQuantizeGroups, groups - g)), out,
                      m * groups + g, 1);
}

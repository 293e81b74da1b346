// Vectors of 16 pairs of bfloat16, as products of pairs take them.

HEARTH_INLINE __m512bh as_pairs(__m512i v) { return __builtin_bit_cast(__m512bh, v); }
HEARTH_INLINE __m512bh load_pairs(const void* p) { return as_pairs(_mm512_loadu_si512(p)); }
HEARTH_INLINE __m512bh set_pair(const std::uint32_t* p) {
  return as_pairs(_mm512_set1_epi32(static_cast<std::int32_t>(*p)));
}

// Rows [m_begin, m_end) of x as pairs (rows, pairs), zero behind the last column.
HEARTH_INLINE void round_to_pairs(const float* x, std::int64_t x_ld, std::int64_t m_begin,
                                  std::int64_t m_end, std::int64_t columns, std::int64_t pairs,
                                  std::uint32_t* to) {
  for (std::int64_t m = m_begin; m < m_end; ++m, to += pairs) {
    auto* row = static_cast<std::uint16_t*>(static_cast<void*>(to));
    for (std::int64_t k = 0; k < pairs * 2; k += 16) {
      const std::int64_t n = std::clamp<std::int64_t>(columns - k, 0, 16);
      const __m256bh rounded = _mm512_cvtneps_pbh(load_part(x + m * x_ld + k, n).v);
      const std::int64_t kept = std::min<std::int64_t>(16, pairs * 2 - k);
      _mm256_mask_storeu_epi16(row + k, static_cast<__mmask16>((1u << kept) - 1),
                               __builtin_bit_cast(__m256i, rounded));
    }
  }
}

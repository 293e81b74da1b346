// 16 lanes in two 256-bit registers: the vocabulary of simd_avx512.inl for AVX2 (with FMA and
// F16C). HEARTH_DOT256(acc, codes, x) is vpdpbusd where AVX-VNNI has it; without it see
// matmul_q.inl.

struct Vf {
  __m256 l, h;
};
struct Vi {
  __m256i l, h;
};
struct Vb {
  __m256i l, h;
};

inline constexpr int kMatmulPanels = 1;
inline constexpr int kMatmulRowsF = 4;
inline constexpr int kAttentionRows = 4;  // x 16 keys (or columns): 8 sums, 2 loads, a broadcast
inline constexpr int kScoreVectors = 1;   // of 16 keys at a time

#ifndef HEARTH_INLINE
#define HEARTH_INLINE [[gnu::always_inline]] inline
#endif

HEARTH_INLINE Vf zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
HEARTH_INLINE Vf set1(float x) {
  const __m256 v = _mm256_set1_ps(x);
  return {v, v};
}
HEARTH_INLINE Vf load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
HEARTH_INLINE void store(float* p, Vf a) {
  _mm256_storeu_ps(p, a.l);
  _mm256_storeu_ps(p + 8, a.h);
}
HEARTH_INLINE Vf load_part(const float* p, std::int64_t n) {
  float buffer[16] = {};
  std::memcpy(buffer, p, static_cast<std::size_t>(n) * sizeof(float));
  return load(buffer);
}
HEARTH_INLINE void store_part(float* p, std::int64_t n, Vf a) {
  float buffer[16];
  store(buffer, a);
  std::memcpy(p, buffer, static_cast<std::size_t>(n) * sizeof(float));
}
HEARTH_INLINE Vf add(Vf a, Vf b) { return {_mm256_add_ps(a.l, b.l), _mm256_add_ps(a.h, b.h)}; }
HEARTH_INLINE Vf sub(Vf a, Vf b) { return {_mm256_sub_ps(a.l, b.l), _mm256_sub_ps(a.h, b.h)}; }
HEARTH_INLINE Vf mul(Vf a, Vf b) { return {_mm256_mul_ps(a.l, b.l), _mm256_mul_ps(a.h, b.h)}; }
HEARTH_INLINE Vf div(Vf a, Vf b) { return {_mm256_div_ps(a.l, b.l), _mm256_div_ps(a.h, b.h)}; }
HEARTH_INLINE Vf max(Vf a, Vf b) { return {_mm256_max_ps(a.l, b.l), _mm256_max_ps(a.h, b.h)}; }
HEARTH_INLINE Vf min(Vf a, Vf b) { return {_mm256_min_ps(a.l, b.l), _mm256_min_ps(a.h, b.h)}; }
HEARTH_INLINE Vf abs(Vf a) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return {_mm256_and_ps(a.l, mask), _mm256_and_ps(a.h, mask)};
}
HEARTH_INLINE Vf fma(Vf a, Vf b, Vf c) {
  return {_mm256_fmadd_ps(a.l, b.l, c.l), _mm256_fmadd_ps(a.h, b.h, c.h)};
}
HEARTH_INLINE Vf fnma(Vf a, Vf b, Vf c) {
  return {_mm256_fnmadd_ps(a.l, b.l, c.l), _mm256_fnmadd_ps(a.h, b.h, c.h)};
}

HEARTH_INLINE Vi zero_i() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
HEARTH_INLINE Vi set1_i(std::int32_t x) {
  const __m256i v = _mm256_set1_epi32(x);
  return {v, v};
}
HEARTH_INLINE Vi sub_i(Vi a, Vi b) {
  return {_mm256_sub_epi32(a.l, b.l), _mm256_sub_epi32(a.h, b.h)};
}
template <int N>
HEARTH_INLINE Vi shift_left(Vi a) {
  return {_mm256_slli_epi32(a.l, N), _mm256_slli_epi32(a.h, N)};
}
HEARTH_INLINE Vi round_to_int(Vf a) { return {_mm256_cvtps_epi32(a.l), _mm256_cvtps_epi32(a.h)}; }
HEARTH_INLINE Vf to_float(Vi a) { return {_mm256_cvtepi32_ps(a.l), _mm256_cvtepi32_ps(a.h)}; }
HEARTH_INLINE Vf scale_pow2(Vf a, Vi n) {
  return {
      _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a.l), _mm256_slli_epi32(n.l, 23))),
      _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a.h), _mm256_slli_epi32(n.h, 23)))};
}
HEARTH_INLINE Vf keep_lanes(Vf a, std::int64_t lo, std::int64_t hi, float fill) {
  const __m256i index_l = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i index_h = _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15);
  const __m256i first = _mm256_set1_epi32(static_cast<std::int32_t>(lo < 0    ? -1
                                                                    : lo > 16 ? 15
                                                                              : lo - 1));
  const __m256i end = _mm256_set1_epi32(static_cast<std::int32_t>(hi < 0 ? 0 : hi > 16 ? 16 : hi));
  const auto half = [&](__m256 x, __m256i index) {
    const __m256i keep =
        _mm256_and_si256(_mm256_cmpgt_epi32(index, first), _mm256_cmpgt_epi32(end, index));
    return _mm256_blendv_ps(_mm256_set1_ps(fill), x, _mm256_castsi256_ps(keep));
  };
  return {half(a.l, index_l), half(a.h, index_h)};
}
HEARTH_INLINE bool any_nan(Vf a) {
  return (_mm256_movemask_ps(_mm256_cmp_ps(a.l, a.l, _CMP_UNORD_Q)) |
          _mm256_movemask_ps(_mm256_cmp_ps(a.h, a.h, _CMP_UNORD_Q))) != 0;
}

HEARTH_INLINE float sum(Vf a) {
  const __m256 h = _mm256_add_ps(a.l, a.h);
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
HEARTH_INLINE float max_lane(Vf a) {
  const __m256 h = _mm256_max_ps(a.l, a.h);
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

HEARTH_INLINE Vf load_f16(const void* p) {
  const auto* q = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(q)), _mm256_cvtph_ps(_mm_loadu_si128(q + 1))};
}
HEARTH_INLINE Vf load_bf16_first(const void* p) {
  const auto* q = static_cast<const __m256i*>(p);
  const auto half = [](__m256i x) { return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16)); };
  return {half(_mm256_loadu_si256(q)), half(_mm256_loadu_si256(q + 1))};
}
HEARTH_INLINE Vf load_bf16_second(const void* p) {
  const auto* q = static_cast<const __m256i*>(p);
  const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  return {_mm256_castsi256_ps(_mm256_and_si256(_mm256_loadu_si256(q), mask)),
          _mm256_castsi256_ps(_mm256_and_si256(_mm256_loadu_si256(q + 1), mask))};
}
HEARTH_INLINE Vf load_bf16(const void* p) {
  const auto* q = static_cast<const __m128i*>(p);
  const auto half = [](__m128i x) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
  };
  return {half(_mm_loadu_si128(q)), half(_mm_loadu_si128(q + 1))};
}
HEARTH_INLINE Vf load_i8(const void* p) {
  const __m128i x = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(x, 8)))};
}
HEARTH_INLINE Vf load_u8(const void* p) {
  const __m128i x = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x)),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(x, 8)))};
}
HEARTH_INLINE void store_f16(void* p, Vf a) {
  auto* q = static_cast<__m128i*>(p);
  _mm_storeu_si128(q, _mm256_cvtps_ph(a.l, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(q + 1, _mm256_cvtps_ph(a.h, _MM_FROUND_TO_NEAREST_INT));
}
HEARTH_INLINE void store_i8(void* p, Vi a) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.l, a.h), 0xd8);
  const __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(static_cast<__m128i*>(p), bytes);
}
HEARTH_INLINE Vi as_int(Vf a) { return {_mm256_castps_si256(a.l), _mm256_castps_si256(a.h)}; }
HEARTH_INLINE Vi max_i(Vi a, Vi b) {
  return {_mm256_max_epi32(a.l, b.l), _mm256_max_epi32(a.h, b.h)};
}
HEARTH_INLINE std::int32_t max_lane_i(Vi a) {
  const __m256i h = _mm256_max_epi32(a.l, a.h);
  __m128i q = _mm_max_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
  q = _mm_max_epi32(q, _mm_shuffle_epi32(q, 0x4e));
  q = _mm_max_epi32(q, _mm_shuffle_epi32(q, 0xb1));
  return _mm_cvtsi128_si32(q);
}
// 32 codes, and the sums of each 16: the bytes, made unsigned, are added up by vpsadbw.
HEARTH_INLINE void store_codes(std::int8_t* p, Vi a, Vi b, std::int32_t& sum_a,
                               std::int32_t& sum_b) {
  // Packing works within 128-bit lanes: the quarters come out as 0 4 1 5 | 2 6 3 7 of 4 codes each.
  const __m256i words_a = _mm256_packs_epi32(a.l, a.h);
  const __m256i words_b = _mm256_packs_epi32(b.l, b.h);
  const __m256i mixed = _mm256_packs_epi16(words_a, words_b);
  const __m256i codes =
      _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(p)), codes);
  const __m256i eights = _mm256_sad_epu8(
      _mm256_xor_si256(codes, _mm256_set1_epi8(static_cast<char>(0x80))), _mm256_setzero_si256());
  const __m256i sums = _mm256_add_epi32(eights, _mm256_shuffle_epi32(eights, 0x4e));
  sum_a = _mm_cvtsi128_si32(_mm256_castsi256_si128(sums)) - 16 * 128;
  sum_b = _mm_cvtsi128_si32(_mm256_extracti128_si256(sums, 1)) - 16 * 128;
}
HEARTH_INLINE std::int32_t sum_i(Vi a) {
  const __m256i h = _mm256_add_epi32(a.l, a.h);
  __m128i q = _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
  q = _mm_add_epi32(q, _mm_shuffle_epi32(q, 0x4e));
  q = _mm_add_epi32(q, _mm_shuffle_epi32(q, 0xb1));
  return _mm_cvtsi128_si32(q);
}

HEARTH_INLINE Vb load_b(const std::byte* p) {
  const auto* q = static_cast<const __m256i*>(static_cast<const void*>(p));
  return {_mm256_load_si256(q), _mm256_load_si256(q + 1)};
}
HEARTH_INLINE Vb low_nibbles(Vb a) {
  const __m256i m = _mm256_set1_epi8(15);
  return {_mm256_and_si256(a.l, m), _mm256_and_si256(a.h, m)};
}
HEARTH_INLINE Vb high_nibbles(Vb a) {
  const __m256i m = _mm256_set1_epi8(15);
  return {_mm256_and_si256(_mm256_srli_epi16(a.l, 4), m),
          _mm256_and_si256(_mm256_srli_epi16(a.h, 4), m)};
}
HEARTH_INLINE Vb or_bit4(Vb a, const std::byte* bits) {
  // Byte i of a half wants bit i of 32: spread the 4 mask bytes 8 times each, test one bit apiece.
  const __m256i spread = _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101,
                                            0x0202020202020202, 0x0303030303030303);
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
  const auto half = [&](__m256i codes, const std::byte* p) {
    std::int32_t mask;
    std::memcpy(&mask, p, sizeof mask);
    const __m256i on = _mm256_cmpeq_epi8(
        _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(mask), spread), bit), bit);
    return _mm256_or_si256(codes, _mm256_and_si256(on, _mm256_set1_epi8(16)));
  };
  return {half(a.l, bits), half(a.h, bits + 4)};
}
template <int Shift>
HEARTH_INLINE Vb or_bits45(Vb a, Vb high) {
  const auto half = [](__m256i codes, __m256i x) {
    const __m256i moved = Shift == 0   ? _mm256_slli_epi16(x, 4)
                          : Shift == 2 ? _mm256_slli_epi16(x, 2)
                          : Shift == 4 ? x
                                       : _mm256_srli_epi16(x, 2);
    return _mm256_or_si256(codes, _mm256_and_si256(moved, _mm256_set1_epi8(0x30)));
  };
  return {half(a.l, high.l), half(a.h, high.h)};
}

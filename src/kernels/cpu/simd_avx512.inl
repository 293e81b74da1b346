// 16 lanes in one 512-bit register. Included inside a target region and a namespace; see
// simd_avx2.inl for the same vocabulary in two halves.

struct Vf {
  __m512 v;
};  // 16 x float32
struct Vi {
  __m512i v;
};  // 16 x int32
struct Vb {
  __m512i v;
};  // 64 x byte

inline constexpr int kMatmulRows = 6;  // register tile of matmul_q: 6 tokens x 2 panels:
inline constexpr bool kSumsInMemory = false;
inline constexpr int kMatmulPanels = 2;  // 12 integer + 12 float sums + 4 code vectors of 32
inline constexpr int kMatmulRowsF = 8;   // matmul_f: 8 x 2 sums
inline constexpr int kAttentionRows = 6;
inline constexpr int kScoreVectors = 2;  // of 16 keys at a time

#define HEARTH_INLINE [[gnu::always_inline]] inline

HEARTH_INLINE Vf zero() { return {_mm512_setzero_ps()}; }
HEARTH_INLINE Vf set1(float x) { return {_mm512_set1_ps(x)}; }
HEARTH_INLINE Vf load(const float* p) { return {_mm512_loadu_ps(p)}; }
HEARTH_INLINE void store(float* p, Vf a) { _mm512_storeu_ps(p, a.v); }
HEARTH_INLINE Vf load_part(const float* p, std::int64_t n) {
  return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p)};
}
HEARTH_INLINE void store_part(float* p, std::int64_t n, Vf a) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), a.v);
}
HEARTH_INLINE Vf add(Vf a, Vf b) { return {_mm512_add_ps(a.v, b.v)}; }
HEARTH_INLINE Vf sub(Vf a, Vf b) { return {_mm512_sub_ps(a.v, b.v)}; }
HEARTH_INLINE Vf mul(Vf a, Vf b) { return {_mm512_mul_ps(a.v, b.v)}; }
HEARTH_INLINE Vf div(Vf a, Vf b) { return {_mm512_div_ps(a.v, b.v)}; }
HEARTH_INLINE Vf max(Vf a, Vf b) { return {_mm512_max_ps(a.v, b.v)}; }
HEARTH_INLINE Vf min(Vf a, Vf b) { return {_mm512_min_ps(a.v, b.v)}; }
HEARTH_INLINE Vf abs(Vf a) { return {_mm512_abs_ps(a.v)}; }
HEARTH_INLINE Vf fma(Vf a, Vf b, Vf c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
HEARTH_INLINE Vf fnma(Vf a, Vf b, Vf c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }

HEARTH_INLINE Vi zero_i() { return {_mm512_setzero_si512()}; }
HEARTH_INLINE Vi set1_i(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
HEARTH_INLINE Vi load_i(const std::int32_t* p) { return {_mm512_loadu_si512(p)}; }
HEARTH_INLINE Vi add_i(Vi a, Vi b) { return {_mm512_add_epi32(a.v, b.v)}; }
HEARTH_INLINE Vi sub_i(Vi a, Vi b) { return {_mm512_sub_epi32(a.v, b.v)}; }
template <int N>
HEARTH_INLINE Vi shift_left(Vi a) {
  return {_mm512_slli_epi32(a.v, N)};
}
HEARTH_INLINE Vi round_to_int(Vf a) { return {_mm512_cvtps_epi32(a.v)}; }  // nearest even
HEARTH_INLINE Vf to_float(Vi a) { return {_mm512_cvtepi32_ps(a.v)}; }
// a * 2^n, n small enough that nothing overflows
HEARTH_INLINE Vf scale_pow2(Vf a, Vi n) {
  return {
      _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), _mm512_slli_epi32(n.v, 23)))};
}
// lanes [lo, hi) of a, the others `fill`
HEARTH_INLINE Vf keep_lanes(Vf a, std::int64_t lo, std::int64_t hi, float fill) {
  const auto below_hi = hi >= 16 ? 0xffffu : hi <= 0 ? 0u : (1u << hi) - 1;
  const auto below_lo = lo >= 16 ? 0xffffu : lo <= 0 ? 0u : (1u << lo) - 1;
  return {_mm512_mask_blend_ps(static_cast<__mmask16>(below_hi & ~below_lo), _mm512_set1_ps(fill),
                               a.v)};
}
HEARTH_INLINE bool any_nan(Vf a) { return _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q) != 0; }

// Halves first, then quarters, ...: the same tree as the 256-bit version.
HEARTH_INLINE float sum(Vf a) {
  const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
HEARTH_INLINE float max_lane(Vf a) { return _mm512_reduce_max_ps(a.v); }

HEARTH_INLINE Vf load_f16(const void* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))};
}
// Of 16 pairs of bfloat16 the first or the second ones.
HEARTH_INLINE Vf load_bf16_first(const void* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16))};
}
HEARTH_INLINE Vf load_bf16_second(const void* p) {
  return {_mm512_castsi512_ps(
      _mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32(static_cast<int>(0xffff0000u))))};
}
HEARTH_INLINE Vf load_bf16(const void* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p))), 16))};
}
HEARTH_INLINE Vf load_i8(const void* p) {
  return {
      _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))))};
}
HEARTH_INLINE Vf load_u8(const void* p) {
  return {
      _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))))};
}
HEARTH_INLINE void store_f16(void* p, Vf a) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}
HEARTH_INLINE void store_i8(void* p, Vi a) {
  _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(a.v));
}
HEARTH_INLINE Vi as_int(Vf a) { return {_mm512_castps_si512(a.v)}; }
HEARTH_INLINE Vi max_i(Vi a, Vi b) { return {_mm512_max_epi32(a.v, b.v)}; }
HEARTH_INLINE std::int32_t max_lane_i(Vi a) { return _mm512_reduce_max_epi32(a.v); }
// 32 codes, and the sums of each 16: the bytes, made unsigned, are added up by vpsadbw.
HEARTH_INLINE void store_codes(std::int8_t* p, Vi a, Vi b, std::int32_t& sum_a,
                               std::int32_t& sum_b) {
  const __m256i codes = _mm256_set_m128i(_mm512_cvtsepi32_epi8(b.v), _mm512_cvtsepi32_epi8(a.v));
  _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(p)), codes);
  const __m256i eights = _mm256_sad_epu8(
      _mm256_xor_si256(codes, _mm256_set1_epi8(static_cast<char>(0x80))), _mm256_setzero_si256());
  const __m256i sums = _mm256_add_epi32(eights, _mm256_shuffle_epi32(eights, 0x4e));
  sum_a = _mm_cvtsi128_si32(_mm256_castsi256_si128(sums)) - 16 * 128;
  sum_b = _mm_cvtsi128_si32(_mm256_extracti128_si256(sums, 1)) - 16 * 128;
}
HEARTH_INLINE std::int32_t sum_i(Vi a) { return _mm512_reduce_add_epi32(a.v); }

// Code bytes.
HEARTH_INLINE Vb load_b(const std::byte* p) { return {_mm512_load_si512(p)}; }
HEARTH_INLINE void store_b(std::byte* p, Vb a) { _mm512_store_si512(p, a.v); }
HEARTH_INLINE Vb low_nibbles(Vb a) { return {_mm512_and_si512(a.v, _mm512_set1_epi8(15))}; }
HEARTH_INLINE Vb high_nibbles(Vb a) {
  return {_mm512_and_si512(_mm512_srli_epi16(a.v, 4), _mm512_set1_epi8(15))};
}
template <int N>
HEARTH_INLINE Vb sub_b(Vb a) {
  return {_mm512_sub_epi8(a.v, _mm512_set1_epi8(static_cast<char>(N)))};
}
HEARTH_INLINE Vb or_bit4(Vb a, const std::byte* bits) {  // sets 16 where the bit is on; 64 bits
  std::uint64_t mask;
  std::memcpy(&mask, bits, sizeof mask);
  return {_mm512_mask_add_epi8(a.v, mask, a.v, _mm512_set1_epi8(16))};
}
template <int Shift>
HEARTH_INLINE Vb or_bits45(Vb a, Vb high) {  // two bits of `high` at Shift become bits 4 and 5
  const __m512i two = _mm512_and_si512(
      Shift == 0 ? _mm512_slli_epi16(high.v, 4)
                 : (Shift == 2 ? _mm512_slli_epi16(high.v, 2)
                               : (Shift == 4 ? high.v : _mm512_srli_epi16(high.v, 2))),
      _mm512_set1_epi8(0x30));
  return {_mm512_or_si512(a.v, two)};
}

inline constexpr bool kSignedQ8 = false;  // dot() multiplies code bytes as unsigned
// acc[r] += sum over the 4 bytes of lane r: code * x, x = 4 signed bytes shared by all lanes.
HEARTH_INLINE void dot(Vi& acc, Vb codes, const std::int8_t* x) {
  std::int32_t four;
  std::memcpy(&four, x, sizeof four);
  acc.v = _mm512_dpbusd_epi32(acc.v, codes.v, _mm512_set1_epi32(four));
}

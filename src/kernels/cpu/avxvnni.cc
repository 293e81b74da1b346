#include "kernels/cpu/includes.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)

namespace hearth::kernels::avxvnni {
namespace {

#include "kernels/cpu/simd_avx2.inl"

inline constexpr bool kSignedQ8 = false;
// 3 tokens x 1 panel: 6 integer + 6 float sums, 2 vectors of codes, activations of 16 registers
inline constexpr int kMatmulRows = 3;
inline constexpr bool kSumsInMemory = false;
HEARTH_INLINE void dot(Vi& acc, Vb codes, const std::int8_t* x) {
  std::int32_t four;
  std::memcpy(&four, x, sizeof four);
  const __m256i b = _mm256_set1_epi32(four);
  acc.l = _mm256_dpbusd_avx_epi32(acc.l, codes.l, b);
  acc.h = _mm256_dpbusd_avx_epi32(acc.h, codes.h, b);
}
#define HEARTH_HAVE_BF16 0
#define HEARTH_HAVE_TILES 0
#define HEARTH_HAVE_DOT 1
#define HEARTH_ISA Isa::kAvxVnni
#include "kernels/cpu/all_kernels.inl"

}  // namespace

extern const Ops& ops;
const Ops& ops = kOps;

}  // namespace hearth::kernels::avxvnni

#pragma clang attribute pop
#endif

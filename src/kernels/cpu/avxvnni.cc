#include "kernels/cpu/includes.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)

namespace hearth::kernels::avxvnni {
namespace {

#include "kernels/cpu/simd_avx2.inl"

inline constexpr bool kSignedQ8 = false;
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
// The order matters: later files use what earlier ones define.
// clang-format off
#include "kernels/cpu/matmul_q.inl"
#include "kernels/cpu/matmul_f.inl"
#include "kernels/cpu/elementwise.inl"
#include "kernels/cpu/kv_store.inl"
#include "kernels/cpu/attention.inl"
#include "kernels/cpu/peak.inl"
#include "kernels/cpu/ops_table.inl"
// clang-format on

}  // namespace

extern const Ops& ops;
const Ops& ops = kOps;

}  // namespace hearth::kernels::avxvnni

#pragma clang attribute pop
#endif

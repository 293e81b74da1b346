#include "kernels/cpu/includes.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

namespace hearth::kernels::avx2 {
namespace {

#include "kernels/cpu/simd_avx2.inl"

inline constexpr bool kSignedQ8 = true;  // see dot16 in matmul_q.inl
// 6 tokens x 1 panel: 12 integer sums, 2 vectors of codes, activations (then their product) of 16
// registers. The float sums are touched once a group: they stay in the first-level cache.
inline constexpr int kMatmulRows = 6;
inline constexpr bool kSumsInMemory = true;
#define HEARTH_HAVE_BF16 0
#define HEARTH_HAVE_TILES 0
#define HEARTH_HAVE_DOT 0
#define HEARTH_ISA Isa::kAvx2
#include "kernels/cpu/all_kernels.inl"

}  // namespace

extern const Ops& ops;
const Ops& ops = kOps;

}  // namespace hearth::kernels::avx2

#pragma clang attribute pop
#endif

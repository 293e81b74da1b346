#include "kernels/cpu/includes.h"

#if defined(__x86_64__)
#pragma clang attribute push(                                                               \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), \
    apply_to = function)

namespace hearth::kernels::avx512 {
namespace {

#include "kernels/cpu/simd_avx512.inl"

#define HEARTH_HAVE_BF16 0
#define HEARTH_HAVE_TILES 0
#define HEARTH_HAVE_DOT 1
#define HEARTH_ISA Isa::kAvx512
#include "kernels/cpu/all_kernels.inl"

}  // namespace

extern const Ops& ops;
const Ops& ops = kOps;

}  // namespace hearth::kernels::avx512

#pragma clang attribute pop
#endif

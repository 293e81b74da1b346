#include "kernels/cpu/includes.h"

#if defined(__x86_64__)
#pragma clang attribute push(                                                               \
    __attribute__((                                                                         \
        target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,avx2,fma,f16c"))), \
    apply_to = function)

namespace hearth::kernels::avx512bf16 {
namespace {

#include "kernels/cpu/simd_avx512.inl"

#define HEARTH_HAVE_BF16 1
#define HEARTH_HAVE_TILES 0
#define HEARTH_HAVE_DOT 1
#define HEARTH_ISA Isa::kAvx512Bf16
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

}  // namespace hearth::kernels::avx512bf16

#pragma clang attribute pop
#endif

// The kernels of an instruction set, and their table. Included behind its vocabulary (simd_*.inl) and
// HEARTH_ISA, HEARTH_HAVE_DOT, HEARTH_HAVE_BF16, HEARTH_HAVE_TILES.
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

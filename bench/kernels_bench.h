// The kernels' benchmarks, one file per kind: each names what it runs ISA/kernel.
#pragma once

namespace hearth::kernels {

void register_matmul();
void register_rows();       // norms, roundings, gates, rotation, reductions
void register_attention();  // and storing of keys and values

}  // namespace hearth::kernels

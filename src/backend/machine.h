// What this machine can do at best, measured: the limits that benchmarks are held against.
#pragma once

#include "backend/backend.h"

namespace hearth::backend {

struct MachinePeaks {
  double read_gb_s = 0;   // main memory, all threads, 10^9 bytes a second
  double int8_tops = 0;   // 8-bit multiply and add, 10^12 operations a second
  double float_tops = 0;  // the same of what F16 and BF16 weights are multiplied with:
  bool bf16 = false;      // bfloat16, else float32
};

// The best of several rounds: what a noisy neighbour takes is not the machine's limit. `rounds` of
// them take about 50 ms each. Takes `bytes` of memory for each thread, which should not fit into
// the last cache that they share.
Result<MachinePeaks> measure_peaks(int threads, int rounds = 8, std::int64_t bytes = 256 << 20);

}  // namespace hearth::backend

// Matrices repacked for the CPU kernels.
#pragma once

#include <vector>

#include "backend/backend.h"
#include "backend/cpu/memory.h"
#include "base/thread_pool.h"
#include "kernels/packed.h"

namespace hearth::backend {

struct CpuWeight final : Weight {
  // Stacked rows of one packed form. Parts of different kinds (a Q5_0 key beside a Q8_0 value) make
  // several; they are multiplied in one go.
  struct Segment {
    kernels::PackedMatrix matrix;
    std::int64_t first_row = 0;  // of the whole weight
  };
  struct Range {  // a piece of work: panels of one segment
    std::size_t segment;
    std::int64_t panel_begin, panel_end;
  };
  std::vector<Segment> segments;
  std::vector<Range> ranges;
  const float* bias = nullptr;  // (rows) or null
  bool any_quantized = false;   // wants 8-bit activations
  bool any_float = false;       // wants float32 activations
  std::int64_t bytes() const {  // repacked
    std::int64_t total = 0;
    for (const Segment& s : segments) total += s.matrix.bytes();
    return total;
  }
  TensorView stored;  // embeddings only: rows are read from the file's own bytes
};

struct CpuVector final : Vector {
  std::vector<float> values;
};
inline const float* values_of(const Vector& v) {
  return static_cast<const CpuVector&>(v).values.data();
}

// kExact: every kind into float32. kPairs: F16 and BF16 as kernels::Form::kPairs.
enum class Packing : std::uint8_t { kAsStored, kPairs, kExact };

// Repacks on all threads.
Result<std::shared_ptr<CpuWeight>> pack_weight(std::span<const WeightPart> parts, Packing packing,
                                               Arena& arena, ThreadPool& pool);

}  // namespace hearth::backend

#include "kernels/ops.h"

#include "base/result.h"

namespace hearth::kernels {

#if defined(__x86_64__)
namespace avx2 {
extern const Ops& ops;
}
namespace avxvnni {
extern const Ops& ops;
}
namespace avx512 {
extern const Ops& ops;
}
#endif

std::int64_t attention_scratch_floats(std::int64_t head_dim) {
  return 2 * partial_floats(head_dim) * kPageTokens  // one page's keys and values as float32
         + kTileRowsMax *
               (kPageTokens + partial_floats(head_dim))  // probabilities, outputs, maxima, sums
         + kTileRowsMax * partial_floats(head_dim);      // merged spans
}

const Ops& ops_for(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return reference_ops();
#if defined(__x86_64__)
    case Isa::kAvx2:
      return avx2::ops;
    case Isa::kAvxVnni:
      return avxvnni::ops;
    case Isa::kAvx512:
      return avx512::ops;
#endif
    default:
      break;
  }
  HEARTH_CHECK(false);
}

}  // namespace hearth::kernels

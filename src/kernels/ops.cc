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
namespace avx512bf16 {
extern const Ops& ops;
}
namespace amx {
extern const Ops& ops;
}
#endif

std::int64_t attention_scratch_floats(std::int64_t head_dim) {
  // Per row: queries, scores and probabilities of a block of 128 keys, outputs, a merged span; in
  // all: one page's keys and values as float32.
  return 2 * partial_floats(head_dim) * kPageTokens +
         kTileRowsMax * (3 * partial_floats(head_dim) + 128 + 64 + 64);
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
    case Isa::kAvx512Bf16:
      return avx512bf16::ops;
    case Isa::kAmx:
      return amx::ops;
#endif
    default:
      break;
  }
  HEARTH_CHECK(false);
}

}  // namespace hearth::kernels

#include "kernels/ops.h"

#include <algorithm>
#include <chrono>
#include <optional>

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

namespace {

// Of the loop's best of some short runs: the processor takes a while to its full speed.
double float_rate(const Ops& ops) {
  constexpr std::int64_t kRounds = 2000;
  double best = 0;
  for (int run = 0; run < 10; ++run) {
    std::int32_t sink = 0;
    const auto begin = std::chrono::steady_clock::now();
    const double operations = ops.float_peak_loop(kRounds, &sink);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    best = std::max(best, operations / taken.count());
  }
  return best;
}

bool dots_of_bf16_pay() {
  return float_rate(ops_for(Isa::kAvx512Bf16)) > float_rate(ops_for(Isa::kAvx512));
}

}  // namespace

Result<const Ops*> choose_ops() {
  HEARTH_TRY(const std::optional<Isa> forced, forced_isa());
  if (forced) return &ops_for(*forced);
  const Isa best = supported_isas().back();
  if (best != Isa::kAvx512Bf16) return &ops_for(best);
  static const bool pay = dots_of_bf16_pay();  // the same for all models of a process
  return &ops_for(pay ? Isa::kAvx512Bf16 : Isa::kAvx512);
}

}  // namespace hearth::kernels

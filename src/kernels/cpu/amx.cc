#include "kernels/cpu/includes.h"

#if defined(__x86_64__)
#pragma clang attribute push(                                                                                   \
    __attribute__((target(                                                                                      \
        "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,amx-tile,amx-int8,amx-bf16,avx2,fma,f16c"))), \
    apply_to = function)

namespace hearth::kernels::amx {
namespace {

#include "kernels/cpu/simd_avx512.inl"

// Tiles 0 to 3 hold 16 x 16 sums, 4 and 5 activations (16 x a_bytes), 6 and 7 weights (a_bytes / 4
// x 16 x 4).
struct Tiles {
  static void configure(int a_bytes) {
    struct alignas(64) Config {  // as ldtilecfg reads it
      std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 0, 0, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 0, 0};
    } config;
    static_assert(sizeof(Config) == 64);
    config.row_bytes[4] = config.row_bytes[5] = static_cast<std::uint16_t>(a_bytes);
    config.rows[6] = config.rows[7] = static_cast<std::uint8_t>(a_bytes / 4);
    _tile_loadconfig(&config);
  }
  static void release() { _tile_release(); }
  template <int T>
  HEARTH_INLINE static void zero() {
    _tile_zero(T);
  }
  template <int T>
  HEARTH_INLINE static void load(const void* from, std::int64_t stride) {
    _tile_loadd(T, from, static_cast<std::size_t>(stride));
  }
  template <int C, int A, int B>
  HEARTH_INLINE static void multiply_signed() {
    _tile_dpbssd(C, A, B);
  }
  template <int C, int A, int B>
  HEARTH_INLINE static void multiply_unsigned() {  // signed activations x unsigned codes
    _tile_dpbsud(C, A, B);
  }
  template <int C, int A, int B>
  HEARTH_INLINE static void multiply_pairs() {
    _tile_dpbf16ps(C, A, B);
  }
  template <int T>
  HEARTH_INLINE static void store(void* to, std::int64_t stride) {
    _tile_stored(T, to, static_cast<std::size_t>(stride));
  }
};

#define HEARTH_HAVE_TILES 1

#define HEARTH_HAVE_BF16 1
#define HEARTH_HAVE_DOT 1
#define HEARTH_ISA Isa::kAmx
#include "kernels/cpu/all_kernels.inl"

}  // namespace

extern const Ops& ops;
const Ops& ops = kOps;

}  // namespace hearth::kernels::amx

#pragma clang attribute pop
#endif

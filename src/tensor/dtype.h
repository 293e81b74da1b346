// Element kinds of stored tensors and the block layouts of the quantised ones.
// Layouts follow the GGUF specification (ggml-org/ggml docs/gguf.md, ggml-common.h); all little
// endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hearth {

enum class DType : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
};
inline constexpr int kDTypeCount = 11;

struct DTypeInfo {
  const char* name;  // "Q4_K"
  int block_elems;   // elements that share a block; rows are whole blocks
  int block_bytes;
};

const DTypeInfo& info(DType type);
std::optional<DType> dtype_from_name(std::string_view name);  // any case: "q4_k", "F16"

// Bytes of `elems` elements; elems must be a multiple of the block. nullopt on a remainder or when
// the product overflows 63 bits.
std::optional<std::int64_t> row_bytes(DType type, std::int64_t elems);

// out[0..elems) = the stored values as float32, exactly as the format defines them.
// `elems` is a multiple of the block; `data` may have any alignment.
void dequantize(DType type, const void* data, float* out, std::int64_t elems);

// Rounds float32 into `type`, nearest with the format's plain (not search-based) rule:
// used by `hearth synth` and by tests. `elems` is a multiple of the block; `data` may have any
// alignment. Values should be finite and scales within half precision; others give unspecified
// codes.
void quantize(DType type, const float* in, void* data, std::int64_t elems);

// IEEE 754 half and bfloat16, round to nearest even.
// Subnormals come out right also where the thread flushes them to zero.
inline float half_to_float(std::uint16_t bits) {
  constexpr std::uint32_t kRebias = 0x38000000;  // 127 - 15 in a float's exponent
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t exponent = bits & 0x7c00u;
  const std::uint32_t normal = ((bits & 0x7fffu) << 13) + kRebias;
  // 0.5 + m * 2^-24 holds the mantissa in its low bits.
  const float tiny = __builtin_bit_cast(float, 0x3f000000u | (bits & 0x3ffu)) - 0.5f;
  const std::uint32_t magnitude = exponent == 0         ? __builtin_bit_cast(std::uint32_t, tiny)
                                  : exponent == 0x7c00u ? normal + kRebias
                                                        : normal;
  return __builtin_bit_cast(float, magnitude | sign);
}
std::uint16_t float_to_half(float value);
inline float bf16_to_float(std::uint16_t bits) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(bits) << 16);
}
std::uint16_t float_to_bf16(float value);

}  // namespace hearth

#include "tensor/dtype.h"

#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "base/result.h"
#include "tensor/blocks.h"

namespace hearth {
namespace {

constexpr std::array<DTypeInfo, kDTypeCount> kInfo = {{
    {"F32", 1, 4},
    {"F16", 1, 2},
    {"BF16", 1, 2},
    {"Q4_0", 32, 18},
    {"Q4_1", 32, 20},
    {"Q5_0", 32, 22},
    {"Q5_1", 32, 24},
    {"Q8_0", 32, 34},
    {"Q4_K", 256, 144},
    {"Q5_K", 256, 176},
    {"Q6_K", 256, 210},
}};

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

}  // namespace

const DTypeInfo& info(DType type) {
  const auto index = static_cast<std::size_t>(type);
  HEARTH_CHECK(index < kInfo.size());
  return kInfo[index];
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kInfo.size(); ++i) {
    const std::string_view candidate = kInfo[i].name;
    bool same = candidate.size() == name.size();
    for (std::size_t j = 0; same && j < name.size(); ++j) same = upper(name[j]) == candidate[j];
    if (same) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::optional<std::int64_t> row_bytes(DType type, std::int64_t elems) {
  const DTypeInfo& kind = info(type);
  if (elems < 0 || elems % kind.block_elems != 0) return std::nullopt;
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(elems / kind.block_elems, std::int64_t{kind.block_bytes}, &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);   // quiet NaN
  if (magnitude >= 0x47800000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // 2^16 and up
  if (magnitude < 0x38800000u) {  // below 2^-14: subnormal half, a multiple of 2^-24
    // Adding 0.5 leaves that multiple, rounded to nearest even, in the low bits of the sum.
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(sum) - 0x3f000000u));
  }
  // 0x38000000 rebiases the exponent; rounding up may carry into it, and from 65520 on to infinity.
  const std::uint32_t rounded = magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

std::uint16_t float_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return static_cast<std::uint16_t>((bits >> 16) | 0x40u);  // a NaN stays one, and quiet
  }
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace hearth

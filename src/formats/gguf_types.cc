#include "formats/gguf_types.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>

#include "base/result.h"

namespace hearth {
namespace {

// By ggml's number (enum ggml_type); "" where none was ever given out.
constexpr std::array kGgmlNames = {
    "F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
    "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
    "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
    "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
    "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
    "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",    "NVFP4",    "Q1_0",
};

constexpr std::array<std::uint32_t, kDTypeCount> kGgmlNumbers = {0, 1, 30, 2,  3, 6,
                                                                 7, 8, 12, 13, 14};

}  // namespace

const char* gguf_type_name(GgufType type) {
  static constexpr std::array kNames = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                        "bool", "string", "array", "u64", "i64", "f64"};
  const auto index = static_cast<std::size_t>(type);
  return index < kNames.size() ? kNames[index] : "?";
}

std::size_t gguf_type_bytes(GgufType type) {
  static constexpr std::array<std::size_t, 13> kBytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  const auto index = static_cast<std::size_t>(type);
  HEARTH_CHECK(index < kBytes.size());
  return kBytes[index];
}

std::uint32_t ggml_type_of(DType type) { return kGgmlNumbers[static_cast<std::size_t>(type)]; }

std::optional<DType> dtype_of_ggml(std::uint32_t ggml_type) {
  for (std::size_t i = 0; i < kGgmlNumbers.size(); ++i) {
    if (kGgmlNumbers[i] == ggml_type) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::string ggml_type_name(std::uint32_t ggml_type) {
  if (ggml_type < kGgmlNames.size()) return kGgmlNames[ggml_type];
  return fmt::format("number {}", ggml_type);
}

}  // namespace hearth

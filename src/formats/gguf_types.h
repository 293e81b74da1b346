// Numbers of the GGUF format (ggml-org/ggml, docs/gguf.md), shared by its reader and its writer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tensor/dtype.h"

namespace hearth {

enum class GgufType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

inline constexpr std::uint32_t kGgufMagic = 0x46554747;  // "GGUF"
inline constexpr std::uint32_t kGgufVersion = 3;
inline constexpr std::uint32_t kGgufAlignment = 32;  // unless general.alignment says otherwise

const char* gguf_type_name(GgufType type);   // "u32", "string", ...
std::size_t gguf_type_bytes(GgufType type);  // 0 for strings and arrays

// ggml's number of an element kind, and back; nullopt for kinds that we do not read.
std::uint32_t ggml_type_of(DType type);
std::optional<DType> dtype_of_ggml(std::uint32_t ggml_type);
// The name of any kind ggml has or had ("IQ4_XS"), else "number 77".
std::string ggml_type_name(std::uint32_t ggml_type);

}  // namespace hearth

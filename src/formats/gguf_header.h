// The header of one GGUF file, checked: what gguf.cc builds on. Every count, length, offset and
// product is compared with the size of the file before anything is allocated or read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/gguf_types.h"

namespace hearth {

// A metadata value, still encoded; the bytes lie in the file.
struct GgufValue {
  GgufType type = GgufType::kU8;
  GgufType element = GgufType::kU8;  // arrays only
  std::uint64_t count = 1;           // elements of an array
  std::span<const std::byte> raw;    // scalars: the value; strings: the text; arrays: the elements
};

struct GgufTensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;  // outermost first
  std::span<const std::byte> data;
};

struct GgufHeader {
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<GgufTensorInfo> tensors;  // in the order of the file
};

// Versions 2 and 3, little endian. The result refers to `file`, which must outlive it.
Result<GgufHeader> parse_gguf_header(std::span<const std::byte> file);

}  // namespace hearth

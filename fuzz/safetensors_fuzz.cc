// Safetensors headers. The input is the header's text; length and data section are made to fit, so
// that the fuzzer need not guess them. An odd last byte makes it the whole file instead.
#include "formats/safetensors.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <string>

namespace {

void parse(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  const auto file = hearth::Safetensors::parse(bytes);
  if (!file) return;
  std::size_t covered = 0;
  for (const hearth::TensorView& tensor : (*file)->tensors()) {
    HEARTH_CHECK((*file)->find(tensor.name) == &tensor);
    HEARTH_CHECK(tensor.data.data() >= bytes.data());
    HEARTH_CHECK(tensor.data.data() + tensor.data.size() <= bytes.data() + bytes.size());
    covered += tensor.data.size();
  }
  HEARTH_CHECK(covered <= bytes.size() - 8);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  if (size > 0 && bytes[size - 1] % 2 == 1 && bytes[size - 1] != '}') {
    parse(text);
    return 0;
  }
  const std::uint64_t length = size;
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  file += text;
  for (const std::size_t data : {0u, 4u, 48u}) parse(file + std::string(data, 'x'));
  return 0;
}

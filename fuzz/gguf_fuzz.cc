// GGUF headers, the tokenizer data and the configuration that come out of them.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "formats/gguf.h"
#include "formats/gguf_tokenizer.h"
#include "model/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto file = hearth::GgufFile::parse(std::as_bytes(std::span(bytes, size)));
  if (!file) return 0;
  for (const auto& [key, value] : (*file)->metadata()) {
    (void)(*file)->get_u64(key);
    (void)(*file)->get_i64(key);
    (void)(*file)->get_f32(key);
    (void)(*file)->get_bool(key);
    (void)(*file)->get_string(key);
    (void)(*file)->get_strings(key);
    (void)(*file)->get_floats(key);
    (void)(*file)->get_ints(key);
  }
  for (const hearth::TensorView& tensor : (*file)->tensors()) {
    HEARTH_CHECK((*file)->find(tensor.name) == &tensor);
    // One row: proves that the data lie inside the file.
    std::vector<float> row(static_cast<std::size_t>(tensor.shape.back()));
    hearth::dequantize(tensor.dtype, tensor.data.data(), row.data(), tensor.shape.back());
  }
  (void)hearth::tokenizer_from_gguf(**file);
  const auto config = hearth::model::config_from_gguf(**file);
  HEARTH_CHECK(!config ||
               config->layer_slides.size() == static_cast<std::size_t>(config->n_layers));
  return 0;
}

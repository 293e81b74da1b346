// One view of a model's tensors, whichever file they come from. Nothing is copied: data points into
// the mapped file, which the Weights object keeps alive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/mapped_file.h"
#include "tensor/dtype.h"

namespace hearth {

// Row-major; shape is outermost first, as PyTorch and safetensors say it: a linear layer is
// (out_features, in_features). GGUF's reversed dimensions are turned round by its reader.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;  // 1 to 4 dimensions, each >= 1, product checked
  std::span<const std::byte> data;  // exactly row_bytes(dtype, product of shape) bytes
  std::int64_t elems() const {
    std::int64_t n = 1;
    for (auto d : shape) n *= d;
    return n;
  }
};

class Weights {
 public:
  virtual ~Weights() = default;
  virtual const TensorView* find(std::string_view name) const = 0;  // nullptr when absent
  virtual std::span<const TensorView> tensors() const = 0;          // in file order
  virtual std::int64_t file_bytes() const = 0;                      // all files together
  // The file whose mapping holds `range`; null where the whole is in memory (parse()).
  virtual const MappedFile* file_of(std::span<const std::byte> range) const = 0;
  // Tells the kernel that pages of the mapping are not needed soon (after repacking); content
  // stays.
  void drop_pages(std::span<const std::byte> range) const {
    if (const MappedFile* const file = file_of(range)) file->drop_pages(range);
  }
};

}  // namespace hearth

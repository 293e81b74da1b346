// Safetensors weights (huggingface/safetensors, README "Format"): one file, or shards named by
// model.safetensors.index.json.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/mapped_file.h"
#include "formats/weights.h"

namespace hearth {

// Kinds F32, F16 and BF16; others are kUnsupported and named. Scalars become shape {1}. Ranges must
// cover the data section exactly, without holes and without sharing, as the format demands.
// Errors: "invalid_safetensors" (kInvalid), "unsupported_tensor_kind" (kUnsupported), those of
// MappedFile; the path stands in front of the message.
class Safetensors final : public Weights {
 public:
  static Result<std::shared_ptr<const Safetensors>> open(const std::string& path);
  // The shards that `index_json` (the text of model.safetensors.index.json) names, all in `folder`.
  // Names are plain file names; a symbolic link may lead to elsewhere in the folder, or from a
  // snapshot in a Hugging Face cache to that cache's blobs, and nowhere else.
  static Result<std::shared_ptr<const Safetensors>> open_sharded(const std::string& folder,
                                                                 std::string_view index_json);
  // One file in memory, which must outlive the result and its tensors.
  static Result<std::shared_ptr<const Safetensors>> parse(std::span<const std::byte> bytes);

  const TensorView* find(std::string_view name) const override;
  std::span<const TensorView> tensors() const override { return tensors_; }
  std::int64_t file_bytes() const override { return file_bytes_; }
  const MappedFile* file_of(std::span<const std::byte> range) const override;

 private:
  Safetensors() = default;
  Status add(std::span<const std::byte> bytes);

  std::vector<std::shared_ptr<const MappedFile>> files_;  // none for parse()
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::int64_t file_bytes_ = 0;
};

}  // namespace hearth

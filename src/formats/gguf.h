// GGUF models, versions 2 and 3 (ggml-org/ggml, docs/gguf.md), in one file or split into parts
// ("name-00001-of-00003.gguf": opening the first opens them all).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf_header.h"
#include "formats/mapped_file.h"
#include "formats/weights.h"

namespace hearth {

class GgufFile final : public Weights {
 public:
  // Errors: "invalid_gguf" (kInvalid), "unsupported_gguf" and "unsupported_tensor_kind"
  // (kUnsupported), those of MappedFile; the path stands in front of the message.
  static Result<std::shared_ptr<const GgufFile>> open(const std::string& path);
  // One file in memory, which must outlive the result and its tensors.
  static Result<std::shared_ptr<const GgufFile>> parse(std::span<const std::byte> bytes);

  // Typed access to metadata. No value: the key is absent. An error: it is there, but of another
  // type, or the number does not fit. All integer types count as one, and so do both float types.
  Result<std::optional<std::uint64_t>> get_u64(std::string_view key) const;
  Result<std::optional<std::int64_t>> get_i64(std::string_view key) const;
  Result<std::optional<float>> get_f32(std::string_view key) const;  // integers are taken too
  Result<std::optional<bool>> get_bool(std::string_view key) const;
  // Text as it lies in the file: any bytes. Views live as long as this object.
  Result<std::optional<std::string_view>> get_string(std::string_view key) const;
  Result<std::optional<std::vector<std::string_view>>> get_strings(std::string_view key) const;
  Result<std::optional<std::vector<float>>> get_floats(std::string_view key) const;
  Result<std::optional<std::vector<std::int64_t>>> get_ints(
      std::string_view key) const;  // or bools
  bool has(std::string_view key) const { return metadata_.contains(key); }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }

  const TensorView* find(std::string_view name) const override;
  std::span<const TensorView> tensors() const override { return tensors_; }
  std::int64_t file_bytes() const override { return file_bytes_; }
  const MappedFile* file_of(std::span<const std::byte> range) const override;

 private:
  GgufFile() = default;
  const GgufValue* value(std::string_view key) const;
  Status add_tensors(GgufHeader& header);
  Status add_parts(const std::string& path);

  std::vector<std::shared_ptr<const MappedFile>> files_;    // none for parse()
  std::map<std::string, GgufValue, std::less<>> metadata_;  // of the first part
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::int64_t file_bytes_ = 0;
};

}  // namespace hearth

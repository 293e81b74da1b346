// Writes GGUF version 3. The header is made in memory; tensor data are streamed, so that a file may
// be much larger than the memory.
//
//   GgufWriter writer;
//   writer.add_string("general.architecture", "llama");
//   writer.add_tensor("token_embd.weight", DType::kF16, {vocab, d_model});
//   HEARTH_TRY_VOID(writer.begin(FileSystem::real(), path));
//   HEARTH_TRY_VOID(writer.append(some_bytes));   // any cuts; tensors in the order of add_tensor
//   HEARTH_TRY_VOID(writer.finish());
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fs.h"
#include "base/result.h"
#include "formats/gguf_types.h"

namespace hearth {

class GgufWriter {
 public:
  explicit GgufWriter(std::uint32_t alignment = kGgufAlignment);

  void add_u32(std::string_view key, std::uint32_t value);
  void add_i32(std::string_view key, std::int32_t value);
  void add_u64(std::string_view key, std::uint64_t value);
  void add_f32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_string(std::string_view key, std::string_view value);
  void add_strings(std::string_view key, const std::vector<std::string>& values);
  void add_floats(std::string_view key, std::span<const float> values);
  void add_ints(std::string_view key, std::span<const std::int32_t> values);

  // `shape` outermost first; its last dimension is whole blocks of `type`.
  void add_tensor(std::string_view name, DType type, const std::vector<std::int64_t>& shape);

  // Everything before the tensor data, padding included.
  std::string header() const;

  // Writes the header into `path`.tmp; nothing can be added afterwards.
  Status begin(FileSystem& fs, const std::string& path);
  Status append(std::span<const std::byte> bytes);  // never more than was declared
  // All data must be there. Syncs the file and renames it over `path`: a model that is mapped under
  // that name somewhere stays whole.
  Status finish();

 private:
  struct Tensor {
    std::uint64_t bytes;
    std::uint64_t padding;
  };

  void key(std::string_view name, GgufType type);

  std::uint32_t alignment_;
  std::uint64_t n_entries_ = 0;
  std::string entries_;
  std::string infos_;
  std::vector<Tensor> tensors_;
  std::uint64_t data_bytes_ = 0;  // so far declared, padding included

  FileSystem* fs_ = nullptr;
  std::string path_;
  std::unique_ptr<WritableFile> file_;
  std::size_t current_ = 0;    // tensor being written
  std::uint64_t written_ = 0;  // bytes of it
};

}  // namespace hearth

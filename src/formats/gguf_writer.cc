#include "formats/gguf_writer.h"

#include <algorithm>
#include <cstring>

namespace hearth {
namespace {

template <class T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

void put_string(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}

void put_type(std::string& out, GgufType type) { put(out, static_cast<std::uint32_t>(type)); }

std::uint64_t padding_of(std::uint64_t bytes, std::uint64_t alignment) {
  return (alignment - bytes % alignment) % alignment;
}

}  // namespace

GgufWriter::GgufWriter(std::uint32_t alignment) : alignment_(alignment) {
  HEARTH_CHECK(alignment != 0 && (alignment & (alignment - 1)) == 0);
  if (alignment != kGgufAlignment) add_u32("general.alignment", alignment);
}

void GgufWriter::key(std::string_view name, GgufType type) {
  HEARTH_CHECK(!file_);
  ++n_entries_;
  put_string(entries_, name);
  put_type(entries_, type);
}

void GgufWriter::add_u32(std::string_view name, std::uint32_t value) {
  key(name, GgufType::kU32);
  put(entries_, value);
}

void GgufWriter::add_i32(std::string_view name, std::int32_t value) {
  key(name, GgufType::kI32);
  put(entries_, value);
}

void GgufWriter::add_u64(std::string_view name, std::uint64_t value) {
  key(name, GgufType::kU64);
  put(entries_, value);
}

void GgufWriter::add_f32(std::string_view name, float value) {
  key(name, GgufType::kF32);
  put(entries_, value);
}

void GgufWriter::add_bool(std::string_view name, bool value) {
  key(name, GgufType::kBool);
  put(entries_, static_cast<std::uint8_t>(value ? 1 : 0));
}

void GgufWriter::add_string(std::string_view name, std::string_view value) {
  key(name, GgufType::kString);
  put_string(entries_, value);
}

void GgufWriter::add_strings(std::string_view name, const std::vector<std::string>& values) {
  key(name, GgufType::kArray);
  put_type(entries_, GgufType::kString);
  put(entries_, static_cast<std::uint64_t>(values.size()));
  for (const auto& value : values) put_string(entries_, value);
}

void GgufWriter::add_floats(std::string_view name, std::span<const float> values) {
  key(name, GgufType::kArray);
  put_type(entries_, GgufType::kF32);
  put(entries_, static_cast<std::uint64_t>(values.size()));
  for (const float value : values) put(entries_, value);
}

void GgufWriter::add_ints(std::string_view name, std::span<const std::int32_t> values) {
  key(name, GgufType::kArray);
  put_type(entries_, GgufType::kI32);
  put(entries_, static_cast<std::uint64_t>(values.size()));
  for (const std::int32_t value : values) put(entries_, value);
}

void GgufWriter::add_tensor(std::string_view name, DType type,
                            const std::vector<std::int64_t>& shape) {
  HEARTH_CHECK(!file_ && !shape.empty() && shape.size() <= 4);
  HEARTH_CHECK(shape.back() % info(type).block_elems == 0);
  std::int64_t elems = 1;
  for (const std::int64_t dim : shape) {
    HEARTH_CHECK(dim >= 1 && !__builtin_mul_overflow(elems, dim, &elems));
  }
  const auto bytes = row_bytes(type, elems);
  HEARTH_CHECK(bytes.has_value());
  put_string(infos_, name);
  put(infos_, static_cast<std::uint32_t>(shape.size()));
  for (auto dim = shape.rbegin(); dim != shape.rend(); ++dim) put(infos_, *dim);
  put(infos_, ggml_type_of(type));
  put(infos_, data_bytes_);
  const auto size = static_cast<std::uint64_t>(*bytes);
  tensors_.push_back({size, padding_of(size, alignment_)});
  data_bytes_ += size + tensors_.back().padding;
}

std::string GgufWriter::header() const {
  std::string out;
  put(out, kGgufMagic);
  put(out, kGgufVersion);
  put(out, static_cast<std::uint64_t>(tensors_.size()));
  put(out, n_entries_);
  out += entries_;
  out += infos_;
  out.append(static_cast<std::size_t>(padding_of(out.size(), alignment_)), '\0');
  return out;
}

Status GgufWriter::begin(FileSystem& fs, const std::string& path) {
  HEARTH_CHECK(!file_);
  HEARTH_TRY(file_, fs.open_append(path + ".tmp", /*truncate=*/true));
  fs_ = &fs;
  path_ = path;
  return file_->append(header());
}

Status GgufWriter::append(std::span<const std::byte> bytes) {
  HEARTH_CHECK(file_);
  while (!bytes.empty()) {
    HEARTH_CHECK(current_ < tensors_.size());
    const Tensor& tensor = tensors_[current_];
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), tensor.bytes - written_));
    HEARTH_TRY_VOID(file_->append({reinterpret_cast<const char*>(bytes.data()), size}));
    bytes = bytes.subspan(size);
    written_ += size;
    if (written_ < tensor.bytes) continue;
    if (tensor.padding > 0) {
      HEARTH_TRY_VOID(file_->append(std::string(static_cast<std::size_t>(tensor.padding), '\0')));
    }
    ++current_;
    written_ = 0;
  }
  return {};
}

Status GgufWriter::finish() {
  HEARTH_CHECK(file_ && current_ == tensors_.size());
  HEARTH_TRY_VOID(file_->sync());
  file_.reset();
  return fs_->rename(path_ + ".tmp", path_);
}

}  // namespace hearth

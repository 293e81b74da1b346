#include "formats/safetensors.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "base/json.h"
#include "formats/shown_name.h"

namespace hearth {
namespace {

constexpr std::uint64_t kHeaderBytesMax = 100u << 20;  // the reference reader's bound
constexpr std::size_t kShardsMax = 10000;

template <class... Args>
tl::unexpected<Error> bad(fmt::format_string<Args...> format, Args&&... args) {
  return invalid("invalid_safetensors", format, std::forward<Args>(args)...);
}

// A non-negative integer that fits 63 bits.
std::optional<std::int64_t> natural(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.get<std::uint64_t>();
  if (number > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

const Json* member(const Json& object, const char* name) {
  const auto it = object.find(name);
  return it == object.end() ? nullptr : &*it;
}

Result<DType> read_kind(const Json& entry) {
  const Json* kind = member(entry, "dtype");
  if (kind == nullptr || !kind->is_string()) return bad("dtype is not a string");
  const auto& name = kind->get_ref<const std::string&>();
  if (name == "F32") return DType::kF32;
  if (name == "F16") return DType::kF16;
  if (name == "BF16") return DType::kBF16;
  return fail(ErrorKind::kUnsupported, "unsupported_tensor_kind",
              "element kind {} is not supported; F32, F16 and BF16 are", shown_name(name));
}

Result<std::vector<std::int64_t>> read_shape(const Json& entry) {
  const Json* shape = member(entry, "shape");
  if (shape == nullptr || !shape->is_array()) return bad("shape is not an array");
  if (shape->size() > 4) return bad("{} dimensions; at most 4 are supported", shape->size());
  std::vector<std::int64_t> dims;
  std::int64_t elems = 1;
  for (const Json& value : *shape) {
    const auto dim = natural(value);
    if (!dim || *dim < 1 || __builtin_mul_overflow(elems, *dim, &elems)) {
      return bad("a dimension is out of range");
    }
    dims.push_back(*dim);
  }
  if (dims.empty()) dims.push_back(1);
  return dims;
}

Result<TensorView> read_tensor(const std::string& name, const Json& entry,
                               std::span<const std::byte> data) {
  if (!entry.is_object()) return bad("its entry is not an object");
  TensorView tensor;
  tensor.name = name;
  HEARTH_TRY(tensor.dtype, read_kind(entry));
  HEARTH_TRY(tensor.shape, read_shape(entry));
  const Json* offsets = member(entry, "data_offsets");
  if (offsets == nullptr || !offsets->is_array() || offsets->size() != 2) {
    return bad("data_offsets is not a pair");
  }
  const auto begin = natural((*offsets)[0]);
  const auto end = natural((*offsets)[1]);
  if (!begin || !end || *begin > *end || static_cast<std::uint64_t>(*end) > data.size()) {
    return bad("its data lie outside the data section of {} bytes", data.size());
  }
  const auto bytes = row_bytes(tensor.dtype, tensor.elems());
  if (!bytes || *bytes != *end - *begin) {
    return bad("its range of {} bytes does not fit its shape and kind", *end - *begin);
  }
  tensor.data =
      data.subspan(static_cast<std::size_t>(*begin), static_cast<std::size_t>(*end - *begin));
  return tensor;
}

// Sorted by place; every byte of `data` must belong to exactly one.
Status check_cover(const std::vector<TensorView>& tensors, std::span<const std::byte> data) {
  const std::byte* at = data.data();
  for (const auto& tensor : tensors) {
    if (tensor.data.data() != at) {
      return bad("the data of tensor '{}' {}", shown_name(tensor.name),
                 tensor.data.data() < at ? "overlap another tensor's" : "begin behind a hole");
    }
    at += tensor.data.size();
  }
  if (at != data.data() + data.size()) return bad("bytes behind the last tensor belong to none");
  return {};
}

bool plain_name(const std::string& name) {
  if (name.empty() || name.size() > 255 || name == "." || name == "..") return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    return c == '/' || c == '\\' || c == '\0' || static_cast<unsigned char>(c) < 0x20;
  });
}

// The path of a shard with all links followed, if it is one that the index may name.
Result<std::string> resolve_shard(const std::string& folder, const std::string& name) {
  namespace fs = std::filesystem;
  if (!plain_name(name)) return bad("'{}' is not a plain file name", shown_name(name));
  std::error_code error;
  const fs::path home = fs::canonical(folder, error);
  if (error) return fail(ErrorKind::kIo, "file_unreadable", "{}: {}", folder, error.message());
  const fs::path target = fs::canonical(home / name, error);
  if (error) return fail(ErrorKind::kNotFound, "file_not_found", "{}: {}", name, error.message());
  const auto inside = [&](const fs::path& base) {
    return std::mismatch(base.begin(), base.end(), target.begin(), target.end()).first ==
           base.end();
  };
  // models--owner--name/snapshots/REVISION/file -> models--owner--name/blobs/HASH
  const bool snapshot = home.parent_path().filename() == "snapshots";
  if (inside(home) || (snapshot && inside(home.parent_path().parent_path() / "blobs"))) {
    return target.string();
  }
  return bad("'{}' leads out of the folder", shown_name(name));
}

}  // namespace

Status Safetensors::add(std::span<const std::byte> bytes) {
  std::uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes) return bad("the file is shorter than its header");
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  if (header_bytes > bytes.size() - sizeof header_bytes) {
    return bad("a header of {} bytes cannot be in a file of {}", header_bytes, bytes.size());
  }
  if (header_bytes > kHeaderBytesMax) {
    return bad("a header of {} bytes; at most {} are read", header_bytes, kHeaderBytesMax);
  }
  const auto size = static_cast<std::size_t>(header_bytes);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof header_bytes,
                              size);
  const auto data = bytes.subspan(sizeof header_bytes + size);
  auto header = parse_json(text, {.bytes_max = size, .depth_max = 8});
  if (!header) return bad("header: {}", header.error().message);
  if (!header->is_object()) return bad("the header is not an object");

  std::vector<TensorView> tensors;
  for (const auto& [name, entry] : header->items()) {
    if (name == "__metadata__") continue;
    if (name.empty() || name.find('\0') != std::string::npos) {
      return bad("a tensor name is empty or holds a NUL character");
    }
    auto tensor = read_tensor(name, entry, data);
    if (!tensor) return prefixed("tensor '" + shown_name(name) + "'", std::move(tensor).error());
    tensors.push_back(*std::move(tensor));
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorView& a, const TensorView& b) { return a.data.data() < b.data.data(); });
  HEARTH_TRY_VOID(check_cover(tensors, data));
  for (auto& tensor : tensors) {
    if (!by_name_.emplace(tensor.name, tensors_.size()).second) {
      return bad("tensor '{}' is in two shards", shown_name(tensor.name));
    }
    tensors_.push_back(std::move(tensor));
  }
  file_bytes_ += static_cast<std::int64_t>(bytes.size());
  return {};
}

Result<std::shared_ptr<const Safetensors>> Safetensors::parse(std::span<const std::byte> bytes) {
  std::shared_ptr<Safetensors> file(new Safetensors());
  HEARTH_TRY_VOID(file->add(bytes));
  return file;
}

Result<std::shared_ptr<const Safetensors>> Safetensors::open(const std::string& path) {
  HEARTH_TRY(auto mapped, MappedFile::open(path));
  std::shared_ptr<Safetensors> file(new Safetensors());
  if (auto added = file->add(mapped->bytes()); !added) {
    return prefixed(path, std::move(added).error());
  }
  file->files_.push_back(std::move(mapped));
  return file;
}

Result<std::shared_ptr<const Safetensors>> Safetensors::open_sharded(const std::string& folder,
                                                                     std::string_view index_json) {
  const auto in_index = [&](Error error) {
    return prefixed(folder + "/model.safetensors.index.json", std::move(error));
  };
  auto index = parse_json(index_json, {.bytes_max = kHeaderBytesMax, .depth_max = 8});
  if (!index) return in_index(std::move(index).error());
  const Json* map = index->is_object() ? member(*index, "weight_map") : nullptr;
  if (map == nullptr || !map->is_object() || map->empty()) {
    return in_index(bad("weight_map is not an object with entries").value());
  }
  std::set<std::string> names;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string()) return in_index(bad("a file name is not a string").value());
    names.insert(shard.get_ref<const std::string&>());
  }
  if (names.size() > kShardsMax) return in_index(bad("{} shards", names.size()).value());

  std::shared_ptr<Safetensors> all(new Safetensors());
  std::map<std::string, std::pair<std::size_t, std::size_t>> ranges;  // shard -> its tensors_
  for (const std::string& name : names) {
    auto path = resolve_shard(folder, name);
    if (!path) return in_index(std::move(path).error());
    HEARTH_TRY(auto mapped, MappedFile::open(*path));
    const std::size_t first = all->tensors_.size();
    if (auto added = all->add(mapped->bytes()); !added) {
      return prefixed(folder + "/" + name, std::move(added).error());
    }
    ranges[name] = {first, all->tensors_.size()};
    all->files_.push_back(std::move(mapped));
  }
  for (const auto& [tensor, shard] : map->items()) {
    const auto it = all->by_name_.find(tensor);
    const auto [first, last] = ranges[shard.get_ref<const std::string&>()];
    if (it == all->by_name_.end() || it->second < first || it->second >= last) {
      return in_index(bad("tensor '{}' is not in {}", shown_name(tensor),
                          shown_name(shard.get_ref<const std::string&>()))
                          .value());
    }
  }
  return all;
}

const TensorView* Safetensors::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

const MappedFile* Safetensors::file_of(std::span<const std::byte> range) const {
  return file_holding(files_, range);
}

}  // namespace hearth

#include "formats/gguf.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "formats/shown_name.h"

namespace hearth {
namespace {

template <class... Args>
tl::unexpected<Error> bad(fmt::format_string<Args...> format, Args&&... args) {
  return invalid("invalid_gguf", format, std::forward<Args>(args)...);
}

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

std::string_view as_text(std::span<const std::byte> raw) {
  return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}

std::string described(const GgufValue& value) {
  if (value.type != GgufType::kArray) return gguf_type_name(value.type);
  return std::string("an array of ") + gguf_type_name(value.element);
}

tl::unexpected<Error> wrong_type(std::string_view key, const GgufValue& value, const char* wanted) {
  return bad("metadata '{}' is {}, not {}", shown_name(key), described(value), wanted);
}

// A number of any integer type. Values over int64's range keep their bits in `magnitude`.
struct Integer {
  bool negative;
  std::uint64_t magnitude;  // two's complement when negative
};

std::optional<Integer> integer_at(GgufType type, const std::byte* at) {
  const auto is_signed = [](std::int64_t v) {
    return Integer{v < 0, static_cast<std::uint64_t>(v)};
  };
  switch (type) {
    case GgufType::kU8:
      return Integer{false, load<std::uint8_t>(at)};
    case GgufType::kU16:
      return Integer{false, load<std::uint16_t>(at)};
    case GgufType::kU32:
      return Integer{false, load<std::uint32_t>(at)};
    case GgufType::kU64:
      return Integer{false, load<std::uint64_t>(at)};
    case GgufType::kI8:
      return is_signed(load<std::int8_t>(at));
    case GgufType::kI16:
      return is_signed(load<std::int16_t>(at));
    case GgufType::kI32:
      return is_signed(load<std::int32_t>(at));
    case GgufType::kI64:
      return is_signed(load<std::int64_t>(at));
    default:
      return std::nullopt;
  }
}

std::optional<float> float_at(GgufType type, const std::byte* at) {
  if (type == GgufType::kF32) return load<float>(at);
  if (type == GgufType::kF64) {
    const auto wide = load<double>(at);
    // Converting a double beyond float's range is undefined.
    if (wide > std::numeric_limits<float>::max()) return std::numeric_limits<float>::infinity();
    if (wide < std::numeric_limits<float>::lowest()) return -std::numeric_limits<float>::infinity();
    return static_cast<float>(wide);
  }
  return std::nullopt;
}

constexpr auto kInt64Max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

// "dir/name-00002-of-00003.gguf" taken apart.
struct PartName {
  std::string prefix;  // "dir/name"
  std::uint64_t number, count;
};

std::optional<PartName> part_name(const std::string& path) {
  constexpr std::string_view kPattern = "-00000-of-00000.gguf";
  if (path.size() <= kPattern.size()) return std::nullopt;
  const std::string_view tail = std::string_view(path).substr(path.size() - kPattern.size());
  PartName name{path.substr(0, path.size() - kPattern.size()), 0, 0};
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    if (kPattern[i] != '0') {
      if (tail[i] != kPattern[i]) return std::nullopt;
      continue;
    }
    if (tail[i] < '0' || tail[i] > '9') return std::nullopt;
    auto& value = i < 6 ? name.number : name.count;
    value = value * 10 + static_cast<std::uint64_t>(tail[i] - '0');
  }
  return name;
}

}  // namespace

Result<std::shared_ptr<const GgufFile>> GgufFile::parse(std::span<const std::byte> bytes) {
  HEARTH_TRY(GgufHeader header, parse_gguf_header(bytes));
  std::shared_ptr<GgufFile> file(new GgufFile());
  file->file_bytes_ = static_cast<std::int64_t>(bytes.size());
  file->metadata_ = std::move(header.metadata);
  HEARTH_TRY(const auto count, file->get_u64("split.count"));
  if (count.value_or(1) > 1) return bad("one of {} parts, which were not given", *count);
  HEARTH_TRY_VOID(file->add_tensors(header));
  return file;
}

Result<std::shared_ptr<const GgufFile>> GgufFile::open(const std::string& path) {
  HEARTH_TRY(auto mapped, MappedFile::open(path));
  const auto read = [&]() -> Result<std::shared_ptr<const GgufFile>> {
    HEARTH_TRY(GgufHeader header, parse_gguf_header(mapped->bytes()));
    std::shared_ptr<GgufFile> file(new GgufFile());
    file->file_bytes_ = static_cast<std::int64_t>(mapped->bytes().size());
    file->files_.push_back(mapped);
    file->metadata_ = std::move(header.metadata);
    HEARTH_TRY_VOID(file->add_tensors(header));
    HEARTH_TRY(const auto count, file->get_u64("split.count"));
    if (count.value_or(1) > 1) HEARTH_TRY_VOID(file->add_parts(path));
    return file;
  };
  auto file = read();
  if (!file) return prefixed(path, std::move(file).error());
  return file;
}

Status GgufFile::add_tensors(GgufHeader& header) {
  for (auto& tensor : header.tensors) {
    if (!by_name_.emplace(tensor.name, tensors_.size()).second) {
      return bad("tensor '{}' is in two parts", shown_name(tensor.name));
    }
    tensors_.push_back(
        TensorView{std::move(tensor.name), tensor.dtype, std::move(tensor.shape), tensor.data});
  }
  return {};
}

// The other parts lie beside the first, under names that differ in the number only.
Status GgufFile::add_parts(const std::string& path) {
  HEARTH_TRY(const auto count, get_u64("split.count"));
  HEARTH_TRY(const auto number, get_u64("split.no"));
  HEARTH_TRY(const auto tensors, get_u64("split.tensors.count"));
  const auto name = part_name(path);
  if (!name) {
    return bad("one of {} parts, but the name does not end in -00001-of-{:05}.gguf", *count,
               *count);
  }
  if (name->count != *count) {
    return bad("split.count is {}, but the name says {} parts", *count, name->count);
  }
  if (number.value_or(0) != 0 || name->number != 1) {
    return bad("a later part of a split model; open {}-00001-of-{:05}.gguf", name->prefix, *count);
  }
  for (std::uint64_t i = 1; i < *count; ++i) {
    const std::string part = fmt::format("{}-{:05}-of-{:05}.gguf", name->prefix, i + 1, *count);
    HEARTH_TRY(auto mapped, MappedFile::open(part));
    auto header = parse_gguf_header(mapped->bytes());
    if (!header) return prefixed(part, std::move(header).error());
    GgufFile single;  // for its typed access
    single.metadata_ = std::move(header->metadata);
    HEARTH_TRY(const auto its_number, single.get_u64("split.no"));
    HEARTH_TRY(const auto its_count, single.get_u64("split.count"));
    if (its_number != i || its_count != *count) {
      return bad("{}: split.no {} and split.count {}, but part {} of {} was expected", part,
                 its_number.value_or(0), its_count.value_or(0), i, *count);
    }
    HEARTH_TRY_VOID(add_tensors(*header));
    file_bytes_ += static_cast<std::int64_t>(mapped->bytes().size());
    files_.push_back(std::move(mapped));
  }
  if (tensors && *tensors != tensors_.size()) {
    return bad("split.tensors.count is {}, but the parts hold {} tensors", *tensors,
               tensors_.size());
  }
  return {};
}

const GgufValue* GgufFile::value(std::string_view key) const {
  const auto it = metadata_.find(key);
  return it == metadata_.end() ? nullptr : &it->second;
}

Result<std::optional<std::uint64_t>> GgufFile::get_u64(std::string_view key) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return std::nullopt;
  const auto integer = integer_at(found->type, found->raw.data());
  if (!integer) return wrong_type(key, *found, "an integer");
  if (integer->negative) return bad("metadata '{}' is negative", shown_name(key));
  return integer->magnitude;
}

Result<std::optional<std::int64_t>> GgufFile::get_i64(std::string_view key) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return std::nullopt;
  const auto integer = integer_at(found->type, found->raw.data());
  if (!integer) return wrong_type(key, *found, "an integer");
  if (!integer->negative && integer->magnitude > kInt64Max) {
    return bad("metadata '{}' is out of range", shown_name(key));
  }
  return static_cast<std::int64_t>(integer->magnitude);
}

Result<std::optional<float>> GgufFile::get_f32(std::string_view key) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return std::nullopt;
  if (const auto real = float_at(found->type, found->raw.data())) return *real;
  if (!integer_at(found->type, found->raw.data())) return wrong_type(key, *found, "a number");
  HEARTH_TRY(const auto integer, get_i64(key));
  return static_cast<float>(*integer);
}

Result<std::optional<bool>> GgufFile::get_bool(std::string_view key) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return std::nullopt;
  if (found->type != GgufType::kBool) return wrong_type(key, *found, "a bool");
  return found->raw[0] != std::byte{0};
}

Result<std::optional<std::string_view>> GgufFile::get_string(std::string_view key) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return std::nullopt;
  if (found->type != GgufType::kString) return wrong_type(key, *found, "a string");
  return as_text(found->raw);
}

Result<std::optional<std::vector<std::string_view>>> GgufFile::get_strings(
    std::string_view key) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return std::nullopt;
  if (found->type != GgufType::kArray || found->element != GgufType::kString) {
    return wrong_type(key, *found, "an array of strings");
  }
  // The lengths were checked when the header was read.
  std::vector<std::string_view> strings(static_cast<std::size_t>(found->count));
  auto rest = found->raw;
  for (auto& text : strings) {
    const auto size = static_cast<std::size_t>(load<std::uint64_t>(rest.data()));
    text = as_text(rest.subspan(8, size));
    rest = rest.subspan(8 + size);
  }
  return strings;
}

Result<std::optional<std::vector<float>>> GgufFile::get_floats(std::string_view key) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return std::nullopt;
  const bool fits = found->type == GgufType::kArray &&
                    (found->element == GgufType::kF32 || found->element == GgufType::kF64);
  if (!fits) return wrong_type(key, *found, "an array of floats");
  std::vector<float> floats(static_cast<std::size_t>(found->count));
  const std::byte* at = found->raw.data();
  for (auto& x : floats) {
    x = *float_at(found->element, at);
    at += gguf_type_bytes(found->element);
  }
  return floats;
}

Result<std::optional<std::vector<std::int64_t>>> GgufFile::get_ints(std::string_view key) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return std::nullopt;
  if (found->type != GgufType::kArray) return wrong_type(key, *found, "an array of integers");
  const GgufType element = found->element == GgufType::kBool ? GgufType::kU8 : found->element;
  const std::size_t step = gguf_type_bytes(element);
  if (step == 0 || element == GgufType::kF32 || element == GgufType::kF64) {
    return wrong_type(key, *found, "an array of integers");
  }
  std::vector<std::int64_t> ints(static_cast<std::size_t>(found->count));
  const std::byte* at = found->raw.data();
  for (auto& x : ints) {
    const Integer integer = *integer_at(element, at);
    if (!integer.negative && integer.magnitude > kInt64Max) {
      return bad("metadata '{}' holds a number out of range", shown_name(key));
    }
    x = static_cast<std::int64_t>(integer.magnitude);
    at += step;
  }
  return ints;
}

const TensorView* GgufFile::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

const MappedFile* GgufFile::file_of(std::span<const std::byte> range) const {
  return file_holding(files_, range);
}

}  // namespace hearth

#include "formats/gguf_header.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

#include "formats/shown_name.h"

namespace hearth {
namespace {

constexpr std::uint64_t kNameBytesMax = 65535;  // the specification's bound on keys
constexpr std::uint64_t kEntriesMax = 1u
                                      << 20;  // metadata keys; tensors (the largest models: 10^4)
constexpr int kArrayDepthMax = 4;
constexpr std::uint32_t kDimsMax = 4;
constexpr std::uint32_t kAlignmentMax = 1u << 20;

template <class... Args>
tl::unexpected<Error> bad(fmt::format_string<Args...> format, Args&&... args) {
  return invalid("invalid_gguf", format, std::forward<Args>(args)...);
}

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint64_t left() const { return bytes_.size() - at_; }
  std::uint64_t position() const { return at_; }

  template <class T>
  Result<T> number(const char* what) {
    HEARTH_TRY(const auto raw, take(sizeof(T), what));
    T value;
    std::memcpy(&value, raw.data(), sizeof value);
    return value;
  }

  Result<std::span<const std::byte>> take(std::uint64_t size, const char* what) {
    if (size > left()) {
      return bad("the file ends inside {} (byte {}: {} bytes wanted, {} left)", what, at_, size,
                 left());
    }
    const auto raw = bytes_.subspan(at_, static_cast<std::size_t>(size));
    at_ += static_cast<std::size_t>(size);
    return raw;
  }

  Result<std::span<const std::byte>> string(const char* what) {
    HEARTH_TRY(const auto size, number<std::uint64_t>(what));
    return take(size, what);
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

Result<std::string> read_name(Reader& in, const char* what) {
  HEARTH_TRY(const auto raw, in.string(what));
  if (raw.empty()) return bad("{} is empty", what);
  if (raw.size() > kNameBytesMax) {
    return bad("{} of {} bytes; at most {} are allowed", what, raw.size(), kNameBytesMax);
  }
  std::string name(reinterpret_cast<const char*>(raw.data()), raw.size());
  const bool control = std::any_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (control) return bad("{} '{}' holds a control character", what, shown_name(name));
  return name;
}

Result<GgufType> read_type(Reader& in) {
  HEARTH_TRY(const auto type, in.number<std::uint32_t>("a value type"));
  if (type > static_cast<std::uint32_t>(GgufType::kF64)) return bad("unknown value type {}", type);
  return static_cast<GgufType>(type);
}

Status check_bools(std::span<const std::byte> raw) {
  if (std::all_of(raw.begin(), raw.end(), [](std::byte b) { return b <= std::byte{1}; })) return {};
  return bad("a bool is neither 0 nor 1");
}

// Walks over the elements; afterwards `in` stands behind the array.
Status skip_elements(Reader& in, GgufType element, std::uint64_t count, int depth) {
  constexpr const char* kWhat = "an array";
  if (const std::size_t size = gguf_type_bytes(element); size != 0) {
    if (count > in.left() / size) {
      return bad("the file ends inside an array (byte {}: {} elements of {} bytes)", in.position(),
                 count, size);
    }
    HEARTH_TRY(const auto raw, in.take(count * size, kWhat));
    return element == GgufType::kBool ? check_bools(raw) : Status();
  }
  // Each element takes at least its length: 8 bytes, or 12 with a type.
  if (count > in.left() / 8) {
    return bad("the file ends inside an array (byte {}: {} elements)", in.position(), count);
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    if (element == GgufType::kString) {
      HEARTH_TRY_VOID(in.string(kWhat));
      continue;
    }
    if (depth >= kArrayDepthMax) return bad("arrays nested deeper than {}", kArrayDepthMax);
    HEARTH_TRY(const auto inner, read_type(in));
    HEARTH_TRY(const auto inner_count, in.number<std::uint64_t>(kWhat));
    HEARTH_TRY_VOID(skip_elements(in, inner, inner_count, depth + 1));
  }
  return {};
}

Result<GgufValue> read_value(Reader& in, std::span<const std::byte> file) {
  GgufValue value;
  HEARTH_TRY(value.type, read_type(in));
  if (value.type == GgufType::kString) {
    HEARTH_TRY(value.raw, in.string("a string"));
  } else if (value.type == GgufType::kArray) {
    HEARTH_TRY(value.element, read_type(in));
    HEARTH_TRY(value.count, in.number<std::uint64_t>("an array"));
    const std::uint64_t begin = in.position();
    HEARTH_TRY_VOID(skip_elements(in, value.element, value.count, 1));
    value.raw = file.subspan(static_cast<std::size_t>(begin),
                             static_cast<std::size_t>(in.position() - begin));
  } else {
    HEARTH_TRY(value.raw, in.take(gguf_type_bytes(value.type), "a value"));
    if (value.type == GgufType::kBool) HEARTH_TRY_VOID(check_bools(value.raw));
  }
  return value;
}

struct Placement {
  std::uint64_t offset, bytes;
};

// Kind, shape and place of one tensor; the place is checked later, when the data section is known.
Result<Placement> read_tensor(Reader& in, GgufTensorInfo& tensor) {
  HEARTH_TRY(const auto n_dims, in.number<std::uint32_t>("a tensor"));
  if (n_dims < 1 || n_dims > kDimsMax) {
    return bad("{} dimensions; 1 to {} are allowed", n_dims, kDimsMax);
  }
  std::int64_t elems = 1;
  for (std::uint32_t i = 0; i < n_dims; ++i) {
    HEARTH_TRY(const auto dim, in.number<std::uint64_t>("a tensor"));
    if (dim < 1 || dim > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) ||
        __builtin_mul_overflow(elems, static_cast<std::int64_t>(dim), &elems)) {
      return bad("dimension {} is {}, which is out of range", i, dim);
    }
    tensor.shape.push_back(static_cast<std::int64_t>(dim));
  }
  HEARTH_TRY(const auto kind, in.number<std::uint32_t>("a tensor"));
  const auto dtype = dtype_of_ggml(kind);
  if (!dtype) {
    return fail(ErrorKind::kUnsupported, "unsupported_tensor_kind",
                "element kind {} is not supported", ggml_type_name(kind));
  }
  tensor.dtype = *dtype;
  const std::int64_t row = tensor.shape.front();  // GGUF puts the innermost dimension first
  if (row % info(*dtype).block_elems != 0) {
    return bad("rows of {} elements are not whole blocks of {}", row, info(*dtype).name);
  }
  const auto bytes = row_bytes(*dtype, elems);
  if (!bytes) return bad("the size of {} elements overflows", elems);
  std::reverse(tensor.shape.begin(), tensor.shape.end());
  HEARTH_TRY(const auto offset, in.number<std::uint64_t>("a tensor"));
  return Placement{offset, static_cast<std::uint64_t>(*bytes)};
}

Result<std::uint32_t> alignment_of(const GgufHeader& header) {
  const auto it = header.metadata.find("general.alignment");
  if (it == header.metadata.end()) return kGgufAlignment;
  if (it->second.type != GgufType::kU32) {
    return bad("general.alignment is {}, not u32", gguf_type_name(it->second.type));
  }
  std::uint32_t alignment = 0;
  std::memcpy(&alignment, it->second.raw.data(), sizeof alignment);
  if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > kAlignmentMax) {
    return bad("general.alignment is {}; a power of two up to {} is wanted", alignment,
               kAlignmentMax);
  }
  return alignment;
}

Status place_tensors(std::span<const std::byte> file, std::uint64_t header_end,
                     std::uint32_t alignment, const std::vector<Placement>& places,
                     GgufHeader& header) {
  if (places.empty()) return {};
  const std::uint64_t start = (header_end + alignment - 1) / alignment * alignment;
  if (start > file.size()) return bad("the file ends before the tensor data");
  const auto data = file.subspan(static_cast<std::size_t>(start));
  std::vector<std::size_t> order(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    order[i] = i;
    const auto [offset, bytes] = places[i];
    const auto refuse = [&](std::string_view why) {
      return bad("tensor '{}': {} (offset {}, {} bytes, data section of {} bytes)",
                 shown_name(header.tensors[i].name), why, offset, bytes, data.size());
    };
    if (offset % alignment != 0) return refuse("its offset is not aligned");
    if (offset > data.size() || bytes > data.size() - offset) {
      return refuse("its data reach past the end of the file");
    }
    header.tensors[i].data =
        data.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(bytes));
  }
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return places[a].offset < places[b].offset; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const Placement& before = places[order[i - 1]];
    if (before.offset + before.bytes > places[order[i]].offset) {
      return bad("the data of tensors '{}' and '{}' overlap",
                 shown_name(header.tensors[order[i - 1]].name),
                 shown_name(header.tensors[order[i]].name));
    }
  }
  return {};
}

Status check_version(std::uint32_t version) {
  if (version == 2 || version == 3) return {};
  if ((version & 0xffffu) == 0 && version != 0) {
    return fail(ErrorKind::kUnsupported, "unsupported_gguf", "big-endian GGUF is not supported");
  }
  return fail(ErrorKind::kUnsupported, "unsupported_gguf",
              "GGUF version {} is not supported; 2 and 3 are", version);
}

}  // namespace

Result<GgufHeader> parse_gguf_header(std::span<const std::byte> file) {
  Reader in(file);
  HEARTH_TRY(const auto magic, in.number<std::uint32_t>("the header"));
  if (magic != kGgufMagic) return bad("not a GGUF file (it does not begin with \"GGUF\")");
  HEARTH_TRY(const auto version, in.number<std::uint32_t>("the header"));
  HEARTH_TRY_VOID(check_version(version));
  HEARTH_TRY(const auto n_tensors, in.number<std::uint64_t>("the header"));
  HEARTH_TRY(const auto n_entries, in.number<std::uint64_t>("the header"));
  // The least that one of each takes: key length, key, type, value; and name length, name, count of
  // dimensions, one dimension, kind, offset.
  constexpr std::uint64_t kEntryBytesMin = 8 + 1 + 4 + 1;
  constexpr std::uint64_t kTensorBytesMin = 8 + 1 + 4 + 8 + 4 + 8;
  if (n_entries > kEntriesMax || n_entries > in.left() / kEntryBytesMin) {
    return bad("{} metadata entries cannot be in a file of {} bytes", n_entries, file.size());
  }
  if (n_tensors > kEntriesMax || n_tensors > in.left() / kTensorBytesMin) {
    return bad("{} tensors cannot be in a file of {} bytes", n_tensors, file.size());
  }

  GgufHeader header;
  for (std::uint64_t i = 0; i < n_entries; ++i) {
    HEARTH_TRY(std::string key, read_name(in, "a metadata key"));
    auto value = read_value(in, file);
    if (!value) return prefixed("metadata '" + shown_name(key) + "'", std::move(value).error());
    const auto [it, fresh] = header.metadata.emplace(std::move(key), *value);
    if (!fresh) return bad("metadata key '{}' appears twice", shown_name(it->first));
  }

  std::vector<Placement> places;
  std::set<std::string_view> names;
  header.tensors.reserve(static_cast<std::size_t>(n_tensors));  // `names` refers to the elements
  for (std::uint64_t i = 0; i < n_tensors; ++i) {
    auto& tensor = header.tensors.emplace_back();
    HEARTH_TRY(tensor.name, read_name(in, "a tensor name"));
    auto place = read_tensor(in, tensor);
    if (!place) {
      return prefixed("tensor '" + shown_name(tensor.name) + "'", std::move(place).error());
    }
    places.push_back(*place);
    if (!names.insert(tensor.name).second) {
      return bad("tensor '{}' appears twice", shown_name(tensor.name));
    }
  }
  HEARTH_TRY(const auto alignment, alignment_of(header));
  HEARTH_TRY_VOID(place_tensors(file, in.position(), alignment, places, header));
  return header;
}

}  // namespace hearth

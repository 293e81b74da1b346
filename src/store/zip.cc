#include "store/zip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <set>

namespace hearth::store {
namespace {

constexpr std::size_t kEndSize = 22;         // end of central directory, without its comment
constexpr std::size_t kDirectoryEntry = 46;  // without name, extra field and comment
constexpr std::size_t kLocalHeader = 30;     // without name and extra field
constexpr std::size_t kCommentMax = 0xFFFF;
constexpr std::uint64_t kDirectoryMax = 16u << 20;
constexpr std::uint32_t kZip64 = 0xFFFFFFFF;  // "look into the zip64 record"
constexpr std::size_t kChunk = 256u << 10;

std::uint32_t read_le(std::string_view bytes, std::size_t at, std::size_t width) {
  std::uint32_t value = 0;
  for (std::size_t i = width; i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  }
  return value;
}
std::uint32_t u16(std::string_view bytes, std::size_t at) { return read_le(bytes, at, 2); }
std::uint32_t u32(std::string_view bytes, std::size_t at) { return read_le(bytes, at, 4); }

tl::unexpected<Error> bad(std::string_view why) { return invalid("bad_zip", "bad zip: {}", why); }
tl::unexpected<Error> unsupported(std::string_view what) {
  return fail(ErrorKind::kUnsupported, "unsupported_zip", "{} zip files are not supported", what);
}

Result<std::string> read_exactly(ReadableFile& file, std::uint64_t offset, std::uint64_t size) {
  if (offset > file.size() || size > file.size() - offset) {
    return bad("a part lies outside the file");
  }
  std::string bytes(size, '\0');
  HEARTH_TRY(const std::size_t n, file.read_at(offset, bytes));
  if (n != size) return bad("the file is cut");
  return bytes;
}

class Inflater {
 public:
  Inflater() { ready_ = inflateInit2(&stream_, -MAX_WBITS) == Z_OK; }  // raw deflate
  ~Inflater() {
    if (ready_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  bool ready() const { return ready_; }
  bool finished() const { return finished_; }

  // Calls `out` with what comes of `in`. zlib takes the input unsigned and not const.
  Status feed(std::string& in, const ZipReader::Sink& out) {
    std::array<char, 64u << 10> buffer;
    stream_.next_in = bytes_of(in.data());
    stream_.avail_in = static_cast<uInt>(in.size());
    do {
      stream_.next_out = bytes_of(buffer.data());
      stream_.avail_out = static_cast<uInt>(buffer.size());
      const int code = inflate(&stream_, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        return bad("a member does not inflate");
      }
      HEARTH_TRY_VOID(out({buffer.data(), buffer.size() - stream_.avail_out}));
      finished_ = code == Z_STREAM_END;
    } while (!finished_ && (stream_.avail_in > 0 || stream_.avail_out == 0));
    if (finished_ && stream_.avail_in > 0) return bad("bytes follow a member's end");
    return {};
  }

 private:
  static Bytef* bytes_of(void* p) { return static_cast<Bytef*>(p); }

  z_stream stream_ = {};
  bool ready_ = false;
  bool finished_ = false;
};

}  // namespace

Result<ZipReader> ZipReader::open(std::unique_ptr<ReadableFile> file) {
  ZipReader reader;
  reader.file_ = std::move(file);
  HEARTH_TRY_VOID(reader.read_directory());
  return reader;
}

Status ZipReader::read_directory() {
  const std::uint64_t file_size = file_->size();
  const std::uint64_t tail_size = std::min<std::uint64_t>(file_size, kEndSize + kCommentMax);
  HEARTH_TRY(const std::string tail, read_exactly(*file_, file_size - tail_size, tail_size));
  const std::size_t end = tail.rfind("PK\x05\x06");
  if (end == std::string::npos || tail.size() - end < kEndSize) return bad("it has no directory");
  if (end + kEndSize + u16(tail, end + 20) != tail.size()) return bad("bytes follow its end");
  if (u16(tail, end + 4) != 0 || u16(tail, end + 6) != 0) return unsupported("multi-volume");
  const std::uint32_t count = u16(tail, end + 10);
  const std::uint64_t size = u32(tail, end + 12);
  directory_offset_ = u32(tail, end + 16);
  if (count == 0xFFFF || size == kZip64 || directory_offset_ == kZip64) return unsupported("zip64");
  if (size > kDirectoryMax) return bad("its directory is too large");
  if (directory_offset_ + size > file_size - tail_size + end) {
    return bad("its directory lies outside the file");
  }
  HEARTH_TRY(const std::string directory, read_exactly(*file_, directory_offset_, size));

  std::set<std::string_view> names;
  std::size_t at = 0;
  entries_.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (directory.size() - at < kDirectoryEntry || u32(directory, at) != 0x02014b50) {
      return bad("its directory is cut");
    }
    const std::size_t name_size = u16(directory, at + 28);
    const std::size_t whole =
        kDirectoryEntry + name_size + u16(directory, at + 30) + u16(directory, at + 32);
    if (directory.size() - at < whole) return bad("its directory is cut");
    if ((u16(directory, at + 8) & 0x41) != 0) return unsupported("encrypted");
    ZipEntry entry;
    entry.name = directory.substr(at + kDirectoryEntry, name_size);
    entry.method = static_cast<std::uint16_t>(u16(directory, at + 10));
    entry.crc = u32(directory, at + 16);
    entry.compressed_size = u32(directory, at + 20);
    entry.size = u32(directory, at + 24);
    entry.header_offset = u32(directory, at + 42);
    if (entry.compressed_size == kZip64 || entry.size == kZip64 || entry.header_offset == kZip64) {
      return unsupported("zip64");
    }
    // Two members of one name: tools disagree on which one counts.
    const std::string_view name =
        std::string_view(directory).substr(at + kDirectoryEntry, name_size);
    if (!names.insert(name).second) return bad("two members have the same name");
    entries_.push_back(std::move(entry));
    at += whole;
  }
  if (at != directory.size()) return bad("its directory has another length than stated");
  return {};
}

const ZipEntry* ZipReader::find(std::string_view name) const {
  const auto it = std::find_if(entries_.begin(), entries_.end(),
                               [name](const ZipEntry& entry) { return entry.name == name; });
  return it == entries_.end() ? nullptr : &*it;
}

Result<std::uint64_t> ZipReader::data_offset(const ZipEntry& entry) const {
  HEARTH_TRY(const std::string header, read_exactly(*file_, entry.header_offset, kLocalHeader));
  if (u32(header, 0) != 0x04034b50) return bad("a member has no header");
  const std::uint64_t name_size = u16(header, 26);
  HEARTH_TRY(const std::string name,
             read_exactly(*file_, entry.header_offset + kLocalHeader, name_size));
  if (name != entry.name) return bad("a member's header has another name than the directory");
  if (u16(header, 8) != entry.method) return bad("a member's header has another method");
  const std::uint64_t offset = entry.header_offset + kLocalHeader + name_size + u16(header, 28);
  if (offset > directory_offset_ || entry.compressed_size > directory_offset_ - offset) {
    return bad("a member reaches into the directory");
  }
  return offset;
}

Status ZipReader::extract(const ZipEntry& entry, const Sink& sink) const {
  if (entry.method != 0 && entry.method != 8) {
    return fail(ErrorKind::kUnsupported, "unsupported_zip", "zip method {} is not supported",
                entry.method);
  }
  if (entry.method == 0 && entry.size != entry.compressed_size) {
    return bad("a stored member has two sizes");
  }
  HEARTH_TRY(std::uint64_t at, data_offset(entry));
  std::uint64_t done = 0;
  uLong crc = crc32(0, nullptr, 0);
  const Sink checked = [&](std::string_view bytes) -> Status {
    if (bytes.size() > entry.size - done) return bad("a member is longer than stated");
    // zlib's own loop over the bytes wants them unsigned.
    const void* data = bytes.data();
    crc = crc32(crc, static_cast<const Bytef*>(data), static_cast<uInt>(bytes.size()));
    done += bytes.size();
    return sink(bytes);
  };

  Inflater inflater;
  if (!inflater.ready()) return fail(ErrorKind::kExhausted, "no_memory", "zlib has no memory");
  std::uint64_t left = entry.compressed_size;
  std::string chunk;
  while (left > 0) {
    const std::uint64_t n = std::min<std::uint64_t>(left, kChunk);
    HEARTH_TRY(chunk, read_exactly(*file_, at, n));
    if (entry.method == 8 && inflater.finished()) return bad("bytes follow a member's end");
    if (entry.method == 8) {
      HEARTH_TRY_VOID(inflater.feed(chunk, checked));
    } else {
      HEARTH_TRY_VOID(checked(chunk));
    }
    at += n;
    left -= n;
  }
  if (entry.method == 8 && !inflater.finished()) return bad("a member is cut");
  if (done != entry.size) return bad("a member is shorter than stated");
  if (static_cast<std::uint32_t>(crc) != entry.crc) return bad("a member's checksum is wrong");
  return {};
}

}  // namespace hearth::store

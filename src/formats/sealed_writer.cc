#include "formats/sealed_writer.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fault_point.h"
#include "crypto/aead.h"
#include "crypto/hkdf.h"
#include "crypto/sha256.h"
#include "formats/sealed_layout.h"
#include "formats/sealed_reader.h"

namespace hearth::sealed {
namespace {

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::span<char> as_chars(std::span<std::byte> bytes) {
  return {reinterpret_cast<char*>(bytes.data()), bytes.size()};
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status must_not_exist(FileSystem& fs, const std::string& path) {
  const auto info = fs.info(path);
  if (!info && info.error().kind == ErrorKind::kNotFound) return {};
  if (!info) return tl::unexpected<Error>(info.error());
  return invalid("file_exists", "{} is there already; nothing is overwritten", path);
}

// A file that gets its name when it is whole.
class NewFile {
 public:
  static Result<NewFile> create(FileSystem& fs, const std::string& path) {
    HEARTH_TRY_VOID(must_not_exist(fs, path));
    NewFile out(fs, path);
    HEARTH_TRY(out.file_, fs.open_append(out.temporary_, /*truncate=*/true));
    return out;
  }
  NewFile(NewFile&& other) noexcept = default;
  ~NewFile() {
    if (!file_) return;
    file_.reset();
    (void)fs_->remove(temporary_);  // the error that led here is what will be told
  }

  Status append(std::span<const std::byte> bytes) { return file_->append(as_text(bytes)); }

  Status finish() {
    HEARTH_TRY_VOID(file_->sync());
    HEARTH_TRY_VOID(must_not_exist(*fs_, path_));
    HEARTH_TRY_VOID(fs_->rename(temporary_, path_));
    file_.reset();
    return fs_->sync_folder(folder_of(path_));
  }

 private:
  NewFile(FileSystem& fs, const std::string& path)
      : fs_(&fs), path_(path), temporary_(path + ".tmp") {}

  FileSystem* fs_;
  std::string path_, temporary_;
  std::unique_ptr<WritableFile> file_;
};

// All of `to`, or an error.
Status read_all(ReadableFile& file, std::uint64_t offset, std::span<std::byte> to) {
  HEARTH_TRY(const std::size_t n, file.read_at(offset, as_chars(to)));
  if (n != to.size()) return invalid("file_changed", "it became shorter while it was read");
  return {};
}

Header new_header(std::uint64_t plaintext_bytes, const SealOptions& options) {
  Header header;
  header.chunk_bytes = options.chunk_bytes;
  header.plaintext_bytes = plaintext_bytes;
  crypto::fill_random(header.file_id);
  crypto::fill_random(header.salt);
  crypto::fill_random(header.nonce_prefix);
  if (options.signer) header.signer = options.signer->public_key();
  return header;
}

// Chunk by chunk; `authenticated` gets their entries.
Status seal_chunks(ReadableFile& in, const Header& header, const Layout& layout,
                   const crypto::Aes256Gcm& aead, std::vector<std::byte>& authenticated,
                   NewFile& out) {
  std::vector<std::byte> buffer(layout.chunk_bytes);
  for (std::uint64_t i = 0; i < layout.chunks; ++i) {
    const auto text = std::span(buffer).first(layout.chunk_size(i));
    HEARTH_TRY_VOID(read_all(in, i * layout.chunk_bytes, text));
    std::array<std::byte, kTagBytes> tag{};
    aead.seal(nonce_of(header, i, i + 1 == layout.chunks),
              std::span(authenticated).first<kHeaderBytes>(), text, tag);
    const auto digest = crypto::sha256(text);
    authenticated.insert(authenticated.end(), tag.begin(), tag.end());
    authenticated.insert(authenticated.end(), digest.begin(), digest.end());
    HEARTH_TRY_VOID(out.append(text));
  }
  return {};
}

// The file's first bytes, and its slots, or those that wait beside it.
Result<Front> read_front_of(FileSystem& fs, const std::string& path) {
  HEARTH_TRY(const auto file, fs.open_read(path));
  std::vector<std::byte> first(
      static_cast<std::size_t>(std::min<std::uint64_t>(kBodyOffset, file->size())));
  HEARTH_TRY_VOID(read_all(*file, 0, first));
  HEARTH_TRY(Front front, read_front(first, file->size()));
  const auto pending = read_small_file(fs, pending_slots_path(path));
  if (pending) {
    HEARTH_TRY(front.slots, decode_pending(front.header, std::as_bytes(std::span(*pending))));
  } else if (pending.error().kind != ErrorKind::kNotFound) {
    return tl::unexpected<Error>(pending.error());
  }
  return front;
}

}  // namespace

Status seal_file(FileSystem& fs, const std::string& from, const std::string& to,
                 const SealOptions& options) {
  HEARTH_TRY(const bool sealed, is_sealed(fs, from));
  if (sealed) return invalid("already_sealed", "{} is sealed already", from);
  HEARTH_TRY(const auto in, fs.open_read(from));
  HEARTH_TRY(const Layout layout, layout_of(in->size(), options.chunk_bytes));
  const Header header = new_header(in->size(), options);
  crypto::Secret data_key(kKeyBytes);
  crypto::fill_random(data_key.bytes());
  HEARTH_TRY(const SlotArea slots, write_slots(header, data_key, options.keys));

  HEARTH_TRY(NewFile out, NewFile::create(fs, to));
  std::vector<std::byte> front(kBodyOffset);
  std::ranges::copy(encode(header), front.begin());
  std::ranges::copy(slots, front.begin() + kHeaderBytes);
  HEARTH_TRY_VOID(out.append(front));
  front.resize(kHeaderBytes);
  std::vector<std::byte> authenticated = std::move(front);
  const crypto::Aes256Gcm aead(content_key(data_key, header));
  auto written = seal_chunks(*in, header, layout, aead, authenticated, out);
  if (!written) return prefixed(from, std::move(written).error());
  HEARTH_TRY_VOID(out.append(std::span(authenticated).subspan(kHeaderBytes)));
  HEARTH_TRY_VOID(out.append(crypto::hmac_sha256(table_key(data_key, header), authenticated)));
  HEARTH_TRY_VOID(out.append(options.signer ? options.signer->sign(authenticated)
                                            : crypto::Ed25519Signature{}));
  return out.finish();
}

Status unseal_file(FileSystem& fs, const std::string& from, const std::string& to,
                   const Unsealing& unsealing) {
  auto reader = SealedReader::open(from, unsealing);
  if (!reader) return prefixed(from, std::move(reader).error());
  HEARTH_TRY(NewFile out, NewFile::create(fs, to));
  const Layout& layout = reader->layout();
  // Aligned for reads past the page cache.
  const std::unique_ptr<std::byte, decltype(&std::free)> memory(
      static_cast<std::byte*>(std::aligned_alloc(SealedReader::kAlignment, layout.chunk_bytes)),
      &std::free);
  if (!memory) return fail(ErrorKind::kExhausted, "out_of_memory", "no memory for a chunk");
  const std::span buffer(memory.get(), layout.chunk_bytes);
  for (std::uint64_t i = 0; i < layout.chunks; ++i) {
    auto read = reader->read_chunk(i, buffer);
    if (!read) return prefixed(from, std::move(read).error());
    HEARTH_TRY_VOID(out.append(buffer.first(layout.chunk_size(i))));
  }
  crypto::wipe(buffer);
  return out.finish();
}

Status rewrap_file(FileSystem& fs, const std::string& path, const KeyRef& old,
                   std::span<const KeyRef> added) {
  const auto in_file = [&](Error error) { return prefixed(path, std::move(error)); };
  auto front = read_front_of(fs, path);
  if (!front) return in_file(std::move(front).error());
  auto slots = replace_slots(front->header, front->slots, *old, added);
  if (!slots) return in_file(std::move(slots).error());
  // The new slots are first written beside the file: from the moment when they have their name they
  // hold, and whatever becomes of writing them over the old ones is of no importance.
  const std::string pending = pending_slots_path(path);
  const std::vector<std::byte> bytes = encode_pending(front->header, *slots);
  HEARTH_TRY_VOID(write_file_atomically(fs, pending, as_text(bytes)));
  if (FAULT_POINT("rewrap.before_slots"))
    return fail(ErrorKind::kIo, "disk_error", "rewrap.before_slots");
  HEARTH_TRY_VOID(fs.overwrite(path, kHeaderBytes, as_text(*slots)));
  if (FAULT_POINT("rewrap.after_slots"))
    return fail(ErrorKind::kIo, "disk_error", "rewrap.after_slots");
  HEARTH_TRY_VOID(fs.remove(pending));
  return fs.sync_folder(folder_of(path));
}

Result<bool> is_sealed(FileSystem& fs, const std::string& path) {
  HEARTH_TRY(const auto file, fs.open_read(path));
  std::array<std::byte, kMagicBytes> first{};
  HEARTH_TRY(const std::size_t n, file->read_at(0, as_chars(first)));
  return n == kMagicBytes && looks_sealed(first);
}

}  // namespace hearth::sealed

#include "formats/sealed_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "crypto/hkdf.h"
#include "crypto/sha256.h"

namespace hearth::sealed {
namespace {

template <class... Args>
tl::unexpected<Error> damaged(fmt::format_string<Args...> format, Args&&... args) {
  return invalid("sealed_damaged", format, std::forward<Args>(args)...);
}

tl::unexpected<Error> unreadable(int error) {
  return fail(ErrorKind::kIo, "file_unreadable", "{}", std::strerror(error));
}

constexpr std::size_t round_up(std::size_t n) {
  return (n + SealedReader::kAlignment - 1) / SealedReader::kAlignment * SealedReader::kAlignment;
}

}  // namespace

Result<Front> read_front(std::span<const std::byte> bytes, std::uint64_t file_bytes) {
  if (bytes.size() < kBodyOffset) return damaged("the file ends inside its header");
  Front front;
  HEARTH_TRY(front.header, decode(bytes.first<kHeaderBytes>()));
  HEARTH_TRY(front.layout, layout_of(front.header.plaintext_bytes, front.header.chunk_bytes));
  if (front.layout.file_bytes() != file_bytes)
    return damaged("the file has {} bytes, its header asks for {}", file_bytes,
                   front.layout.file_bytes());
  std::ranges::copy(bytes.subspan<kHeaderBytes, kSlotAreaBytes>(), front.slots.begin());
  const auto rest = bytes.first<kBodyOffset>().subspan<kHeaderBytes + kSlotAreaBytes>();
  if (std::ranges::any_of(rest, [](std::byte b) { return b != std::byte{0}; }))
    return damaged("bytes behind the key slots that mean nothing are not zero");
  return front;
}

std::string pending_slots_path(const std::string& path) { return path + ".slots"; }

std::vector<std::byte> encode_pending(const Header& header, const SlotArea& slots) {
  std::vector<std::byte> out(header.file_id.begin(), header.file_id.end());
  out.insert(out.end(), slots.begin(), slots.end());
  return out;
}

Result<SlotArea> decode_pending(const Header& header, std::span<const std::byte> bytes) {
  const std::size_t id_bytes = header.file_id.size();
  if (bytes.size() != id_bytes + kSlotAreaBytes ||
      !std::ranges::equal(bytes.first(id_bytes), header.file_id))
    return damaged("the key slots beside it are not of this file");
  SlotArea slots{};
  std::ranges::copy(bytes.subspan(id_bytes), slots.begin());
  return slots;
}

// Reads from the page cache what is there, and past it what is not.
class SealedReader::File {
 public:
  static Result<std::shared_ptr<const File>> open(const std::string& path) {
    if (path.find('\0') != std::string::npos)
      return invalid("invalid_path", "the path holds a NUL character");
    // O_NONBLOCK: opening a FIFO must not wait for a writer.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
      if (errno == ENOENT || errno == ENOTDIR)
        return fail(ErrorKind::kNotFound, "file_not_found", "no such file");
      return unreadable(errno);
    }
    const std::shared_ptr<File> file(new File(fd));
    struct stat st = {};
    if (::fstat(fd, &st) != 0) return unreadable(errno);
    if (!S_ISREG(st.st_mode)) return invalid("not_a_file", "not a regular file");
    file->size_ = static_cast<std::uint64_t>(st.st_size);
    // The same file again, by its descriptor: the name may lead to another one by now.
    const std::string again = fmt::format("/proc/self/fd/{}", fd);
    file->direct_ = ::open(again.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    return file;
  }
  ~File() {
    ::close(fd_);
    if (direct_ >= 0) ::close(direct_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::uint64_t size() const { return size_; }

  Status read(std::uint64_t offset, std::span<std::byte> to) const {
    return read_from(fd_, offset, to, to.size());
  }

  // The first `bytes` of `to` from `offset` on, both at multiples of kAlignment and `to` with room
  // for whole ones; `use` gets them in order, in pieces of `piece_bytes` or all at once.
  template <class Use>
  Status read_aligned(std::uint64_t offset, std::span<std::byte> to, std::size_t bytes,
                      std::size_t piece_bytes, Use use) const {
    for (std::size_t at = 0; at < bytes; at += piece_bytes) {
      const auto piece = to.subspan(at, std::min(piece_bytes, bytes - at));
      iovec part = {piece.data(), piece.size()};
      const ssize_t cached = ::preadv2(fd_, &part, 1, static_cast<off_t>(offset + at), RWF_NOWAIT);
      if (cached != static_cast<ssize_t>(piece.size())) {
        const bool uncached = cached >= 0 || errno == EAGAIN;
        if (at == 0 && uncached && direct_ >= 0 &&
            read_from(direct_, offset, to.first(round_up(bytes)), bytes)) {
          use(to.first(bytes));
          return {};
        }
        HEARTH_TRY_VOID(read(offset + at, piece));
      }
      use(piece);
    }
    return {};
  }

 private:
  explicit File(int fd) : fd_(fd) {}

  // At least `least` bytes.
  static Status read_from(int fd, std::uint64_t offset, std::span<std::byte> to,
                          std::size_t least) {
    std::size_t done = 0;
    while (done < least) {
      const ssize_t n =
          ::pread(fd, to.data() + done, to.size() - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return unreadable(errno);
      if (n == 0)
        return fail(ErrorKind::kIo, "file_unreadable",
                    "the file was cut shorter while it was read");
      done += static_cast<std::size_t>(n);
    }
    return {};
  }

  int fd_;
  int direct_ = -1;
  std::uint64_t size_ = 0;
};

SealedReader::SealedReader(std::shared_ptr<const File> file, const Header& header,
                           const Layout& layout, crypto::Secret content_key,
                           std::vector<std::byte> authenticated, bool checks_digests)
    : file_(std::move(file)),
      header_(header),
      layout_(layout),
      aead_(std::move(content_key)),
      authenticated_(std::move(authenticated)),
      checks_digests_(checks_digests) {}

Result<SealedReader> SealedReader::open(const std::string& path, const Unsealing& unsealing) {
  HEARTH_TRY(auto file, File::open(path));
  std::vector<std::byte> first(
      static_cast<std::size_t>(std::min<std::uint64_t>(kBodyOffset, file->size())));
  HEARTH_TRY_VOID(file->read(0, first));
  HEARTH_TRY(Front front, read_front(first, file->size()));
  const Header& header = front.header;
  auto pending = read_small_file(FileSystem::real(), pending_slots_path(path));
  if (pending) {
    HEARTH_TRY(front.slots, decode_pending(header, std::as_bytes(std::span(*pending))));
  } else if (pending.error().kind != ErrorKind::kNotFound) {
    return tl::unexpected<Error>(std::move(pending).error());
  }
  if (!unsealing.key)
    return invalid("sealed_without_key", "it is sealed; --key says what opens it");
  HEARTH_TRY(const crypto::Secret data_key, open_slots(header, front.slots, *unsealing.key));

  // The size of the file bounds this.
  std::vector<std::byte> authenticated(first.begin(), first.begin() + kHeaderBytes);
  const auto table_bytes = static_cast<std::size_t>(front.layout.table_bytes());
  authenticated.resize(kHeaderBytes + table_bytes);
  HEARTH_TRY_VOID(
      file->read(front.layout.table_at(), std::span(authenticated).subspan(kHeaderBytes)));
  std::array<std::byte, kMacBytes + kSignatureBytes> end{};
  HEARTH_TRY_VOID(file->read(front.layout.mac_at(), end));
  const auto mac = crypto::hmac_sha256(table_key(data_key, header), authenticated);
  if (!crypto::equal(mac, std::span(end).first<kMacBytes>()))
    return damaged("header or table were changed");

  crypto::Ed25519Signature signature{};
  std::ranges::copy(std::span(end).subspan<kMacBytes>(), signature.begin());
  if (!header.is_signed() && signature != crypto::Ed25519Signature{})
    return damaged("there is a signature of nobody");
  if (header.is_signed() && !crypto::ed25519_verify(header.signer, authenticated, signature))
    return damaged("the signature is not of this file");
  if (unsealing.signer) {
    if (!header.is_signed()) return invalid("sealed_not_signed", "nobody has signed it");
    if (header.signer != *unsealing.signer)
      return invalid("sealed_wrong_signer", "somebody else has signed it");
  }
  return SealedReader(std::move(file), header, front.layout, content_key(data_key, header),
                      std::move(authenticated), unsealing.signer.has_value());
}

std::span<const std::byte, kEntryBytes> SealedReader::entry(std::uint64_t i) const {
  return std::span(authenticated_)
      .subspan(kHeaderBytes + static_cast<std::size_t>(i) * kEntryBytes)
      .first<kEntryBytes>();
}

Status SealedReader::read_chunk(std::uint64_t i, std::span<std::byte> to) const {
  HEARTH_CHECK(i < layout_.chunks);
  const std::size_t bytes = layout_.chunk_size(i);
  HEARTH_CHECK(to.size() >= round_up(bytes));
  const auto sealed = entry(i);
  crypto::Aes256GcmOpening opening(aead_, nonce_of(header_, i, i + 1 == layout_.chunks),
                                   std::span(authenticated_).first<kHeaderBytes>());
  // Pieces that are still in the core's cache when they are decrypted; the digest wants the whole.
  constexpr std::size_t kPieceBytes = 256 << 10;
  bool same = true;
  Status read = file_->read_aligned(
      layout_.chunk_at(i), to, bytes, checks_digests_ ? layout_.chunk_bytes : kPieceBytes,
      [&](std::span<std::byte> piece) {
        if (checks_digests_)
          same = crypto::equal(crypto::sha256(piece), sealed.subspan<kTagBytes, kDigestBytes>());
        if (same) opening.update(piece);
      });
  if (read && !(same && opening.finish(sealed.first<kTagBytes>())))
    read = damaged("chunk {} was changed", i);
  // What a read past the cache brings from behind the chunk, or everything.
  crypto::wipe(read ? to.subspan(bytes, round_up(bytes) - bytes) : to);
  return read;
}

}  // namespace hearth::sealed

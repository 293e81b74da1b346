// Opens a sealed file and decrypts its chunks, each checked before anybody sees it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/result.h"
#include "crypto/aead.h"
#include "formats/sealed_keys.h"
#include "formats/sealed_layout.h"

namespace hearth::sealed {

// The first kBodyOffset bytes of a file of `file_bytes`, checked against that size.
struct Front {
  Header header;
  Layout layout;
  SlotArea slots;
};
Result<Front> read_front(std::span<const std::byte> bytes, std::uint64_t file_bytes);

// The slots that an interrupted `rewrap` left beside the file (docs/formats/sealed.md, "Changing
// keys"); they hold in place of the file's own. `bytes`: of the file named by pending_slots_path().
std::string pending_slots_path(const std::string& path);
std::vector<std::byte> encode_pending(const Header& header, const SlotArea& slots);
Result<SlotArea> decode_pending(const Header& header, std::span<const std::byte> bytes);

class SealedReader {
 public:
  // Everything but the chunks has been checked when this returns. Errors: "sealed_without_key",
  // "sealed_wrong_key", "sealed_damaged", "sealed_not_signed", "sealed_wrong_signer",
  // "sealed_unsupported"; "file_not_found" (kNotFound), "file_unreadable" (kIo), "not_a_file".
  static Result<SealedReader> open(const std::string& path, const Unsealing& unsealing);
  SealedReader(SealedReader&&) noexcept = default;

  const Header& header() const { return header_; }
  const Layout& layout() const { return layout_; }

  // The plaintext of chunk `i` into the first chunk_size(i) bytes of `to`, which has that many,
  // rounded up to kAlignment, and begins at a multiple of it. On an error nothing of it is left
  // there. By any number of threads. Errors: "sealed_damaged", "file_unreadable".
  static constexpr std::size_t kAlignment = 4096;
  Status read_chunk(std::uint64_t i, std::span<std::byte> to) const;

 private:
  class File;
  SealedReader(std::shared_ptr<const File> file, const Header& header, const Layout& layout,
               crypto::Secret content_key, std::vector<std::byte> authenticated,
               bool checks_digests);
  std::span<const std::byte, kEntryBytes> entry(std::uint64_t i) const;

  std::shared_ptr<const File> file_;
  Header header_;
  Layout layout_;
  crypto::Aes256Gcm aead_;
  std::vector<std::byte> authenticated_;  // header and table
  bool checks_digests_;  // a signer was asked for: who has the key could forge chunks for a tag
};

}  // namespace hearth::sealed

// What lies where in a sealed file (docs/formats/sealed.md). All of it is arithmetic on a fixed
// header: a reader holds every place against the size of the file before it allocates anything.
//
//   0     header      kHeaderBytes, fixed when the file is sealed, authenticated
//   128   slots       kSlots x kSlotBytes, each the data key wrapped for one key; then their MAC
//   2208  zeros
//   4096  chunks      ciphertext, each chunk_bytes long but the last
//         table       for each chunk its tag and the SHA-256 of its ciphertext
//         MAC         of header and table
//         signature   of header and table, or zeros
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace hearth::sealed {

inline constexpr std::size_t kHeaderBytes = 128;
inline constexpr std::size_t kSlots = 8;
inline constexpr std::size_t kSlotBytes = 256;
inline constexpr std::size_t kMacBytes = 32;
inline constexpr std::size_t kSlotAreaBytes = kSlots * kSlotBytes + kMacBytes;  // 2080
inline constexpr std::size_t kBodyOffset = 4096;
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kDigestBytes = 32;
inline constexpr std::size_t kEntryBytes = kTagBytes + kDigestBytes;
inline constexpr std::size_t kSignatureBytes = 64;

inline constexpr std::uint32_t kChunkBytes = 4u << 20;  // what is written
inline constexpr std::uint32_t kChunkBytesMin = 4096;   // what is read: powers of two
inline constexpr std::uint32_t kChunkBytesMax = 16u << 20;
inline constexpr std::uint64_t kChunksMax = std::uint64_t{1} << 32;  // the nonce counts in 32 bits

enum class Suite : std::uint32_t { kAes256Gcm = 1 };  // with HKDF-SHA256 and Ed25519

using FileId = std::array<std::byte, 16>;
using HeaderBytes = std::array<std::byte, kHeaderBytes>;
using Slot = std::array<std::byte, kSlotBytes>;
using SlotArea = std::array<std::byte, kSlotAreaBytes>;

struct Header {
  Suite suite = Suite::kAes256Gcm;
  std::uint32_t chunk_bytes = kChunkBytes;
  std::uint64_t plaintext_bytes = 0;
  FileId file_id{};
  std::array<std::byte, 32> salt{};
  std::array<std::byte, 7> nonce_prefix{};
  std::array<std::byte, 32> signer{};  // zeros: nobody

  bool is_signed() const { return signer != decltype(signer){}; }
};

struct Layout {
  std::uint64_t chunks = 0;  // at least one, also of nothing
  std::uint64_t plaintext_bytes = 0;
  std::uint32_t chunk_bytes = 0;

  std::uint64_t chunk_at(std::uint64_t i) const { return kBodyOffset + i * chunk_bytes; }
  std::size_t chunk_size(std::uint64_t i) const {
    return static_cast<std::size_t>(i + 1 < chunks ? chunk_bytes
                                                   : plaintext_bytes - i * chunk_bytes);
  }
  std::uint64_t table_at() const { return kBodyOffset + plaintext_bytes; }
  std::uint64_t table_bytes() const { return chunks * kEntryBytes; }
  std::uint64_t mac_at() const { return table_at() + table_bytes(); }
  std::uint64_t file_bytes() const { return mac_at() + kMacBytes + kSignatureBytes; }
};

// Whether a file that begins like this means to be a sealed one.
bool looks_sealed(std::span<const std::byte> beginning);
inline constexpr std::size_t kMagicBytes = 8;

HeaderBytes encode(const Header& header);
// Errors: "sealed_damaged" (kInvalid), "sealed_unsupported" (kUnsupported: version, suite). Bytes
// without a meaning must be zero.
Result<Header> decode(std::span<const std::byte, kHeaderBytes> bytes);

// "sealed_damaged" for a chunk size out of its bounds, "sealed_too_large" for more than kChunksMax
// chunks.
Result<Layout> layout_of(std::uint64_t plaintext_bytes, std::uint32_t chunk_bytes);

// prefix (7 bytes), number of the chunk (4, big endian), whether it is the last one (1): as in
// Tink's AES-GCM-HKDF streaming, so that no chunk can be taken for another or for the end.
std::array<std::byte, 12> nonce_of(const Header& header, std::uint64_t chunk, bool last);

std::uint32_t load_u32(const std::byte* at);
void store_u32(std::byte* at, std::uint32_t value);

}  // namespace hearth::sealed

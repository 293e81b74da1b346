#include "formats/sealed_layout.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace hearth::sealed {
namespace {

// Not text, and broken by whoever takes the file for text.
constexpr std::array<unsigned char, kMagicBytes> kMagic = {0x89, 'H',  'R',  'T',
                                                           'H',  '\r', '\n', 0x1a};
constexpr std::uint32_t kVersion = 1;

// Offsets in the header.
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kSuiteAt = 12;
constexpr std::size_t kChunkBytesAt = 16;
constexpr std::size_t kPlaintextBytesAt = 24;
constexpr std::size_t kFileIdAt = 32;
constexpr std::size_t kSaltAt = 48;
constexpr std::size_t kNoncePrefixAt = 80;
constexpr std::size_t kSignerAt = 88;

template <class T>
void store(std::byte* at, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i) at[i] = static_cast<std::byte>(value >> (8 * i));
}

template <class T>
T load(const std::byte* at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i)
    value |= static_cast<T>(std::to_integer<T>(at[i]) << (8 * i));
  return value;
}

}  // namespace

std::uint32_t load_u32(const std::byte* at) { return load<std::uint32_t>(at); }
void store_u32(std::byte* at, std::uint32_t value) { store(at, value); }

bool looks_sealed(std::span<const std::byte> beginning) {
  return beginning.size() >= kMagicBytes &&
         std::memcmp(beginning.data(), kMagic.data(), kMagicBytes) == 0;
}

HeaderBytes encode(const Header& header) {
  HeaderBytes out{};
  std::memcpy(out.data(), kMagic.data(), kMagicBytes);
  store(&out[kVersionAt], kVersion);
  store(&out[kSuiteAt], static_cast<std::uint32_t>(header.suite));
  store(&out[kChunkBytesAt], header.chunk_bytes);
  store(&out[kPlaintextBytesAt], header.plaintext_bytes);
  std::ranges::copy(header.file_id, &out[kFileIdAt]);
  std::ranges::copy(header.salt, &out[kSaltAt]);
  std::ranges::copy(header.nonce_prefix, &out[kNoncePrefixAt]);
  std::ranges::copy(header.signer, &out[kSignerAt]);
  return out;
}

Result<Header> decode(std::span<const std::byte, kHeaderBytes> bytes) {
  if (!looks_sealed(bytes)) return invalid("sealed_damaged", "not a sealed file");
  const auto version = load<std::uint32_t>(&bytes[kVersionAt]);
  if (version != kVersion)
    return fail(ErrorKind::kUnsupported, "sealed_unsupported",
                "version {} of sealed files is not supported; {} is", version, kVersion);
  const auto suite = load<std::uint32_t>(&bytes[kSuiteAt]);
  if (suite != static_cast<std::uint32_t>(Suite::kAes256Gcm))
    return fail(ErrorKind::kUnsupported, "sealed_unsupported",
                "cipher suite {} of sealed files is not supported; {} (AES-256-GCM) is", suite,
                static_cast<std::uint32_t>(Suite::kAes256Gcm));
  Header header;
  header.chunk_bytes = load<std::uint32_t>(&bytes[kChunkBytesAt]);
  header.plaintext_bytes = load<std::uint64_t>(&bytes[kPlaintextBytesAt]);
  std::ranges::copy(bytes.subspan<kFileIdAt, 16>(), header.file_id.begin());
  std::ranges::copy(bytes.subspan<kSaltAt, 32>(), header.salt.begin());
  std::ranges::copy(bytes.subspan<kNoncePrefixAt, 7>(), header.nonce_prefix.begin());
  std::ranges::copy(bytes.subspan<kSignerAt, 32>(), header.signer.begin());
  if (!std::ranges::equal(encode(header), bytes))
    return invalid("sealed_damaged", "bytes of the header that mean nothing are not zero");
  return header;
}

Result<Layout> layout_of(std::uint64_t plaintext_bytes, std::uint32_t chunk_bytes) {
  if (!std::has_single_bit(chunk_bytes) || chunk_bytes < kChunkBytesMin ||
      chunk_bytes > kChunkBytesMax)
    return invalid("sealed_damaged", "chunks of {} bytes; powers of two from {} to {} are read",
                   chunk_bytes, kChunkBytesMin, kChunkBytesMax);
  // kChunksMax * kChunkBytesMax is 2^56: no sum here can overflow.
  if (plaintext_bytes > kChunksMax * chunk_bytes)
    return fail(ErrorKind::kTooLarge, "sealed_too_large",
                "{} bytes are more than 2^32 chunks of {} bytes", plaintext_bytes, chunk_bytes);
  const std::uint64_t chunks =
      std::max<std::uint64_t>(1, (plaintext_bytes + chunk_bytes - 1) / chunk_bytes);
  return Layout{chunks, plaintext_bytes, chunk_bytes};
}

std::array<std::byte, 12> nonce_of(const Header& header, std::uint64_t chunk, bool last) {
  HEARTH_CHECK(chunk < kChunksMax);
  std::array<std::byte, 12> nonce{};
  std::ranges::copy(header.nonce_prefix, nonce.begin());
  for (std::size_t i = 0; i < 4; ++i) nonce[7 + i] = static_cast<std::byte>(chunk >> (24 - 8 * i));
  nonce[11] = std::byte{last};
  return nonce;
}

}  // namespace hearth::sealed

#include "crypto/base64.h"

#include <openssl/evp.h>

#include <algorithm>

namespace hearth::crypto {

std::string base64(std::span<const std::byte> bytes) {
  constexpr std::size_t kPieceBytes = 3u << 20;  // EVP_EncodeBlock counts in int; whole groups of 3
  std::string text;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), kPieceBytes));
    bytes = bytes.subspan(piece.size());
    const std::size_t at = text.size();
    text.resize(at + (piece.size() + 2) / 3 * 4 + 1);  // it writes a final NUL
    const int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data() + at),
                                        reinterpret_cast<const unsigned char*>(piece.data()),
                                        static_cast<int>(piece.size()));
    text.resize(at + static_cast<std::size_t>(written));
  }
  return text;
}

}  // namespace hearth::crypto

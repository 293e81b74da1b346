#include "crypto/hmac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/result.h"

namespace hearth::crypto {
namespace {

unsigned char* raw(std::byte* p) { return static_cast<unsigned char*>(static_cast<void*>(p)); }
const unsigned char* raw(const char* p) {
  return static_cast<const unsigned char*>(static_cast<const void*>(p));
}

}  // namespace

Digest hmac_sha256(std::span<const std::byte> key, std::string_view text) {
  Digest out;
  // Fails only when the library has no memory or was built without SHA-256.
  HEARTH_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), raw(text.data()),
                    text.size(), raw(out.data()), nullptr) != nullptr);
  return out;
}

bool equal_in_constant_time(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::byte byte : bytes) {
    text += "0123456789abcdef"[std::to_integer<int>(byte) >> 4];
    text += "0123456789abcdef"[std::to_integer<int>(byte) & 15];
  }
  return text;
}

}  // namespace hearth::crypto

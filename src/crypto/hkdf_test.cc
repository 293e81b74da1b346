#include "crypto/hkdf.h"

#include <gtest/gtest.h>

#include "testing/hex.h"

namespace hearth::crypto {
namespace {

using testing::from_hex;
using testing::to_hex;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {static_cast<const char*>(static_cast<const void*>(bytes.data())), bytes.size()};
}

// RFC 5869, A.1 and A.3.
TEST(Hkdf, KnownAnswers) {
  const Secret key(from_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"));
  const auto salt = from_hex("000102030405060708090a0b0c");
  const auto info = from_hex("f0f1f2f3f4f5f6f7f8f9");
  EXPECT_EQ(to_hex(hkdf_sha256(key, salt, text_of(info), 42).bytes()),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  EXPECT_EQ(to_hex(hkdf_sha256(key, {}, "", 42).bytes()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

// RFC 4231, case 2.
TEST(Hmac, KnownAnswer) {
  const Secret key(from_hex("4a656665"));  // "Jefe"
  const std::string_view message = "what do ya want for nothing?";
  EXPECT_EQ(to_hex(hmac_sha256(key, std::as_bytes(std::span(message)))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

}  // namespace
}  // namespace hearth::crypto

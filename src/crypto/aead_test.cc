#include "crypto/aead.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "testing/hex.h"

namespace hearth::crypto {
namespace {

using testing::from_hex;
using testing::to_hex;

Aes256Gcm with_key(const std::string& hex) { return Aes256Gcm(Secret(from_hex(hex))); }

std::array<std::byte, 12> nonce_of(const std::string& hex) {
  std::array<std::byte, 12> out{};
  const auto bytes = from_hex(hex);
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

// Cases 13 and 16 of "The Galois/Counter Mode of Operation" (McGrew, Viega), which NIST's
// validation took over.
TEST(Aes256GcmTest, KnownAnswers) {
  const Aes256Gcm zeros = with_key(std::string(64, '0'));
  std::array<std::byte, 16> tag{};
  zeros.seal(nonce_of("000000000000000000000000"), {}, {}, tag);
  EXPECT_EQ(to_hex(tag), "530f8afbc74536b9a963b4f1c4cb738b");

  const Aes256Gcm aead =
      with_key("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  const auto nonce = nonce_of("cafebabefacedbaddecaf888");
  const auto associated = from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  const auto plain = from_hex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6"
      "b525b16aedf5aa0de657ba637b39");
  auto text = plain;
  aead.seal(nonce, associated, text, tag);
  EXPECT_EQ(to_hex(text),
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b"
            "1056828838c5f61e6393ba7a0abcc9f662");
  EXPECT_EQ(to_hex(tag), "76fc6ece0f4e1768cddf8853bb2d551b");
  EXPECT_TRUE(aead.open(nonce, associated, text, tag));
  EXPECT_EQ(text, plain);
}

TEST(Aes256GcmTest, WhatWasChangedIsRefusedAndWiped) {
  const Aes256Gcm aead = with_key(std::string(64, '7'));
  const auto nonce = nonce_of("0102030405060708090a0b0c");
  std::vector<std::byte> associated(5, std::byte{1});
  const std::vector<std::byte> plain(100, std::byte{0x41});
  std::vector<std::byte> sealed = plain;
  std::array<std::byte, 16> tag{};
  aead.seal(nonce, associated, sealed, tag);

  const auto refused = [&](const Aes256Gcm& with, Aes256Gcm::Nonce n, std::vector<std::byte> text,
                           std::array<std::byte, 16> t) {
    const bool opened = with.open(n, associated, text, t);
    EXPECT_EQ(text, opened ? plain : std::vector<std::byte>(text.size()));
    return !opened;
  };
  EXPECT_FALSE(refused(aead, nonce, sealed, tag));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto text = sealed;
    text[i] ^= std::byte{1};
    EXPECT_TRUE(refused(aead, nonce, text, tag)) << i;
  }
  for (std::size_t i = 0; i < tag.size(); ++i) {
    auto other = tag;
    other[i] ^= std::byte{0x80};
    EXPECT_TRUE(refused(aead, nonce, sealed, other)) << i;
  }
  EXPECT_TRUE(refused(aead, nonce_of("0102030405060708090a0b0d"), sealed, tag));
  EXPECT_TRUE(refused(with_key(std::string(64, '8')), nonce, sealed, tag));
  EXPECT_TRUE(refused(aead, nonce, {sealed.begin(), sealed.end() - 1}, tag));
  associated[0] = std::byte{2};
  EXPECT_TRUE(refused(aead, nonce, sealed, tag));
}

}  // namespace
}  // namespace hearth::crypto

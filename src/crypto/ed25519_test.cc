#include "crypto/ed25519.h"

#include <gtest/gtest.h>

#include <string>

#include "testing/hex.h"

namespace hearth::crypto {
namespace {

using testing::from_hex;
using testing::to_hex;

Ed25519Key key_of(const std::string& hex) { return Ed25519Key::from_seed(Secret(from_hex(hex))); }

// RFC 8032, 7.1, tests 1 and 2.
TEST(Ed25519, KnownAnswers) {
  const Ed25519Key first =
      key_of("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
  EXPECT_EQ(to_hex(first.public_key()),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  EXPECT_EQ(to_hex(first.sign({})),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39"
            "701cf9b46bd25bf5f0595bbe24655141438e7a100b");
  const Ed25519Key second =
      key_of("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
  const auto message = from_hex("72");
  EXPECT_EQ(to_hex(second.sign(message)),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f36"
            "13d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
}

TEST(Ed25519, OnlyTheSignersOwnMessagePasses) {
  const Ed25519Key key = key_of(std::string(64, '1'));
  const auto message = from_hex("00112233");
  const Ed25519Signature signature = key.sign(message);
  EXPECT_TRUE(ed25519_verify(key.public_key(), message, signature));
  EXPECT_FALSE(ed25519_verify(key_of(std::string(64, '2')).public_key(), message, signature));
  EXPECT_FALSE(ed25519_verify(key.public_key(), from_hex("00112234"), signature));
  for (std::size_t i = 0; i < signature.size(); ++i) {
    Ed25519Signature other = signature;
    other[i] ^= std::byte{1};
    EXPECT_FALSE(ed25519_verify(key.public_key(), message, other)) << i;
  }
  EXPECT_FALSE(ed25519_verify(Ed25519Public{}, message, Ed25519Signature{}));
}

// Keys of RFC 8410, 10.1 and 10.3: the same pair.
TEST(Ed25519, ReadsPem) {
  const auto key = Ed25519Key::from_pem(
      "-----BEGIN PRIVATE KEY-----\n"
      "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
      "-----END PRIVATE KEY-----\n");
  ASSERT_TRUE(key) << key.error().message;
  const std::string pem =
      "-----BEGIN PUBLIC KEY-----\n"
      "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
      "-----END PUBLIC KEY-----\n";
  const auto expected = ed25519_public_from_pem(pem);
  ASSERT_TRUE(expected) << expected.error().message;
  EXPECT_EQ(key->public_key(), *expected);
  for (const std::string& bad : {std::string(), std::string("x"), pem.substr(0, 60)}) {
    EXPECT_EQ(ed25519_public_from_pem(bad).error().code, "invalid_key");
    EXPECT_EQ(Ed25519Key::from_pem(bad).error().code, "invalid_key");
  }
  EXPECT_FALSE(Ed25519Key::from_pem(pem));
}

}  // namespace
}  // namespace hearth::crypto

#include "crypto/argon2id.h"

#include <gtest/gtest.h>

#include <array>
#include <string_view>

#include "testing/hex.h"

namespace hearth::crypto {
namespace {

using testing::to_hex;

Secret secret(std::string_view text) { return Secret(std::as_bytes(std::span(text))); }

std::string key_of(std::string_view passphrase, std::string_view salt, Argon2Cost cost) {
  std::array<std::byte, kArgon2SaltBytes> bytes{};
  std::copy_n(std::as_bytes(std::span(salt)).begin(), bytes.size(), bytes.begin());
  const auto key = argon2id(secret(passphrase), bytes, cost);
  return key ? to_hex(key->bytes()) : key.error().message;
}

// Computed by argon2 of pyca/cryptography (OpenSSL's own code), one lane, 32 bytes.
TEST(Argon2id, KnownAnswers) {
  EXPECT_EQ(key_of("password", "somesaltsomesalt", {65536, 2}),
            "fc33b78139231d34b71626bd6245c1d72efa190ad605c3d8166a72adcedfa2c2");
  EXPECT_EQ(key_of("", "0123456789abcdef", {8, 1}),
            "d440eba67886df93d643dcb8a69b02af68c16d284cd6f68659553e245bf9efc0");
  EXPECT_NE(key_of("password", "somesaltsomesalt", {65536, 3}),
            key_of("password", "somesaltsomesalt", {65536, 2}));
}

TEST(Argon2id, LimitsKeepAFileFromAskingForEverything) {
  EXPECT_TRUE(Argon2Cost{}.within_limits());
  EXPECT_TRUE((Argon2Cost{8, 1}.within_limits()));
  for (const Argon2Cost cost : {Argon2Cost{7, 3}, Argon2Cost{(1 << 20) + 1, 3},
                                Argon2Cost{1u << 31, 3}, Argon2Cost{1024, 0}, Argon2Cost{1024, 17}})
    EXPECT_FALSE(cost.within_limits()) << cost.memory_kib << " " << cost.passes;
}

}  // namespace
}  // namespace hearth::crypto

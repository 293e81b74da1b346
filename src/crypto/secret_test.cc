#include "crypto/secret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/key_text.h"
#include "testing/hex.h"

namespace hearth::crypto {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(SecretTest, HoldsWhatItWasGiven) {
  const Secret empty;
  EXPECT_EQ(empty.size(), 0u);
  const Secret zeros(40);
  EXPECT_TRUE(std::ranges::all_of(zeros.bytes(), [](std::byte b) { return b == std::byte{0}; }));
  Secret text(bytes_of("abc"));
  EXPECT_TRUE(equal(text.bytes(), bytes_of("abc")));
  EXPECT_FALSE(equal(text.bytes(), bytes_of("abd")));
  EXPECT_FALSE(equal(text.bytes(), bytes_of("abcd")));
  const Secret moved = std::move(text);
  EXPECT_TRUE(equal(moved.bytes(), bytes_of("abc")));
}

// The heap's guard page is directly behind it.
TEST(SecretDeathTest, NobodyReadsPastIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Secret key(32);
  const volatile std::byte* const end = key.bytes().data() + key.size();
  EXPECT_DEATH({ [[maybe_unused]] const std::byte b = *end; }, "");
}

TEST(SecretTest, RandomBytesDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    std::vector<std::byte> bytes(16);
    fill_random(bytes);
    EXPECT_TRUE(seen.insert(testing::to_hex(bytes)).second);
  }
}

TEST(KeyText, ReadsRawHexAndBase64) {
  const std::string raw = "0123456789abcdef0123456789abcdef";
  const auto is_raw = [&](std::string_view text, bool raw_too) {
    const auto key = decode_key(bytes_of(text), raw_too);
    return key && equal(key->bytes(), bytes_of(raw));
  };
  EXPECT_TRUE(is_raw(raw, true));
  EXPECT_FALSE(is_raw(raw, false));
  const std::string hex = testing::to_hex(bytes_of(raw));
  EXPECT_TRUE(is_raw(hex, true));
  EXPECT_TRUE(is_raw(hex + "\n", false));
  EXPECT_TRUE(is_raw(hex + "\r\n", false));
  std::string upper = hex;
  std::ranges::transform(upper, upper.begin(),
                         [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
  EXPECT_TRUE(is_raw(upper, false));
  EXPECT_TRUE(is_raw("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n", false));
}

TEST(KeyText, RefusesEverythingElse) {
  for (const std::string& text :
       {std::string(), std::string(31, 'a'), std::string(33, 'a'), std::string(63, 'a'),
        std::string(65, 'a'), std::string(64, 'g'), std::string(44, '!'), std::string(44, 'A'),
        std::string(43, 'A'), std::string(60, '0') + "\n\n\n\n"})
    EXPECT_FALSE(decode_key(bytes_of(text), true)) << text;
}

}  // namespace
}  // namespace hearth::crypto

#include "crypto/base64.h"

#include <gtest/gtest.h>

#include <string_view>

namespace hearth::crypto {
namespace {

std::string base64(std::string_view text) { return crypto::base64(std::as_bytes(std::span(text))); }

TEST(Base64, TheVectorsOfRfc4648) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foob"), "Zm9vYg==");
  EXPECT_EQ(base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

TEST(Base64, EveryByteAndTheEdgeOfAPiece) {
  EXPECT_EQ(base64(std::string("\x00\xff\xfe\x80", 4)), "AP/+gA==");
  const std::string text = base64(std::string((3u << 20) + 1, '\0'));
  EXPECT_EQ(text.size(), (4u << 20) + 4);
  EXPECT_EQ(text.find_first_not_of('A'), text.size() - 2);
  EXPECT_EQ(text.substr(text.size() - 2), "==");
}

}  // namespace
}  // namespace hearth::crypto

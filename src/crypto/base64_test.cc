#include "crypto/base64.h"

#include <gtest/gtest.h>

namespace hearth::crypto {
namespace {

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

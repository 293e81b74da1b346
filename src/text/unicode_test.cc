#include "text/unicode.h"

#include <gtest/gtest.h>

namespace hearth::text {
namespace {

TEST(Utf8Step, EveryScalarValueRoundTrips) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string bytes;
    append_utf8(bytes, c);
    const Utf8Step step = utf8_step(bytes, 0);
    ASSERT_EQ(step.state, Utf8State::kValid) << std::hex << static_cast<std::uint32_t>(c);
    ASSERT_EQ(step.code_point, c);
    ASSERT_EQ(step.size, bytes.size());
  }
}

TEST(Utf8Step, IllFormedIsCutAfterItsMaximalSubpart) {
  struct Case {
    std::string_view bytes;
    Utf8State state;
    std::size_t size;
  };
  const Case cases[] = {
      {"\x80", Utf8State::kInvalid, 1},
      {"\xC0\x80", Utf8State::kInvalid, 1},          // overlong
      {"\xE0\x80\x80", Utf8State::kInvalid, 1},      // overlong
      {"\xED\xA0\x80", Utf8State::kInvalid, 1},      // surrogate
      {"\xF4\x90\x80\x80", Utf8State::kInvalid, 1},  // above U+10FFFF
      {"\xF5\x80\x80\x80", Utf8State::kInvalid, 1},
      {"\xE2\x82(", Utf8State::kInvalid, 2},
      {"\xF0\x9F\x98(", Utf8State::kInvalid, 3},
      {"\xE2(", Utf8State::kInvalid, 1},
      {"\xE2", Utf8State::kIncomplete, 1},
      {"\xE2\x82", Utf8State::kIncomplete, 2},
      {"\xF0\x9F\x98", Utf8State::kIncomplete, 3},
  };
  for (const Case& c : cases) {
    const Utf8Step step = utf8_step(c.bytes, 0);
    EXPECT_EQ(step.state, c.state) << testing::PrintToString(c.bytes);
    EXPECT_EQ(step.size, c.size) << testing::PrintToString(c.bytes);
    EXPECT_EQ(step.code_point, kReplacement);
  }
}

TEST(CharClass, KnownCharacters) {
  EXPECT_EQ(char_class(U'A'), kUpper);
  EXPECT_EQ(char_class(U'z'), kLower);
  EXPECT_EQ(char_class(U'\u01C5'), kUpper);  // Lt
  EXPECT_EQ(char_class(U'\u02B0'), kOtherLetter);
  EXPECT_EQ(char_class(U'\u4E2D'), kOtherLetter);
  EXPECT_EQ(char_class(U'\u0301'), kMark);
  EXPECT_EQ(char_class(U'\u00BD'), kNumber);
  EXPECT_EQ(char_class(U'_'), kPunctuation);
  EXPECT_EQ(char_class(U'$'), kSymbol);
  EXPECT_EQ(char_class(U'\u0085'), kSpace);
  EXPECT_EQ(char_class(U'\u3000'), kSpace);
  EXPECT_EQ(char_class(U'\u200B'), 0);  // a format character
  EXPECT_EQ(char_class(U'\0'), 0);
  EXPECT_EQ(char_class(0x10FFFF), 0);
}

}  // namespace
}  // namespace hearth::text

#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "text/unicode.h"

namespace hearth::text {
namespace {

// One token per byte, id = byte; then <s> and a few words.
std::shared_ptr<const Tokenizer> byte_tokenizer(bool space_prefix = false) {
  TokenizerData data;
  data.model = TokenizerData::Model::kSentencePieceBpe;
  for (int byte = 0; byte < 256; ++byte) {
    data.tokens.push_back(fmt::format("<0x{:02X}>", byte));
    data.types.push_back(TokenType::kByte);
  }
  data.tokens.insert(data.tokens.end(), {"<s>", "▁is", "▁"});
  data.types.insert(data.types.end(),
                    {TokenType::kControl, TokenType::kNormal, TokenType::kNormal});
  data.scores.assign(data.tokens.size(), 0);
  data.add_space_prefix = space_prefix;
  return *make_tokenizer(std::move(data));
}
constexpr TokenId kBos = 256;
constexpr TokenId kIs = 257;

bool is_valid(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    if (step.state != Utf8State::kValid) return false;
    at += step.size;
  }
  return true;
}

std::vector<std::string> push_all(std::string_view bytes) {
  Detokenizer detokenizer(byte_tokenizer());
  std::vector<std::string> out;
  for (const char byte : bytes) out.push_back(detokenizer.push(static_cast<std::uint8_t>(byte)));
  out.push_back(detokenizer.finish());
  return out;
}

using Parts = std::vector<std::string>;

TEST(Detokenizer, KeepsBackHalfACodePoint) {
  EXPECT_EQ(push_all("a\xC3\xA9"), (Parts{"a", "", "é", ""}));
  EXPECT_EQ(push_all("\xF0\x9F\x98\x80!"), (Parts{"", "", "", "😀", "!", ""}));
}

TEST(Detokenizer, InvalidAsSoonAsItIsCertain) {
  EXPECT_EQ(push_all("\x80z"), (Parts{"\uFFFD", "z", ""}));
  EXPECT_EQ(push_all("\xC0\xAF"), (Parts{"\uFFFD", "\uFFFD", ""}));
  EXPECT_EQ(push_all("\xE2\x82z"), (Parts{"", "", "\uFFFDz", ""}));
  EXPECT_EQ(push_all("\xED\xA0"), (Parts{"", "\uFFFD\uFFFD", ""}));
  EXPECT_EQ(push_all("\xF0\x9F\xC3\xA9"), (Parts{"", "", "\uFFFD", "é", ""}));
}

TEST(Detokenizer, TheRestIsOneReplacement) {
  EXPECT_EQ(push_all("\xF0\x9F\x98"), (Parts{"", "", "", "\uFFFD"}));
  Detokenizer detokenizer(byte_tokenizer());
  EXPECT_EQ(detokenizer.push(0xE2), "");
  EXPECT_EQ(detokenizer.finish(), "\uFFFD");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, RandomBytesAreValidAtEveryStepAndTheSameAsAWhole) {
  std::mt19937 random(9);
  const auto tokenizer = byte_tokenizer();
  for (int round = 0; round < 2000; ++round) {
    std::vector<TokenId> ids;
    for (auto left = random() % 20; left > 0; --left) {
      // Mostly leads and continuations.
      const auto roll = random();
      ids.push_back(
          static_cast<TokenId>(roll % 3 == 0 ? (roll >> 8) % 256 : 0x80 + (roll >> 8) % 128));
    }
    Detokenizer detokenizer(tokenizer);
    std::string streamed;
    for (const TokenId id : ids) {
      const std::string part = detokenizer.push(id);
      ASSERT_TRUE(is_valid(part));
      streamed += part;
    }
    streamed += detokenizer.finish();
    ASSERT_EQ(streamed, decode(*tokenizer, ids));
  }
}

TEST(Detokenizer, ControlAndUnknownIdsAreSilent) {
  Detokenizer detokenizer(byte_tokenizer());
  EXPECT_EQ(detokenizer.push(kBos), "");
  EXPECT_EQ(detokenizer.push(-5), "");
  EXPECT_EQ(detokenizer.push(1 << 30), "");
  EXPECT_EQ(detokenizer.push(0xC3), "");
  EXPECT_EQ(detokenizer.push(kBos), "");
  EXPECT_EQ(detokenizer.push(0xA9), "é");
}

TEST(Detokenizer, AStreamKeepsItsFirstSpaceAWholeTextDoesNot) {
  const auto tokenizer = byte_tokenizer(true);
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(detokenizer.push(kIs), " is");
  const std::vector<TokenId> ids{kBos, kIs, kIs};
  EXPECT_EQ(decode(*tokenizer, ids), "is is");
  EXPECT_EQ(decode(*tokenizer, ids, true), "<s> is is");
  EXPECT_EQ(decode(*byte_tokenizer(false), ids), " is is");
  EXPECT_EQ(decode(*tokenizer, {}), "");
}

}  // namespace
}  // namespace hearth::text

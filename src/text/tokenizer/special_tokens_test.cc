#include "text/tokenizer/special_tokens.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace hearth::text {
namespace {

Vocab make_vocab(std::vector<std::string> tokens, std::vector<TokenType> types) {
  TokenizerData data;
  data.tokens = std::move(tokens);
  data.types = std::move(types);
  return *Vocab::make(std::move(data));
}

// One token after another, longest first, over the whole text: the definition.
std::vector<SpecialMatch> match_plainly(const Vocab& vocab, std::string_view text,
                                        std::span<const ByteRange> trusted) {
  std::vector<TokenId> order;
  for (TokenId id = 0; id < static_cast<TokenId>(vocab.size()); ++id) {
    if (vocab.type(id) != TokenType::kNormal) order.push_back(id);
  }
  std::ranges::sort(order, [&](TokenId a, TokenId b) {
    const auto sizes = vocab.text(a).size() <=> vocab.text(b).size();
    return sizes == 0 ? a < b : sizes > 0;
  });
  std::vector<bool> taken(text.size());
  std::vector<SpecialMatch> matches;
  for (const TokenId id : order) {
    const std::size_t size = vocab.text(id).size();
    for (std::size_t at = 0; at + size <= text.size(); ++at) {
      const auto first = taken.begin() + static_cast<std::ptrdiff_t>(at);
      const auto last = first + static_cast<std::ptrdiff_t>(size);
      const bool is_trusted = std::ranges::any_of(trusted, [&](const ByteRange& range) {
        return range.begin <= at && at + size <= range.end;
      });
      if (text.substr(at, size) != vocab.text(id) || std::find(first, last, true) != last ||
          (vocab.is_hidden(id) && !is_trusted)) {
        continue;
      }
      std::fill(first, last, true);
      matches.push_back({at, at + size, id});
    }
  }
  std::ranges::sort(matches, {}, &SpecialMatch::begin);
  return matches;
}

TEST(SpecialTokens, FollowsTheDefinitionOnRandomVocabularies) {
  std::mt19937 random(11);
  const auto letters = [&](std::size_t size) {
    std::string out;
    for (std::size_t i = 0; i < size; ++i) out.push_back(random() % 4 != 0 ? 'a' : 'b');
    return out;
  };
  for (int round = 0; round < 4000; ++round) {
    std::vector<std::string> tokens;
    std::vector<TokenType> types;
    for (auto left = 1 + random() % 6; left > 0; --left) {
      tokens.push_back(letters(1 + random() % 6));
      constexpr TokenType kTypes[] = {TokenType::kControl, TokenType::kUserDefined,
                                      TokenType::kUnknown, TokenType::kNormal};
      types.push_back(kTypes[random() % 4]);
    }
    const Vocab vocab = make_vocab(tokens, types);
    const auto special = SpecialTokens::make(vocab);
    ASSERT_TRUE(special);
    const std::string text = letters(random() % 30);
    std::vector<ByteRange> trusted;
    for (std::size_t at = random() % 5; at < text.size();) {
      const std::size_t end = std::min<std::size_t>(text.size(), at + 1 + random() % 15);
      trusted.push_back({at, end});
      at = end + 1 + random() % 4;
    }
    const auto expected = match_plainly(vocab, text, trusted);
    const auto matches = special->match(text, trusted);
    ASSERT_EQ(matches.size(), expected.size()) << text;
    for (std::size_t i = 0; i < matches.size(); ++i) {
      EXPECT_EQ(matches[i].begin, expected[i].begin);
      EXPECT_EQ(matches[i].end, expected[i].end);
      EXPECT_EQ(matches[i].id, expected[i].id);
    }
  }
}

TEST(SpecialTokens, LongerWinsEvenIfItBeginsLater) {
  const Vocab vocab =
      make_vocab({"ab", "bcde"}, {TokenType::kUserDefined, TokenType::kUserDefined});
  const auto matches = SpecialTokens::make(vocab)->match("abcde", {});
  ASSERT_EQ(matches.size(), 1u);
  EXPECT_EQ(matches[0].id, 1);
}

TEST(SpecialTokens, TooLongIsRefused) {
  const Vocab vocab = make_vocab({std::string(513, 'x')}, {TokenType::kControl});
  const auto special = SpecialTokens::make(vocab);
  ASSERT_FALSE(special);
  EXPECT_EQ(special.error().kind, ErrorKind::kTooLarge);
}

TEST(SpecialTokens, ManyNestedTokensOnALongRun) {
  std::vector<std::string> tokens;
  for (std::size_t size = 1; size <= 64; ++size) tokens.emplace_back(size, '\n');
  const std::vector<TokenType> types(tokens.size(), TokenType::kUserDefined);
  const Vocab vocab = make_vocab(tokens, types);
  const std::string text(1'000'003, '\n');
  const auto matches = SpecialTokens::make(vocab)->match(text, {});
  ASSERT_EQ(matches.size(), 1'000'003 / 64 + 1);
  EXPECT_EQ(matches.back().end - matches.back().begin, 1'000'003 % 64);
}

}  // namespace
}  // namespace hearth::text

#include "engine/prompt_lookup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace hearth::engine {
namespace {

using Tokens = std::vector<TokenId>;

// By looking everywhere: the longest match, of equals the last.
std::int64_t longest_match(const Tokens& tokens) {
  std::int64_t best = 0;
  for (std::size_t end = 1; end + 1 < tokens.size(); ++end) {
    std::int64_t n = 0;
    while (n < PromptLookup::kMatchMax && static_cast<std::size_t>(n) <= end &&
           tokens[end - static_cast<std::size_t>(n)] ==
               tokens[tokens.size() - 1 - static_cast<std::size_t>(n)])
      ++n;
    best = std::max(best, n);
  }
  return best >= 2 ? best : 0;
}

TEST(PromptLookup, GoesOnAsTheTextDidBefore) {
  PromptLookup lookup;
  const auto guess = lookup.guess(Tokens{1, 2, 3, 4, 5, 6, 9, 2, 3}, 3);
  EXPECT_EQ(guess.matched, 2);
  EXPECT_EQ(guess.drafts, (Tokens{4, 5, 6}));
}

TEST(PromptLookup, PrefersTheLongerMatchAndThenTheLaterOne) {
  EXPECT_EQ(PromptLookup().guess(Tokens{1, 2, 3, 7, 5, 2, 3, 8, 1, 2, 3}, 1).drafts, Tokens{7});
  EXPECT_EQ(PromptLookup().guess(Tokens{4, 2, 3, 7, 5, 2, 3, 8, 1, 2, 3}, 1).drafts, Tokens{8});
}

TEST(PromptLookup, GoesRoundInALoop) {
  const auto guess = PromptLookup().guess(Tokens{9, 1, 2, 1, 2, 1, 2}, 5);
  EXPECT_EQ(guess.drafts, (Tokens{1, 2, 1, 2, 1}));
  EXPECT_EQ(PromptLookup().guess(Tokens{5, 5, 5}, 4).drafts, (Tokens{5, 5, 5, 5}));
}

TEST(PromptLookup, NothingComesOfNothing) {
  EXPECT_EQ(PromptLookup().guess(Tokens{}, 4).matched, 0);
  EXPECT_EQ(PromptLookup().guess(Tokens{1}, 4).matched, 0);
  EXPECT_EQ(PromptLookup().guess(Tokens{1, 2, 3, 4}, 4).matched, 0);
  EXPECT_TRUE(PromptLookup().guess(Tokens{1, 2, 1, 2}, 0).drafts.empty());
}

TEST(PromptLookup, TokenByTokenItFindsWhatASearchFinds) {
  std::mt19937 random(5);
  int found = 0;
  for (int round = 0; round < 200; ++round) {
    PromptLookup lookup;
    Tokens tokens;
    const TokenId kinds = static_cast<TokenId>(3 + random() % 30);
    // A pair so common that not all its places are looked at is a match, if not the longest.
    const bool few = kinds >= 8;
    for (int i = 0; i < 120; ++i) {
      tokens.push_back(static_cast<TokenId>(random() % static_cast<unsigned>(kinds)));
      if (random() % 4 == 0) continue;  // several tokens between two guesses
      const auto guess = lookup.guess(tokens, 4);
      const std::int64_t want = longest_match(tokens);
      if (few)
        ASSERT_EQ(guess.matched, want) << "round " << round << " size " << tokens.size();
      else
        ASSERT_EQ(guess.matched > 0, want > 0);
      ASSERT_LE(guess.matched, want);
      ASSERT_EQ(guess.drafts.size(), guess.matched > 0 ? 4u : 0u);
      found += guess.matched > 0;
    }
  }
  EXPECT_GT(found, 1000);
}

}  // namespace
}  // namespace hearth::engine

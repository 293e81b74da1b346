#include "api/stop_strings.h"

#include <gtest/gtest.h>

#include <random>

namespace hearth::api {
namespace {

struct Outcome {
  std::string text;
  bool matched = false;
  bool operator==(const Outcome&) const = default;
};

// The definition, over the whole text at once.
Outcome oracle(const std::string& text, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      if (stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0) {
        longest = std::max(longest, stop.size());
      }
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

TEST(StopStrings, AgreeWithTheOracleForEveryCut) {
  std::mt19937 random(7);
  const auto word = [&](std::size_t max) {
    std::string out(1 + random() % max, 'a');
    for (char& c : out) c = static_cast<char>('a' + random() % 2);
    return out;
  };
  int matches = 0;
  for (int round = 0; round < 20'000; ++round) {
    const std::string text = word(24);
    std::vector<std::string> stops;
    for (std::size_t i = random() % 4; i > 0; --i) stops.push_back(word(6));
    const Outcome expected = oracle(text, stops);
    matches += expected.matched;
    StopStrings finder(stops);
    Outcome actual;
    for (std::size_t at = 0; at < text.size() && !finder.matched();) {
      const std::size_t length = random() % 5;
      const std::string piece = text.substr(at, length);
      actual.text += finder.push(piece);
      at += piece.size();
      // Never more than what is certain.
      ASSERT_TRUE(expected.text.starts_with(actual.text));
    }
    actual.matched = finder.matched();
    if (!actual.matched) actual.text += finder.finish();
    ASSERT_EQ(actual, expected) << text;
  }
  EXPECT_GT(matches, 1000);
  EXPECT_LT(matches, 19'000);
}

TEST(StopStrings, HoldBackNoMoreThanNeeded) {
  StopStrings finder({"###"});
  EXPECT_EQ(finder.push("text"), "text");
  EXPECT_EQ(finder.push(" #"), " ");
  EXPECT_EQ(finder.push("#"), "");
  EXPECT_EQ(finder.push("x"), "##x");
  EXPECT_EQ(finder.push("##"), "");
  EXPECT_EQ(finder.finish(), "##");
  EXPECT_FALSE(finder.matched());
}

TEST(StopStrings, NothingPassesAfterAMatch) {
  StopStrings finder({"b"});
  EXPECT_EQ(finder.push("abc"), "a");
  EXPECT_TRUE(finder.matched());
  EXPECT_EQ(finder.push("more"), "");
}

}  // namespace
}  // namespace hearth::api

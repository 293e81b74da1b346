#include "apps/load_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>
#include <vector>

namespace hearth::apps {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

Length length(std::string_view text) {
  const auto parsed = parse_length(text);
  EXPECT_TRUE(parsed.has_value()) << text;
  return parsed.value_or(Length());
}

std::vector<double> draws(const Length& length, int n) {
  std::vector<double> out;
  for (int i = 0; i < n; ++i) {
    LoadRandom random(7, 1, static_cast<std::uint64_t>(i));
    out.push_back(static_cast<double>(length.draw(random)));
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(Length, IsOneNumberARangeOrLognormal) {
  const auto fixed = draws(length("64"), 100);
  EXPECT_EQ(fixed.front(), 64);
  EXPECT_EQ(fixed.back(), 64);
  const auto uniform = draws(length("50-52"), 3000);
  for (const double n : {50, 51, 52})
    EXPECT_NEAR(static_cast<double>(std::count(uniform.begin(), uniform.end(), n)), 1000, 120);
  const auto lognormal = draws(length("lognormal:100,0.5"), 10'000);
  EXPECT_NEAR(lognormal[5000], 100, 3);
  EXPECT_NEAR(lognormal[8413], 100 * std::exp(0.5), 6);  // one deviation over it
  EXPECT_NEAR(lognormal[1587], 100 * std::exp(-0.5), 3);
  EXPECT_GE(draws(length("lognormal:1,5"), 10'000).front(), 1);
  EXPECT_LE(draws(length("lognormal:1000000,5"), 10'000).back(), 1 << 20);
}

TEST(Length, RefusesWhatIsNone) {
  for (const char* text : {"",
                           "0",
                           "-3",
                           "5-3",
                           "1.5",
                           "10-",
                           "-10",
                           "1-2-3",
                           "x",
                           "10 ",
                           "1048577",
                           "lognormal:",
                           "lognormal:100",
                           "lognormal:100,",
                           "lognormal:0,1",
                           "lognormal:100,-1",
                           "lognormal:1,nan",
                           "lognormal:nan,1",
                           "lognormal:inf,1",
                           "lognormal:100,1,2",
                           "99999999999999999999"}) {
    const auto parsed = parse_length(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code, "invalid_length");
  }
}

TEST(LoadPlan, TheSameSeedGivesTheSameLoad) {
  LoadPlanOptions options;
  options.words = length("10-40");
  options.shared_words = 5;
  options.seed = 3;
  const LoadPlan one(options), again(options);
  options.seed = 4;
  const LoadPlan other(options);
  for (std::uint64_t i = 0; i < 50; ++i) {
    EXPECT_EQ(one.request(i).prompt, again.request(i).prompt);
    EXPECT_EQ(one.gap(i), again.gap(i));
    EXPECT_NE(one.request(i).prompt, other.request(i).prompt);
    EXPECT_NE(one.gap(i), other.gap(i));
  }
}

TEST(LoadPlan, LongerAnswersChangeNoPrompt) {
  LoadPlanOptions options;
  const std::string prompt = LoadPlan(options).request(9).prompt;
  options.max_tokens = length("lognormal:50,1");
  EXPECT_EQ(LoadPlan(options).request(9).prompt, prompt);
}

TEST(LoadPlan, PromptsShareTheirBeginningAndNothingElse) {
  LoadPlanOptions options;
  options.words = length("12");
  options.shared_words = 30;
  const LoadPlan plan(options);
  const std::vector<std::string> first = words_of(plan.request(0).prompt);
  for (std::uint64_t i = 1; i < 500; ++i) {
    const std::vector<std::string> words = words_of(plan.request(i).prompt);
    ASSERT_EQ(words.size(), 42U);
    EXPECT_TRUE(std::equal(words.begin(), words.begin() + 30, first.begin()));
    EXPECT_NE(words[30], first[30]) << i;
  }
}

TEST(LoadPlan, NoTwoOwnPartsAreAlike) {
  LoadPlanOptions options;
  options.words = length("1");
  const LoadPlan plan(options);
  std::set<std::string> seen;
  const std::uint64_t n = 3 * load_word_count();
  for (std::uint64_t i = 0; i < n; ++i) seen.insert(plan.request(i).prompt);
  EXPECT_EQ(seen.size(), n);
  EXPECT_EQ(words_of(plan.request(0).prompt).size(), 1U);
  EXPECT_EQ(words_of(plan.request(n).prompt).size(), 2U);  // one would not do
  options.words = length("1-2");
  const LoadPlan mixed(options);
  seen.clear();
  for (std::uint64_t i = 0; i < 20'000; ++i) seen.insert(mixed.request(i).prompt);
  EXPECT_EQ(seen.size(), 20'000U);
}

TEST(LoadPlan, WordsAreDistinct) {
  LoadPlanOptions options;
  options.words = length("1");
  const LoadPlan plan(options);
  std::set<std::string> seen;
  for (std::uint64_t i = 0; i < load_word_count(); ++i) seen.insert(plan.request(i).prompt);
  EXPECT_EQ(seen.size(), load_word_count());
  EXPECT_GT(load_word_count(), 500U);
}

TEST(LoadPlan, ArrivalsArePoisson) {
  LoadPlanOptions options;
  options.rate = 50;
  const LoadPlan plan(options);
  double sum = 0, squares = 0;
  constexpr int kGaps = 20'000;
  for (std::uint64_t i = 0; i < kGaps; ++i) {
    const double s = std::chrono::duration<double>(plan.gap(i)).count();
    EXPECT_GE(s, 0);
    sum += s;
    squares += s * s;
  }
  EXPECT_NEAR(sum / kGaps, 1.0 / 50, 0.0005);
  EXPECT_NEAR(squares / kGaps, 2.0 / 2500, 0.00005);  // the second moment of an exponential one
}

}  // namespace
}  // namespace hearth::apps

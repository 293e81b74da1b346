#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "backend/backend.h"

namespace hearth::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TokenId argmax(const std::vector<float>& logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

const backend::Backend& cpu() {
  static const auto made = backend::make_cpu_backend({1});
  return **made;
}

TokenId pick(const std::vector<float>& logits, const SamplingParams& params, double draw,
             const TokenHistory& history = {}) {
  static SamplerScratch scratch;  // with what earlier calls left there
  return sample(cpu(), logits, argmax(logits), params, history, draw, scratch);
}

// How large a share of the draws each token gets: a fine, even grid in place of chance, so that a
// token's share is its probability up to two points of the grid.
constexpr int kGrid = 20'000;
std::vector<double> shares(const std::vector<float>& logits, const SamplingParams& params,
                           const TokenHistory& history = {}, int grid = kGrid) {
  std::vector<double> out(logits.size(), 0);
  for (int i = 0; i < grid; ++i) {
    const TokenId id = pick(logits, params, (i + 0.5) / grid, history);
    EXPECT_GE(id, 0);
    out[static_cast<std::size_t>(id)] += 1. / grid;
  }
  return out;
}

std::vector<double> softmax(const std::vector<double>& logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> out;
  double sum = 0;
  for (double x : logits) out.push_back(std::exp(x - largest));
  for (double x : out) sum += x;
  for (double& x : out) x /= sum;
  return out;
}

void expect_shares(const std::vector<double>& got, const std::vector<double>& want,
                   int grid = kGrid) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], want[i], 2.5 / grid) << "token " << i;
}

std::vector<float> random_logits(std::mt19937& random, std::size_t size, float deviation = 2.f) {
  std::normal_distribution<float> normal(0.f, deviation);
  std::vector<float> out(size);
  for (float& x : out) x = normal(random);
  return out;
}

TEST(Greedy, TheArgmaxWhateverTheDraw) {
  std::mt19937 random(1);
  for (int i = 0; i < 50; ++i) {
    const auto logits = random_logits(random, 40);
    for (double draw : {0., 0.3, 0.999999}) EXPECT_EQ(pick(logits, {}, draw), argmax(logits));
  }
}

TEST(Greedy, TiesGoToTheSmallestId) {
  const std::vector<float> logits = {1.f, 3.f, 3.f, 3.f, 0.f};
  SamplingParams params;
  EXPECT_EQ(pick(logits, params, 0.9), 1);
  params.logit_bias = {{0, 2.f}};  // 0 joins the tie
  EXPECT_EQ(pick(logits, params, 0.9), 0);
  params.logit_bias = {{1, -0.5f}};
  EXPECT_EQ(pick(logits, params, 0.9), 2);
  params = {};
  params.temperature = 1.f;
  params.top_k = 1;
  EXPECT_EQ(pick(logits, params, 0.9), 1);
  params.top_k = 2;
  expect_shares(shares(logits, params), {0, 0.5, 0.5, 0, 0});
}

TEST(Draw, DependsOnItsArgumentsAlone) {
  const double first = uniform_draw(42, 3, 17);
  for (int i = 0; i < 1000; ++i) uniform_draw(static_cast<std::uint64_t>(i), i % 4, i);
  EXPECT_EQ(uniform_draw(42, 3, 17), first);
  // A change of any argument is another number.
  std::set<double> seen;
  for (std::uint64_t seed : {0u, 1u, 2u, 1u << 31})
    for (std::int32_t choice = 0; choice < 16; ++choice)
      for (std::int64_t index = 0; index < 64; ++index) {
        const double u = uniform_draw(seed, choice, index);
        EXPECT_GE(u, 0.);
        EXPECT_LT(u, 1.);
        EXPECT_TRUE(seen.insert(u).second) << seed << " " << choice << " " << index;
      }
}

double chi_square(const std::vector<double>& counts, const std::vector<double>& p, double n) {
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i)
    sum += (counts[i] - n * p[i]) * (counts[i] - n * p[i]) / (n * p[i]);
  return sum;
}

// Along each of the three arguments the draws are even, and so is the sampled distribution.
// Chi-square with 19 degrees of freedom leaves [5.4, 43.8] once in 500, on either side once in
// 1000: a sequence evener than chance is no good either.
TEST(Draw, TemperatureGivesTheSoftmaxDistribution) {
  std::mt19937 random(3);
  const auto logits = random_logits(random, 20, 1.f);
  constexpr int kDraws = 100'000;
  for (float temperature : {0.7f, 1.f, 2.5f}) {
    SamplingParams params;
    params.temperature = temperature;
    std::vector<double> scaled;
    for (float x : logits)
      scaled.push_back(static_cast<double>(x) / static_cast<double>(temperature));
    const auto p = softmax(scaled);
    for (int argument = 0; argument < 3; ++argument) {
      std::vector<double> counts(20, 0);
      for (int i = 0; i < kDraws; ++i) {
        const double u = uniform_draw(argument == 0 ? static_cast<std::uint64_t>(i) : 1234,
                                      argument == 1 ? i : 0, argument == 2 ? i : 5);
        ++counts[static_cast<std::size_t>(pick(logits, params, u))];
      }
      const double x2 = chi_square(counts, p, kDraws);
      EXPECT_LT(x2, 43.8) << temperature << " " << argument;
      EXPECT_GT(x2, 5.4) << temperature << " " << argument;
    }
    expect_shares(shares(logits, params), p);
  }
}

TEST(Draw, ConsecutiveDrawsAreIndependent) {
  std::vector<double> counts(100, 0);
  constexpr int kPairs = 100'000;
  for (int i = 0; i < kPairs; ++i) {
    const double u = uniform_draw(7, 0, 2 * i);
    const double v = uniform_draw(7, 0, 2 * i + 1);
    ++counts[static_cast<std::size_t>(u * 10) * 10 + static_cast<std::size_t>(v * 10)];
  }
  const double x2 = chi_square(counts, std::vector<double>(100, 0.01), kPairs);
  EXPECT_LT(x2, 148.2);  // 99 degrees of freedom, the same odds
  EXPECT_GT(x2, 60.1);
}

TEST(Temperature, ExtremesAreFinite) {
  const std::vector<float> logits = {1.f, 1.001f, -40.f};
  SamplingParams params;
  params.temperature = 1e-30f;
  for (double draw : {0., 0.5, 0.9999999}) EXPECT_EQ(pick(logits, params, draw), 1);
  params.temperature = 100.f;
  expect_shares(shares(logits, params), softmax({0.01, 0.01001, -0.4}));
}

// The truncations, spelled out in double precision and without any cleverness. Empty: a set's
// border is closer than float32 can tell.
std::vector<double> oracle(const std::vector<float>& logits, const SamplingParams& params) {
  std::vector<double> scaled;
  for (float x : logits)
    scaled.push_back(static_cast<double>(x) / static_cast<double>(params.temperature));
  const auto p = softmax(scaled);
  std::vector<std::size_t> order(p.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] > p[b]; });
  const double best = p[order[0]];
  const auto close = [](double a, double b) { return std::fabs(a - b) < 1e-5 * b; };
  std::vector<std::size_t> kept;
  for (std::size_t i : order) {
    const double least = static_cast<double>(params.min_p) * best;
    if (close(p[i], least)) return {};
    if (p[i] >= least) kept.push_back(i);
  }
  if (params.top_k > 0 && kept.size() > static_cast<std::size_t>(params.top_k))
    kept.resize(static_cast<std::size_t>(params.top_k));
  double total = 0;
  for (std::size_t i : kept) total += p[i];
  if (params.top_p < 1.f) {
    double sum = 0;
    std::size_t n = 0;
    while (n < kept.size() && (n == 0 || sum < static_cast<double>(params.top_p) * total)) {
      sum += p[kept[n++]];
      if (close(sum, static_cast<double>(params.top_p) * total)) return {};
    }
    kept.resize(n);
    total = sum;
  }
  std::vector<double> out(p.size(), 0);
  for (std::size_t i : kept) out[i] = p[i] / total;
  return out;
}

TEST(Truncation, EqualsTheNaiveOne) {
  std::mt19937 random(11);
  constexpr int kPoints = 2'000;
  int compared = 0;
  for (int trial = 0; trial < 200; ++trial) {
    const auto logits = random_logits(random, 5 + random() % 60);
    SamplingParams params;
    params.temperature = std::uniform_real_distribution<float>(0.3f, 2.f)(random);
    if (trial % 2) params.top_k = static_cast<std::int32_t>(random() % 70);
    if (trial % 4 / 2) params.top_p = std::uniform_real_distribution<float>(0.05f, 1.f)(random);
    if (trial % 8 / 4) params.min_p = std::uniform_real_distribution<float>(0.f, 0.5f)(random);
    const auto want = oracle(logits, params);
    if (want.empty()) continue;
    ++compared;
    const auto got = shares(logits, params, {}, kPoints);
    expect_shares(got, want, kPoints);
    for (std::size_t i = 0; i < got.size(); ++i)
      if (want[i] == 0.) EXPECT_EQ(got[i], 0.) << "token " << i;
    ASSERT_FALSE(HasFailure()) << "trial " << trial;
  }
  EXPECT_GT(compared, 180);
}

// A whole vocabulary, of which most weights are nothing or nearly so: the token that is drawn is
// the one at which the probabilities, in the order that the truncation leaves, pass the draw.
TEST(Truncation, OfVocabulariesEqualsTheNaiveOne) {
  std::mt19937 random(12);
  int compared = 0;
  for (int trial = 0; trial < 120; ++trial) {
    auto logits = random_logits(random, trial % 3 ? 1000 + random() % 30'000 : 16'384,
                                std::uniform_real_distribution<float>(0.01f, 12.f)(random));
    for (int i = 0; i < 300; ++i) logits[random() % logits.size()] = -kInfinity;
    SamplingParams params;
    params.temperature = std::uniform_real_distribution<float>(0.3f, 1.5f)(random);
    if (trial % 2) params.top_k = static_cast<std::int32_t>(1 + random() % (trial % 3 ? 50 : 2000));
    if (trial % 4 / 2) params.top_p = std::uniform_real_distribution<float>(0.05f, 1.f)(random);
    if (trial % 8 / 4) params.min_p = std::uniform_real_distribution<float>(0.f, 0.1f)(random);
    const auto want = oracle(logits, params);
    if (want.empty()) continue;
    ++compared;
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < want.size(); ++i)
      if (want[i] > 0) order.push_back(i);
    if (params.top_p < 1.f)
      std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
      });
    std::vector<double> passed(want.size(), -1);  // the sum up to and with a token
    double sum = 0;
    for (std::size_t i : order) passed[i] = sum += want[i];
    for (int i = 0; i < 20; ++i) {
      const double draw = i == 0 ? 0 : i == 1 ? std::nextafter(1., 0.) : uniform_draw(1, trial, i);
      const auto id = static_cast<std::size_t>(pick(logits, params, draw));
      ASSERT_GT(passed[id], 0) << "trial " << trial << " drew what was cut off";
      EXPECT_GE(passed[id], draw - 1e-5) << trial;
      EXPECT_LE(passed[id] - want[id], draw + 1e-5) << trial;
    }
  }
  EXPECT_GT(compared, 100);
}

TEST(Truncation, ByHand) {
  // Probabilities 1/2, 1/4, 1/8, 1/8.
  const std::vector<float> logits = {std::log(4.f), std::log(2.f), 0.f, 0.f};
  SamplingParams params;
  params.temperature = 1.f;
  params.top_p = 0.45f;
  expect_shares(shares(logits, params), {1, 0, 0, 0});
  params.top_p = 0.6f;
  expect_shares(shares(logits, params), {2. / 3, 1. / 3, 0, 0});
  params.top_p = 0.8f;  // of the equal ones the smaller id
  expect_shares(shares(logits, params), {4. / 7, 2. / 7, 1. / 7, 0});
  params.top_p = 1.f;
  params.min_p = 0.3f;
  expect_shares(shares(logits, params), {2. / 3, 1. / 3, 0, 0});
  params.min_p = 1.f;
  expect_shares(shares(logits, params), {1, 0, 0, 0});
  params.min_p = 0.f;
  params.top_k = 2;
  params.top_p = 0.6f;  // of what top_k left: 2/3 and 1/3, the first is enough
  expect_shares(shares(logits, params), {1, 0, 0, 0});
  params.top_p = 1e-9f;  // never nothing
  expect_shares(shares(logits, params), {1, 0, 0, 0});
  // min-p first: it leaves 1/2 and 1/4, whose 70 % are both.
  params.top_k = 0;
  params.min_p = 0.3f;
  params.top_p = 0.7f;
  expect_shares(shares(logits, params), {2. / 3, 1. / 3, 0, 0});
}

TEST(Penalties, ByHand) {
  const std::vector<float> logits = {2.f, -1.f, 1.f, 0.5f};
  SamplingParams params;
  params.temperature = 1.f;
  TokenHistory history;
  history.tokens[0];  // in the prompt alone
  history.tokens[1].in_output = 1;
  history.tokens[2].in_output = 3;
  expect_shares(shares(logits, params, history), softmax({2, -1, 1, 0.5}));  // all are off

  params.repetition_penalty = 2.f;  // positive logits are divided, negative ones multiplied
  expect_shares(shares(logits, params, history), softmax({1, -2, 0.5, 0.5}));
  params.repetition_penalty = 0.5f;  // below 1 it encourages
  expect_shares(shares(logits, params, history), softmax({4, -0.5, 2, 0.5}));
  params.repetition_penalty = 1.f;
  params.presence_penalty = 0.5f;  // the output alone, once
  expect_shares(shares(logits, params, history), softmax({2, -1.5, 0.5, 0.5}));
  params.presence_penalty = -0.5f;
  expect_shares(shares(logits, params, history), softmax({2, -0.5, 1.5, 0.5}));
  params.presence_penalty = 0.f;
  params.frequency_penalty = 0.25f;  // the output alone, per occurrence
  expect_shares(shares(logits, params, history), softmax({2, -1.25, 0.25, 0.5}));
  params.presence_penalty = 0.5f;
  params.repetition_penalty = 2.f;
  expect_shares(shares(logits, params, history), softmax({1, -2.75, -0.75, 0.5}));
  // And before the temperature.
  params.temperature = 0.5f;
  expect_shares(shares(logits, params, history), softmax({2, -5.5, -1.5, 1}));
  // Greedy sees them too.
  params = {};
  params.repetition_penalty = 4.f;
  EXPECT_EQ(pick(logits, params, 0.5, history), 0);  // 0.5, -4, 0.25 and 0.5: the first of a tie
  params.repetition_penalty = 4.1f;
  EXPECT_EQ(pick(logits, params, 0.5, history), 3);
}

TEST(Bias, IsAddedFirst) {
  const std::vector<float> logits = {2.f, -1.f, 1.f, 0.5f};
  SamplingParams params;
  params.temperature = 2.f;
  params.logit_bias = {{1, 2.f}, {3, -0.5f}, {99, 5.f}, {-1, 5.f}};  // strangers change nothing
  expect_shares(shares(logits, params), softmax({1, 0.5, 0.5, 0}));
  TokenHistory history;
  history.tokens[1];
  params.repetition_penalty = 2.f;  // divides what the bias has made of the logit
  expect_shares(shares(logits, params, history), softmax({1, 0.25, 0.5, 0}));
}

TEST(Bias, BansAndForces) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 20; ++trial) {
    const auto logits = random_logits(random, 30, 4.f);
    const auto best = argmax(logits);
    const auto other = static_cast<TokenId>((best + 1 + static_cast<TokenId>(random() % 29)) % 30);
    for (float temperature : {0.f, 1.f, 2.f}) {
      SamplingParams params;
      params.temperature = temperature;
      params.logit_bias = {{best, -100.f}};
      for (int i = 0; i < 500; ++i)
        EXPECT_NE(pick(logits, params, uniform_draw(9, trial, i)), best);
      params.logit_bias = {{other, 100.f}};
      for (int i = 0; i < 500; ++i)
        EXPECT_EQ(pick(logits, params, uniform_draw(9, trial, i)), other);
    }
  }
}

TEST(Broken, NoTokenFromNaNOrNothing) {
  const float nan = std::nanf("");
  SamplerScratch scratch;
  SamplingParams warm;
  warm.temperature = 1.f;
  SamplingParams biased;
  biased.logit_bias = {{0, 1.f}};
  for (const auto& logits : std::vector<std::vector<float>>{
           {1.f, nan, 2.f}, {nan, nan, nan}, {-kInfinity, -kInfinity, -kInfinity}}) {
    const auto greedy = static_cast<TokenId>(cpu().argmax(logits));
    EXPECT_EQ(greedy, -1);
    for (const auto& params : {SamplingParams{}, warm, biased})
      EXPECT_EQ(sample(cpu(), logits, greedy, params, {}, 0.5, scratch), -1);
  }
  // A bias may take away the last token that was left.
  warm.logit_bias = {{1, -kInfinity}};
  EXPECT_EQ(sample(cpu(), std::vector<float>{-kInfinity, 1.f}, 1, warm, {}, 0.5, scratch), -1);
}

TEST(Broken, ForbiddenTokensAreNeverDrawn) {
  const std::vector<float> logits = {-kInfinity, 0.f, -kInfinity, 0.f, -kInfinity};
  SamplingParams params;
  params.temperature = 1.f;
  expect_shares(shares(logits, params), {0, 0.5, 0, 0.5, 0});
  EXPECT_EQ(pick(logits, params, 0.), 1);
  EXPECT_EQ(pick(logits, params, std::nextafter(1., 0.)), 3);
}

TEST(Logprobs, OfVocabulariesAreTheBest) {
  std::mt19937 random(14);
  SamplerScratch scratch;
  for (int trial = 0; trial < 50; ++trial) {
    auto logits = random_logits(random, 200 + random() % 20'000, 3.f);
    for (float& x : logits)
      if (trial % 2) x = std::round(x * 4);  // with ties
    const int top = 1 + static_cast<int>(random() % 20);
    std::vector<TokenId> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](TokenId a, TokenId b) {
      const float x = logits[static_cast<std::size_t>(a)];
      const float y = logits[static_cast<std::size_t>(b)];
      return x != y ? x > y : a < b;
    });
    const TokenOut out = with_logprobs(logits, 3, 1.f, top, scratch);
    ASSERT_EQ(out.top.size(), static_cast<std::size_t>(top));
    for (std::size_t i = 0; i < out.top.size(); ++i) EXPECT_EQ(out.top[i].id, order[i]) << trial;
  }
}

TEST(Logprobs, AreTheRawSoftmaxBestFirst) {
  std::mt19937 random(13);
  const auto logits = random_logits(random, 50);
  double sum = 0;
  for (float x : logits) sum += std::exp(static_cast<double>(x));
  const auto lse = static_cast<float>(std::log(sum));
  SamplerScratch scratch;
  const TokenOut out = with_logprobs(logits, 7, lse, 20, scratch);
  EXPECT_EQ(out.id, 7);
  EXPECT_NEAR(out.logprob, logits[7] - lse, 1e-6);
  ASSERT_EQ(out.top.size(), 20u);
  EXPECT_EQ(out.top[0].id, argmax(logits));
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_NEAR(out.top[i].logprob, logits[static_cast<std::size_t>(out.top[i].id)] - lse, 1e-6);
    if (i > 0) EXPECT_GT(out.top[i - 1].logprob, out.top[i].logprob);
  }
  double all = 0;
  const TokenOut whole = with_logprobs(logits, 0, lse, 1000, scratch);  // more than there are
  EXPECT_EQ(whole.top.size(), 50u);
  for (const auto& t : whole.top) all += std::exp(static_cast<double>(t.logprob));
  EXPECT_NEAR(all, 1, 1e-5);
  EXPECT_TRUE(with_logprobs(logits, 0, lse, 0, scratch).top.empty());
  const TokenOut tied = with_logprobs(std::vector<float>{0.f, 1.f, 1.f, 1.f}, 0, 2.f, 2, scratch);
  EXPECT_EQ(tied.top[0].id, 1);
  EXPECT_EQ(tied.top[1].id, 2);
}

}  // namespace
}  // namespace hearth::engine

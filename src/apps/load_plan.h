// What a load consists of: prompts of ordinary words, lengths, times of arrival. All of it follows
// from a seed and the request's number, so nothing is kept and a load can be repeated.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::apps {

// SplitMix64 (Steele, Lea, Flood 2014): a generator for each request costs one word of state.
class LoadRandom {
 public:
  LoadRandom(std::uint64_t seed, std::uint64_t stream, std::uint64_t number);
  std::uint64_t next();
  double uniform();                          // in [0, 1)
  std::uint64_t below(std::uint64_t bound);  // in [0, bound), bound > 0
  double exponential();                      // of mean 1
  double normal();                           // of mean 0 and deviation 1

 private:
  std::uint64_t state_;
};

// A number of words or tokens that is drawn for each request.
struct Length {
  enum class Kind : std::uint8_t { kFixed, kUniform, kLognormal };
  Kind kind = Kind::kFixed;
  std::int64_t low = 1, high = 1;  // kFixed: low; kUniform: both are drawn too
  double median = 1, sigma = 0;    // kLognormal: exp(normal(ln median, sigma))

  static constexpr std::int64_t kMax = 1 << 20;  // what is longer becomes so long
  std::int64_t draw(LoadRandom& random) const;   // from 1 to kMax
};

// "100", "50-200" or "lognormal:MEDIAN,SIGMA"; else kInvalid "invalid_length".
Result<Length> parse_length(std::string_view text);

struct LoadPlanOptions {
  Length words{Length::Kind::kFixed, 100, 100};
  std::int64_t shared_words = 0;
  Length max_tokens{Length::Kind::kFixed, 64, 64};
  double rate = 1;  // arrivals a second
  std::uint64_t seed = 0;
};

struct PlannedRequest {
  std::string prompt;
  std::int64_t max_tokens = 0;
};

class LoadPlan {
 public:
  explicit LoadPlan(const LoadPlanOptions& options);

  // A prompt is the words that all share and then its own, of which the first few tell the number:
  // no two own parts are alike, and most differ from their first word on. They are as many as it
  // takes for that, even where --words says fewer.
  PlannedRequest request(std::uint64_t number) const;
  // From one arrival to the next (a Poisson process).
  std::chrono::nanoseconds gap(std::uint64_t number) const;

 private:
  LoadPlanOptions options_;
  std::string shared_;
};

// The words that prompts are made of.
std::size_t load_word_count();

}  // namespace hearth::apps

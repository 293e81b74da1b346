// Numbers by chance from a seed, for tests of arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace hearth {

using Floats = std::vector<float>;

struct Random {
  std::mt19937 engine;
  explicit Random(unsigned seed) : engine(seed) {}
  std::int64_t range(std::int64_t lo, std::int64_t hi) {
    return std::uniform_int_distribution<std::int64_t>(lo, hi)(engine);
  }
  Floats normal(std::int64_t n, float deviation = 1.f) {
    std::normal_distribution<float> d(0.f, deviation);
    Floats out(static_cast<std::size_t>(n));
    for (float& x : out) x = d(engine);
    return out;
  }
};

}  // namespace hearth

#include "engine/block_index.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>

#include "base/result.h"

namespace hearth::engine {
namespace {

constexpr std::size_t kLanes = 16;  // sums side by side, for the compiler to make vectors of
constexpr float kLowest = -std::numeric_limits<float>::infinity();

}  // namespace

std::span<const float> BlockIndex::block(std::size_t b) const {
  return values_.subspan(b * kBlock, std::min(kBlock, values_.size() - b * kBlock));
}

void BlockIndex::build(std::span<const float> values) {
  values_ = values;
  const std::size_t blocks = (values.size() + kBlock - 1) / kBlock;
  sums_.resize(blocks);
  maxima_.resize(blocks);
  total_ = 0;
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::span<const float> of_block = block(b);
    std::array<float, kLanes> sums{};
    std::array<float, kLanes> maxima;
    maxima.fill(kLowest);
    std::size_t i = 0;
    for (; i + kLanes <= of_block.size(); i += kLanes)
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const float x = of_block[i + lane];
        sums[lane] += x;
        maxima[lane] = x > maxima[lane] ? x : maxima[lane];
      }
    for (; i < of_block.size(); ++i) {
      sums[0] += of_block[i];
      maxima[0] = std::max(maxima[0], of_block[i]);
    }
    float sum = 0;
    for (float x : sums) sum += x;
    sums_[b] = sum;
    maxima_[b] = *std::max_element(maxima.begin(), maxima.end());
    total_ += static_cast<double>(sum);
  }
}

void BlockIndex::at_least(float least, std::vector<TokenId>& out) const {
  for (std::size_t b = 0; b < maxima_.size(); ++b) {
    if (maxima_[b] < least) continue;
    const std::span<const float> of_block = block(b);
    for (std::size_t i = 0; i < of_block.size(); ++i)
      if (of_block[i] >= least) out.push_back(static_cast<TokenId>(b * kBlock + i));
  }
}

float BlockIndex::bound_of_largest(std::size_t k) const {
  HEARTH_CHECK(k >= 1);
  if (k > maxima_.size()) return kLowest;
  std::vector<float> maxima = maxima_;
  const auto kth = maxima.begin() + static_cast<std::ptrdiff_t>(k) - 1;
  std::nth_element(maxima.begin(), kth, maxima.end(), std::greater<>());
  return *kth;
}

TokenId BlockIndex::last_positive(std::size_t b) const {
  const std::span<const float> of_block = block(b);
  std::size_t i = of_block.size() - 1;
  while (!(of_block[i] > 0)) --i;
  return static_cast<TokenId>(b * kBlock + i);
}

TokenId BlockIndex::draw(double draw) const {
  double rest = draw * total_;
  std::size_t last = 0;  // the last block that has anything
  for (std::size_t b = 0; b < sums_.size(); ++b) {
    if (!(sums_[b] > 0)) continue;
    last = b;
    const auto sum = static_cast<double>(sums_[b]);
    if (rest < sum) {
      const std::span<const float> of_block = block(b);
      for (std::size_t i = 0; i < of_block.size(); ++i) {
        rest -= static_cast<double>(of_block[i]);
        if (rest < 0) return static_cast<TokenId>(b * kBlock + i);
      }
      break;  // rounding ate the last sliver
    }
    rest -= sum;
  }
  return last_positive(last);
}

}  // namespace hearth::engine

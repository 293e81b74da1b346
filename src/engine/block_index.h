// The values of a whole vocabulary with the sum and the largest of every 256 of them, so that what
// is drawn, or is among the largest, is looked for in a few blocks and nothing is sorted.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/messages.h"

namespace hearth::engine {

class BlockIndex {
 public:
  static constexpr std::size_t kBlock = 256;

  // Free of NaN; they must stay where they are while the index is used.
  void build(std::span<const float> values);

  double total() const { return total_; }
  // The ids of all values that are at least `least`, in order, appended to `out`.
  void at_least(float least, std::vector<TokenId>& out) const;
  // Not above the k-th largest value, k >= 1, and near it while k is small: the k-th largest of the
  // blocks' largest, or -infinity.
  float bound_of_largest(std::size_t k) const;
  // The id at which the running sum of the values, which are not negative and not all zero, exceeds
  // draw * total(); never one whose value is 0.
  TokenId draw(double draw) const;

 private:
  std::span<const float> block(std::size_t b) const;
  TokenId last_positive(std::size_t b) const;

  std::span<const float> values_;
  std::vector<float> sums_;
  std::vector<float> maxima_;
  double total_ = 0;
};

}  // namespace hearth::engine

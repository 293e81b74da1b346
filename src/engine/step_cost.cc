#include "engine/step_cost.h"

#include <algorithm>
#include <bit>

namespace hearth::engine {

// One each up to 8 rows, then four to an octave.
std::size_t StepCost::bucket_of(std::int64_t rows) {
  const auto n = static_cast<std::uint64_t>(std::max<std::int64_t>(rows, 1));
  if (n <= 8) return static_cast<std::size_t>(n - 1);
  const auto octave = static_cast<std::size_t>(std::bit_width(n - 1)) - 1;  // 9..16: 3
  const std::size_t quarter = static_cast<std::size_t>((n - 1) >> (octave - 2)) & 3;
  return 8 + (octave - 3) * 4 + quarter;
}

void StepCost::add(std::int64_t rows, double seconds) {
  const std::size_t index = bucket_of(rows);
  if (index >= buckets_.size()) buckets_.resize(index + 1);
  Bucket& b = buckets_[index];
  ++b.count;
  const double weight = std::max(kWeight, 1.0 / static_cast<double>(b.count));
  b.rows += (static_cast<double>(rows) - b.rows) * weight;
  b.seconds += (seconds - b.seconds) * weight;
  known_ = true;
}

double StepCost::seconds(std::int64_t rows) const {
  const auto n = static_cast<double>(rows);
  const Bucket* first = nullptr;
  const Bucket* below = nullptr;
  for (const Bucket& b : buckets_) {
    if (b.count == 0) continue;
    if (first == nullptr) first = &b;
    if (b.rows >= n) {
      if (below == nullptr || b.rows == n) return b.seconds;
      return below->seconds +
             (b.seconds - below->seconds) * (n - below->rows) / (b.rows - below->rows);
    }
    below = &b;
  }
  if (first == nullptr) return 0;
  double slope = kSlope * first->seconds / first->rows;
  if (below != first)
    slope = std::max(slope, (below->seconds - first->seconds) / (below->rows - first->rows));
  return below->seconds + slope * (n - below->rows);
}

}  // namespace hearth::engine

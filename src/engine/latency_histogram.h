// How long things took, in buckets of equal ratio: what only grows can be read at any time, and the
// difference of two readings is a histogram of what came between.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <optional>

namespace hearth::engine {

class LatencyHistogram {
 public:
  void add(std::int64_t ns, std::int64_t times = 1) {
    const double octaves = std::log2(std::max(static_cast<double>(ns), kLeastNs) / kLeastNs);
    const auto bucket = static_cast<std::size_t>(octaves * kPerOctave);
    counts_[std::min(bucket, counts_.size() - 1)] += times;
  }

  std::int64_t count() const { return std::accumulate(counts_.begin(), counts_.end(), 0LL); }

  LatencyHistogram since(const LatencyHistogram& earlier) const {
    LatencyHistogram out;
    for (std::size_t i = 0; i < counts_.size(); ++i)
      out.counts_[i] = counts_[i] - earlier.counts_[i];
    return out;
  }

  // Nanoseconds that a share `q` of them stayed within, to 5 %. None: there are none.
  std::optional<double> quantile_ns(double q) const {
    const std::int64_t n = count();
    if (n == 0) return std::nullopt;
    const double wanted = std::max(1.0, std::ceil(q * static_cast<double>(n)));
    std::int64_t seen = 0;
    std::size_t bucket = 0;
    while ((seen += counts_[bucket]) < static_cast<std::int64_t>(wanted)) ++bucket;
    return kLeastNs * std::exp2((static_cast<double>(bucket) + 0.5) / kPerOctave);
  }

 private:
  static constexpr double kLeastNs = 1e4;
  static constexpr double kPerOctave = 8;
  std::array<std::int64_t, 216> counts_{};  // 27 octaves: to 22 minutes
};

}  // namespace hearth::engine

// How fast requests end, from when the last ones did: what a client that is refused is told.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>

namespace hearth::engine {

class ServiceRate {
 public:
  void ended(std::int64_t now_ns) {
    ends_.push_back(now_ns);
    if (ends_.size() > kEnds) ends_.pop_front();
  }

  // Seconds until `waiting` requests have been served, 1 to kLongest. While nothing ends, it grows.
  // `spread` (0 to 1) lengthens it by up to a half or a second, whichever is more, so that those
  // who are refused together do not come back together.
  std::int32_t seconds_for(std::int64_t waiting, std::int64_t now_ns, double spread = 0) const {
    if (ends_.empty()) return 1 + static_cast<std::int32_t>(2 * spread);
    const double each =
        static_cast<double>(now_ns - ends_.front()) / 1e9 / static_cast<double>(ends_.size());
    const double wait = each * static_cast<double>(waiting);
    const double seconds = std::ceil(wait + spread * std::max(1.0, wait / 2));
    return static_cast<std::int32_t>(std::clamp(seconds, 1.0, static_cast<double>(kLongest)));
  }

  static constexpr std::int32_t kLongest = 600;

 private:
  static constexpr std::size_t kEnds = 64;
  std::deque<std::int64_t> ends_;  // oldest first
};

}  // namespace hearth::engine

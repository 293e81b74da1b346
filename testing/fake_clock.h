// A clock that stands still until the test moves it. Safe to read from other threads.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace hearth::testing {

class FakeClock final : public Clock {
 public:
  time_point now() const override { return time_point(duration(monotonic_ns_.load())); }

  std::chrono::system_clock::time_point wall() const override {
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(duration(wall_ns_.load())));
  }

  // Time passes: both clocks move.
  void advance(duration by) {
    monotonic_ns_ += by.count();
    wall_ns_ += by.count();
  }

  // Somebody sets the civil time: the monotonic clock does not see it.
  void jump_wall(duration by) { wall_ns_ += by.count(); }

 private:
  std::atomic<duration::rep> monotonic_ns_{1'000'000'000};
  std::atomic<duration::rep> wall_ns_{1'767'225'600'000'000'000};  // 2026-01-01T00:00:00Z
};

}  // namespace hearth::testing

// Clocks that tests set. Safe to read from other threads.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace hearth::testing {

// Stands still until the test moves it.
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

// A step later each time somebody looks: whatever is measured with it took equally long.
class TickingClock final : public Clock {
 public:
  time_point now() const override { return time_point(duration(ticks_ += 1'000'000)); }
  std::chrono::system_clock::time_point wall() const override { return system().wall(); }

 private:
  mutable std::atomic<duration::rep> ticks_{1'000'000'000};
};

// Time goes on as it does, and the test sets the civil one.
class SettableClock final : public Clock {
 public:
  time_point now() const override { return system().now(); }
  std::chrono::system_clock::time_point wall() const override {
    const auto ahead =
        std::chrono::duration_cast<std::chrono::system_clock::duration>(duration(ahead_ns_.load()));
    return system().wall() + ahead;
  }
  void jump_wall(duration by) { ahead_ns_ += by.count(); }

 private:
  std::atomic<duration::rep> ahead_ns_{0};
};

}  // namespace hearth::testing

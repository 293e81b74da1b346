// Time behind an interface, so that tests own it (testing/fake_clock.h).
#pragma once

#include <chrono>

namespace hearth {

class Clock {
 public:
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<Clock, duration>;  // monotonic, epoch arbitrary

  virtual ~Clock() = default;
  virtual time_point now() const = 0;  // monotonic: deadlines, durations
  virtual std::chrono::system_clock::time_point wall() const = 0;  // civil time: records only

  static const Clock& system();  // the real one
};

}  // namespace hearth

#include "base/clock.h"

namespace hearth {
namespace {

class SystemClock final : public Clock {
 public:
  time_point now() const override {
    return time_point(std::chrono::steady_clock::now().time_since_epoch());
  }
  std::chrono::system_clock::time_point wall() const override {
    return std::chrono::system_clock::now();
  }
};

}  // namespace

const Clock& Clock::system() {
  static const SystemClock clock;
  return clock;
}

}  // namespace hearth

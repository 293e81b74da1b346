#include "base/clock.h"

#include <gtest/gtest.h>

#include "testing/fake_clock.h"

namespace hearth {
namespace {

using std::chrono::seconds;

TEST(ClockTest, TheRealOneNeverGoesBack) {
  const auto first = Clock::system().now();
  const auto second = Clock::system().now();
  EXPECT_GE(second, first);
}

TEST(ClockTest, TheFakeOneMovesOnlyWhenTold) {
  testing::FakeClock clock;
  const auto start = clock.now();
  const auto wall = clock.wall();
  EXPECT_EQ(clock.now(), start);
  clock.advance(seconds(5));
  EXPECT_EQ(clock.now() - start, seconds(5));
  EXPECT_EQ(clock.wall() - wall, seconds(5));
  clock.jump_wall(seconds(-3600));
  EXPECT_EQ(clock.now() - start, seconds(5));
  EXPECT_EQ(clock.wall() - wall, seconds(-3595));
}

}  // namespace
}  // namespace hearth

#include "engine/service_rate.h"

#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(ServiceRate, TellsFromTheLastEnds) {
  ServiceRate rate;
  EXPECT_EQ(rate.seconds_for(1000, 5 * kSecond), 1);  // nothing is known yet
  for (int i = 0; i < 200; ++i) rate.ended(i * kSecond / 4);
  const std::int64_t now = 50 * kSecond;  // a quarter of a second after the last of them
  EXPECT_EQ(rate.seconds_for(100, now), 25);
  EXPECT_EQ(rate.seconds_for(1, now), 1);
  EXPECT_EQ(rate.seconds_for(1 << 20, now), ServiceRate::kLongest);
  // Faster since: what is long ago does not count.
  for (int i = 0; i < 64; ++i) rate.ended(now + i * kSecond / 100);
  EXPECT_EQ(rate.seconds_for(1000, now + 64 * kSecond / 100), 10);
}

TEST(ServiceRate, GrowsWhileNothingEnds) {
  ServiceRate rate;
  rate.ended(0);
  EXPECT_EQ(rate.seconds_for(2, 3 * kSecond), 6);
  EXPECT_EQ(rate.seconds_for(2, 30 * kSecond), 60);
}

TEST(ServiceRate, SpreadsThoseWhoAreRefusedTogether) {
  ServiceRate rate;
  EXPECT_EQ(rate.seconds_for(5, 0, 0.9), 2);
  for (int i = 0; i < 64; ++i) rate.ended(i * kSecond);
  const std::int64_t now = 64 * kSecond;
  EXPECT_EQ(rate.seconds_for(20, now, 0), 20);
  EXPECT_EQ(rate.seconds_for(20, now, 0.5), 25);
  EXPECT_EQ(rate.seconds_for(20, now, 0.99), 30);
}

}  // namespace
}  // namespace hearth::engine

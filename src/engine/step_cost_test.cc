#include "engine/step_cost.h"

#include <gtest/gtest.h>

#include "engine/latency_histogram.h"

namespace hearth::engine {
namespace {

TEST(StepCost, IsLinearBetweenWhatWasMeasuredAndGoesOnBeyond) {
  StepCost cost;
  EXPECT_FALSE(cost.known());
  EXPECT_EQ(cost.seconds(4), 0);
  cost.add(4, 2.0);
  EXPECT_TRUE(cost.known());
  EXPECT_EQ(cost.seconds(1), 2.0);  // at most what four took
  EXPECT_GT(cost.seconds(8), 2.0);  // a row is never free
  cost.add(100, 50.0);
  EXPECT_DOUBLE_EQ(cost.seconds(52), 26.0);
  EXPECT_DOUBLE_EQ(cost.seconds(200), 100.0);
}

TEST(StepCost, FollowsWhatChanges) {
  StepCost cost;
  for (int i = 0; i < 50; ++i) cost.add(1, 1.0);
  for (int i = 0; i < 50; ++i) cost.add(1, 3.0);
  EXPECT_NEAR(cost.seconds(1), 3.0, 0.05);
}

TEST(StepCost, OfEachNumberOfRowsItKnowsWhatItWasTold) {
  for (std::int64_t rows = 1; rows < 5000; ++rows) {
    StepCost cost;
    cost.add(rows, 1.0);
    EXPECT_EQ(cost.seconds(rows), 1.0) << rows;
    cost.add(2 * rows, 4.0);
    EXPECT_EQ(cost.seconds(rows), 1.0) << rows;
    EXPECT_EQ(cost.seconds(2 * rows), 4.0) << rows;
  }
}

TEST(LatencyHistogram, QuantilesAreWithinFivePercent) {
  LatencyHistogram all;
  EXPECT_FALSE(all.quantile_ns(0.5));
  for (int i = 1; i <= 1000; ++i) all.add(i * 1'000'000);
  for (double q : {0.01, 0.5, 0.95, 0.99, 1.0})
    EXPECT_NEAR(*all.quantile_ns(q) / (q * 1e9), 1.0, 0.05) << q;
}

TEST(LatencyHistogram, AnythingFits) {
  LatencyHistogram all;
  all.add(-5);
  all.add(0);
  all.add(INT64_MAX);
  EXPECT_EQ(all.count(), 3);
  LatencyHistogram later = all;
  later.add(1'000'000, 7);
  EXPECT_EQ(later.since(all).count(), 7);
  EXPECT_NEAR(*later.since(all).quantile_ns(0.95), 1e6, 5e4);
}

}  // namespace
}  // namespace hearth::engine

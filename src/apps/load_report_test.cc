#include "apps/load_report.h"

#include <gmock/gmock.h>

namespace hearth::apps {
namespace {

using ::testing::HasSubstr;

LoadSample sample_of(double ttft_ms, std::optional<double> tpot_ms) {
  LoadSample out;
  out.ttft_ms = ttft_ms;
  out.tpot_ms = tpot_ms;
  out.total_ms = ttft_ms + 100;
  out.input_tokens = 10;
  out.output_tokens = 5;
  out.has_usage = true;
  return out;
}

TEST(Percentile, LiesBetweenTheNearestValues) {
  const std::vector<float> values = {10, 20, 30, 40};
  EXPECT_DOUBLE_EQ(percentile(values, 0), 10);
  EXPECT_DOUBLE_EQ(percentile(values, 50), 25);
  EXPECT_DOUBLE_EQ(percentile(values, 90), 37);
  EXPECT_DOUBLE_EQ(percentile(values, 100), 40);
  EXPECT_DOUBLE_EQ(percentile({7}, 99), 7);
  EXPECT_DOUBLE_EQ(percentile({}, 50), 0);
}

TEST(LoadReport, CountsAndRates) {
  LoadReport report({});
  for (const double ttft : {40.0, 10.0, 30.0, 20.0}) {
    LoadSample sample = sample_of(ttft, 2);
    sample.gaps_ms = {1, static_cast<float>(ttft)};
    sample.cached_tokens = 4;
    report.add(sample);
  }
  report.add_refusal("the queue is full");
  report.add_retry("the queue is full");
  report.add_unfinished(2);
  for (int i = 0; i < 20; ++i) report.add_error(fmt::format("error {}", i / 2));
  report.set_seconds(2);
  const OrderedJson json = report.json();
  EXPECT_EQ(json["requests_s"], 2.0);
  EXPECT_EQ(json["output_tok_s"], 10.0);
  EXPECT_EQ(json["input_tok_s"], 20.0);
  EXPECT_EQ(json["ttft_ms"]["p50"], 25.0);
  EXPECT_EQ(json["ttft_ms"]["max"], 40.0);
  EXPECT_EQ(json["tpot_ms"]["p99"], 2.0);
  EXPECT_EQ(json["longest_itl_ms"]["p50"], 25.0);
  EXPECT_EQ(json["itl_ms"]["max"], 40.0);
  EXPECT_EQ(json["total_ms"]["p50"], 125.0);
  EXPECT_EQ(json["requests"], 25);
  EXPECT_EQ(json["succeeded"], 4);
  EXPECT_EQ(json["errors"], 20);
  EXPECT_EQ(json["refused"], 1);
  EXPECT_EQ(json["retries"], 1);
  EXPECT_EQ(json["unfinished"], 2);
  EXPECT_EQ(json["cached_tokens"], 16);
  EXPECT_EQ(json["first_errors"].size(), 5U);
  EXPECT_EQ(json["first_errors"][4], "error 4");
  EXPECT_FALSE(json.contains("goodput_s"));
  EXPECT_EQ(report.first_failure(), "error 0");
  EXPECT_THAT(report.table(), HasSubstr("the queue is full"));
  EXPECT_THAT(report.table(), HasSubstr("16 of them cached"));
}

TEST(LoadReport, GoodputMeetsBothTargets) {
  LoadReport report({.ttft_ms = 100, .tpot_ms = 10});
  report.add(sample_of(100, 10));
  report.add(sample_of(101, 10));
  report.add(sample_of(100, 11));
  report.add(sample_of(50, std::nullopt));  // one token: there is nothing to miss
  report.set_seconds(2);
  EXPECT_EQ(report.json()["goodput_s"], 1.0);
  LoadReport first_only({.ttft_ms = 100, .tpot_ms = {}});
  first_only.add(sample_of(100, 1000));
  first_only.set_seconds(1);
  EXPECT_EQ(first_only.json()["goodput_s"], 1.0);
}

TEST(LoadReport, OfNothingIsWhole) {
  const LoadReport report({});
  const OrderedJson json = report.json();
  EXPECT_EQ(json["requests_s"], 0.0);
  EXPECT_EQ(json["ttft_ms"]["p99"], 0.0);
  EXPECT_FALSE(json.contains("cached_tokens"));
  EXPECT_EQ(report.first_failure(), "");
  EXPECT_THAT(report.table(), HasSubstr("0 answers"));
}

}  // namespace
}  // namespace hearth::apps

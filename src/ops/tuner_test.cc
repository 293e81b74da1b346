#include "ops/tuner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <utility>
#include <vector>

namespace hearth::ops {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr TunerBounds kBounds{.running_max = 100, .prompt_rows_max = 4096, .prompt_rows_min = 16};

Tuner tuner_of(TunerMode mode, TunerBounds bounds = kBounds, TunerTargets targets = {}) {
  auto tuner = Tuner::create(mode, bounds, targets);
  EXPECT_TRUE(tuner.has_value());
  return *std::move(tuner);
}

Tuner slo_of(std::int64_t running_max) {
  return tuner_of(TunerMode::kSlo, {.running_max = running_max});
}

// A full batch of `running` that decodes alone, with requests waiting; targets are 250 and 5000 ms.
TunerPeriod busy(std::int64_t running, double tpot_ms) {
  return {.tpot_p95_ms = tpot_ms,
          .ttft_p95_ms = 1000,
          .tokens_s = 1000,
          .pages_used_share = 0.5,
          .running_most = running,
          .waiting = 7};
}

TunerPeriod busy_with_prompts(std::int64_t running, double tpot_ms, std::int64_t prompt_rows) {
  TunerPeriod period = busy(running, tpot_ms);
  period.prompt_rows_most = prompt_rows;
  return period;
}

// The same period, `times` over, at the limits as they are then. Returns the last decision.
TunerDecision repeat(Tuner& tuner, int times, double tpot_ms) {
  TunerDecision decision;
  for (int i = 0; i < times; ++i) decision = tuner.decide(busy(tuner.limits().running, tpot_ms));
  return decision;
}

// ---- rule

double running_after(Tuner& tuner, double utilisation) {
  return static_cast<double>(tuner.decide({.utilisation = utilisation}).limits.running);
}

TEST(TunerRule, FallsByTheLetter) {
  Tuner tuner = tuner_of(TunerMode::kRule);
  EXPECT_EQ(tuner.limits(), (TunerLimits{4, 4096}));
  // 2.8, 1.96, 1.372, 0.9604, 0.67228, 0.470596
  for (const double limit : {2, 1, 1, 1, 1, 1}) EXPECT_EQ(running_after(tuner, 0.9), limit);
  // 0.705894, 1.058841, 1.5882615, 2.38239225, 3.573588375, 5.3603825625, 8.04057384375
  for (const double limit : {1, 1, 1, 2, 3, 5, 8}) EXPECT_EQ(running_after(tuner, 0.1), limit);
  EXPECT_EQ(tuner.limits().prompt_rows, 4096);
}

TEST(TunerRule, RisesByTheLetterUpToTheMost) {
  Tuner tuner = tuner_of(TunerMode::kRule);
  // 6, 9, 13.5, 20.25, 30.375, 45.5625, 68.34375, 102.515625
  for (const double limit : {6, 9, 13, 20, 30, 45, 68, 100, 100})
    EXPECT_EQ(running_after(tuner, 0), limit);
  for (int night = 0; night < 10'000; ++night) running_after(tuner, 0);
  // Capped, not wound up: 70, 49, 34.3
  for (const double limit : {70, 49, 34}) EXPECT_EQ(running_after(tuner, 1), limit);
}

TEST(TunerRule, BoundariesChangeNothing) {
  Tuner tuner = tuner_of(TunerMode::kRule);
  for (const double utilisation : {0.30, 0.80, 0.5}) {
    const TunerDecision decision = tuner.decide({.utilisation = utilisation});
    EXPECT_EQ(decision.limits.running, 4);
    EXPECT_EQ(decision.reason, TunerReason::kSteady);
  }
  EXPECT_EQ(running_after(tuner, std::nextafter(0.30, 0)), 6);
  EXPECT_EQ(running_after(tuner, std::nextafter(0.80, 1)), 4);  // 4.2
}

TEST(TunerRule, TwentyThreeDecreasesAreExactAndADayOfThemIsForgotten) {
  Tuner tuner = tuner_of(TunerMode::kRule);
  for (int i = 0; i < 23; ++i) running_after(tuner, 1);
  // 4 x 0.7^23 x 1.5^17 = 1.08; without the last increase it is 0.72
  for (int i = 0; i < 17; ++i) EXPECT_EQ(running_after(tuner, 0), 1) << i;
  EXPECT_EQ(running_after(tuner, 0), 1);  // 1.62
  EXPECT_EQ(running_after(tuner, 0), 2);  // 2.43
  for (int i = 0; i < 100'000; ++i) running_after(tuner, 1);
  int periods = 1;
  while (running_after(tuner, 0) < 2) ++periods;
  EXPECT_EQ(periods, 19);  // 0.001 x 1.5^19 = 2.2
}

TEST(TunerRule, StrangeUtilisationIsNone) {
  Tuner tuner = tuner_of(TunerMode::kRule);
  for (const double utilisation : {kNan, kInfinity, -kInfinity, -0.1})
    EXPECT_EQ(tuner.decide({.utilisation = utilisation}).reason, TunerReason::kNotMeasured);
  EXPECT_EQ(tuner.decide({}).reason, TunerReason::kNotMeasured);
  EXPECT_EQ(tuner.limits().running, 4);
  EXPECT_EQ(running_after(tuner, 7),
            2);  // more than the peak: the peak was wrong, the trend is not
}

TEST(TunerRule, NeverStartsOverItsMost) {
  Tuner tuner = tuner_of(TunerMode::kRule, {.running_max = 3});
  EXPECT_EQ(tuner.limits().running, 3);
  EXPECT_EQ(running_after(tuner, 1), 2);  // 2.1
}

// ---- off and mistakes

TEST(TunerOff, LeavesWhatIsConfigured) {
  Tuner tuner = tuner_of(TunerMode::kOff);
  for (int i = 0; i < 5; ++i) {
    const TunerDecision decision = tuner.decide(busy(100, 9999));
    EXPECT_EQ(decision.limits, (TunerLimits{100, 4096}));
    EXPECT_EQ(decision.reason, TunerReason::kOff);
  }
}

TEST(Tuner, RefusesMistakes) {
  const std::vector<std::pair<TunerBounds, TunerTargets>> mistakes{
      {{.running_max = 0}, {}},
      {{.running_max = -1}, {}},
      {{.running_max = std::numeric_limits<std::int64_t>::max()}, {}},
      {{.prompt_rows_min = 0}, {}},
      {{.prompt_rows_max = 15, .prompt_rows_min = 16}, {}},
      {{.prompt_rows_max = std::numeric_limits<std::int64_t>::max()}, {}},
      {{}, {.tpot_ms = 0}},
      {{}, {.tpot_ms = -1}},
      {{}, {.tpot_ms = kNan}},
      {{}, {.tpot_ms = kInfinity}},
      {{}, {.ttft_ms = 0}},
      {{}, {.ttft_ms = kNan}},
  };
  for (const TunerMode mode : {TunerMode::kOff, TunerMode::kRule, TunerMode::kSlo}) {
    for (const auto& [bounds, targets] : mistakes) {
      const auto tuner = Tuner::create(mode, bounds, targets);
      ASSERT_FALSE(tuner.has_value());
      EXPECT_EQ(tuner.error().code, "invalid_tuner");
    }
    EXPECT_TRUE(Tuner::create(mode, {1, 1, 1}, {}).has_value());
  }
}

// Whatever is measured, also what cannot be.
TEST(Tuner, StaysInBoundsOnAnyInput) {
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  const std::vector<double> numbers{kNan, kInfinity, -1, -0.0, 0,   5e-324, 1e-300, 0.1,
                                    0.5,  0.9,       1,  100,  240, 260,    1e9,    1e300};
  const std::vector<std::int64_t> counts{kLeast, -1, 0, 1, 7, 100, 512, kMost};
  std::mt19937_64 random(1);
  const auto number = [&]() -> std::optional<double> {
    const std::size_t index = random() % (numbers.size() + 1);
    return index < numbers.size() ? std::optional(numbers[index]) : std::nullopt;
  };
  const auto count = [&] { return counts[random() % counts.size()]; };
  for (int trial = 0; trial < 300; ++trial) {
    const TunerBounds bounds{1 + static_cast<std::int64_t>(random() % 200), 64, 16};
    const double target = std::pow(10, static_cast<double>(random() % 600) - 300);
    Tuner tuner = tuner_of(static_cast<TunerMode>(trial % 3), bounds, {target, target});
    for (int i = 0; i < 1000; ++i) {
      const TunerDecision decision =
          tuner.decide({number(), number(), number(), number(), number(), count(), count(), count(),
                        count(), number(), number()});
      ASSERT_EQ(decision.limits, tuner.limits());
      ASSERT_TRUE(decision.limits.running >= 1 && decision.limits.running <= bounds.running_max &&
                  decision.limits.prompt_rows >= 16 && decision.limits.prompt_rows <= 64)
          << trial;
    }
  }
}

TEST(Tuner, NamesReasonsAndTellsOnlyNews) {
  EXPECT_EQ(name(TunerReason::kOff), "off");
  EXPECT_EQ(name(TunerReason::kTargetImpossible), "target_impossible");
  EXPECT_EQ(name(TunerReason::kThroughputFell), "throughput_fell");
  Tuner tuner = slo_of(100);
  EXPECT_NE(tuner.decide({}).text, "");
  EXPECT_EQ(tuner.decide({}).text, "");
  repeat(tuner, 1, 300);
  const std::string text = repeat(tuner, 1, 300).text;
  EXPECT_TRUE(text.starts_with("running 100 -> 90, prompt_rows 512 -> 512: tokens come too slowly"))
      << text;
  EXPECT_NE(text.find("300 ms of 250"), std::string::npos) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

// ---- slo: down

TEST(TunerSlo, StartsWithEverything) {
  EXPECT_EQ(slo_of(100).limits(), (TunerLimits{100, 512}));
  EXPECT_EQ(tuner_of(TunerMode::kSlo, {.prompt_rows_max = 64}).limits().prompt_rows, 64);
  EXPECT_EQ(tuner_of(TunerMode::kSlo, {.prompt_rows_min = 1024}).limits().prompt_rows, 1024);
}

TEST(TunerSlo, OneBadPeriodIsNoVerdictAndTwoAreATenth) {
  Tuner tuner = slo_of(100);
  EXPECT_EQ(tuner.decide(busy(100, 300)).reason, TunerReason::kSettling);
  const TunerDecision decision = tuner.decide(busy(100, 300));
  EXPECT_EQ(decision.limits, (TunerLimits{90, 512}));
  EXPECT_EQ(decision.reason, TunerReason::kTpotOver);
}

TEST(TunerSlo, AHiccupChangesNothing) {
  Tuner tuner = slo_of(100);
  for (int i = 0; i < 300; ++i) tuner.decide(busy(100, i % 30 == 10 ? 60'000 : 230));
  EXPECT_EQ(tuner.limits(), (TunerLimits{100, 512}));
}

TEST(TunerSlo, GoesDownFurtherByTheExcess) {
  Tuner tuner = slo_of(100);
  repeat(tuner, 2, 1000);
  EXPECT_EQ(tuner.limits().running, 90);
  repeat(tuner, 2, 1000);  // of which the first is partly of the limit before
  EXPECT_EQ(tuner.limits().running, 90);
  EXPECT_EQ(repeat(tuner, 1, 1000).limits.running, 45);  // not by more than a half
  EXPECT_EQ(repeat(tuner, 3, 300).limits.running, 38);   // 250 / 300
  // Under the target the series ends, and the next bad period is the first again.
  repeat(tuner, 10, 240);
  EXPECT_EQ(repeat(tuner, 2, 400).limits.running, 34);
}

TEST(TunerSlo, WaitsForWhatRunsToEnd) {
  Tuner tuner = slo_of(100);
  repeat(tuner, 2, 300);
  for (int i = 0; i < 50; ++i) {
    const TunerDecision decision = tuner.decide(busy(100 - i / 6, 300));
    EXPECT_EQ(decision.reason, TunerReason::kDraining);
    EXPECT_EQ(decision.limits.running, 90);
  }
  tuner.decide(busy(90, 300));
  tuner.decide(busy(90, 300));
  EXPECT_LT(tuner.decide(busy(90, 300)).limits.running, 90);
}

TEST(TunerSlo, LowersFromWhatReallyRan) {
  Tuner tuner = slo_of(100);
  tuner.decide(busy(20, 300));
  EXPECT_EQ(tuner.decide(busy(20, 300)).limits.running, 18);
}

TEST(TunerSlo, PromptsGiveWayFirst) {
  Tuner tuner = slo_of(100);
  tuner.decide(busy_with_prompts(100, 300, 512));
  TunerDecision decision = tuner.decide(busy_with_prompts(100, 300, 512));
  EXPECT_EQ(decision.limits, (TunerLimits{100, 461}));
  // From the rows that there were, and clearly, to see whether it helps.
  for (int i = 0; i < 3; ++i) decision = tuner.decide(busy_with_prompts(100, 270, 200));
  EXPECT_EQ(decision.limits, (TunerLimits{100, 140}));
  // It did not: then it is the sequences.
  for (int i = 0; i < 3; ++i) decision = tuner.decide(busy_with_prompts(100, 270, 140));
  EXPECT_EQ(decision.limits, (TunerLimits{90, 140}));
  for (int i = 0; i < 3; ++i) decision = tuner.decide(busy_with_prompts(90, 255, 140));
  EXPECT_EQ(decision.limits.prompt_rows, 140);
}

TEST(TunerSlo, TpotComesBeforeTtft) {
  Tuner tuner = slo_of(100);
  TunerPeriod period = busy_with_prompts(100, 300, 512);
  period.ttft_p95_ms = 9000;
  tuner.decide(period);
  const TunerDecision decision = tuner.decide(period);
  EXPECT_EQ(decision.reason, TunerReason::kTpotBeforeTtft);
  EXPECT_EQ(decision.limits.prompt_rows, 461);
  EXPECT_NE(decision.text.find("second to it"), std::string::npos);
}

TEST(TunerSlo, WhoRunsIsNotToBlameForWhatStepsDoNotTake) {
  Tuner tuner = slo_of(100);
  TunerDecision decision;
  for (int i = 0; i < 50; ++i) {
    TunerPeriod period = busy_with_prompts(3, 400, tuner.limits().prompt_rows);
    period.decode_step_ms = 50;
    period.row_ms = 1;
    decision = tuner.decide(period);
  }
  EXPECT_EQ(decision.limits, (TunerLimits{100, 12}));  // prompts had to yield all the same
  EXPECT_EQ(decision.reason, TunerReason::kDisturbed);
}

TEST(TunerSlo, BeginsWithWhatIsExpectedToFit) {
  Tuner tuner = slo_of(100);
  tuner.expect(50, 1);
  EXPECT_EQ(tuner.limits(), (TunerLimits{100, 112}));  // 0.65 * 250 - 50
  Tuner rule = tuner_of(TunerMode::kRule);
  rule.expect(50, 1);
  EXPECT_EQ(rule.limits(), (TunerLimits{4, 4096}));
}

TEST(TunerSlo, AnImpossibleTargetRestsAtTheLeast) {
  Tuner tuner = slo_of(100);
  int moves = 0;
  TunerDecision decision;
  for (int i = 0; i < 500; ++i) {
    const TunerLimits now = tuner.limits();
    decision = tuner.decide(busy_with_prompts(now.running, 400, now.prompt_rows));
    if (i >= 100) moves += decision.limits != now;
  }
  EXPECT_EQ(decision.limits, (TunerLimits{2, 12}));
  EXPECT_EQ(decision.reason, TunerReason::kTargetImpossible);
  EXPECT_EQ(moves, 0);
}

// ---- slo: the cost of a step

TEST(TunerSlo, TheModelBoundsPromptRowsAtOnce) {
  Tuner tuner = slo_of(100);
  TunerPeriod period = busy_with_prompts(10, 1000, 512);
  period.decode_step_ms = 100;
  period.row_ms = 1;
  const TunerDecision decision = tuner.decide(period);
  EXPECT_EQ(decision.limits, (TunerLimits{100, 62}));  // 100 + 62 x 1 = 0.65 x 250
  EXPECT_EQ(decision.reason, TunerReason::kCostModel);
  // Not for what one half of it alone says, nor if it is strange.
  Tuner other = slo_of(100);
  for (const auto& [step, row] : std::vector<std::pair<double, double>>{
           {kNan, 1}, {100, kNan}, {100, 0}, {100, -1}, {-1, 1}, {kInfinity, 1}}) {
    period.decode_step_ms = step;
    period.row_ms = row;
    period.tpot_p95_ms = 200;
    EXPECT_EQ(other.decide(period).limits.prompt_rows, 512) << step << ' ' << row;
  }
  // A step that takes longer than the target all by itself leaves the least.
  period.decode_step_ms = 1e300;
  period.row_ms = 1e-300;
  EXPECT_EQ(other.decide(period).limits.prompt_rows, 12);
}

TEST(TunerSlo, FewerRowsForALateFirstTokenThanTheModelAllows) {
  Tuner tuner = slo_of(100);
  for (int i = 0; i < 200; ++i) {
    TunerPeriod period = busy_with_prompts(10, 100, tuner.limits().prompt_rows);
    period.ttft_p95_ms = 9000;
    period.decode_step_ms = 50;
    period.row_ms = 0.2;
    tuner.decide(period);
    EXPECT_LE(tuner.limits().prompt_rows, 563);
  }
  EXPECT_GE(tuner.limits().prompt_rows, 530);
}

// ---- slo: up

TEST(TunerSlo, RisesAfterAHoldToHalfWay) {
  Tuner tuner = slo_of(100);
  repeat(tuner, 2, 300);
  // One period is mixed, two make a verdict, then three are held.
  EXPECT_EQ(repeat(tuner, 5, 220).limits.running, 90);
  EXPECT_EQ(repeat(tuner, 1, 220).limits.running, 91);
  EXPECT_EQ(tuner.decide(busy(91, 220)).reason, TunerReason::kRoom);
  // 100 was too much: no more than half way to it for a minute, then beyond.
  repeat(tuner, 50, 224);
  EXPECT_EQ(tuner.limits().running, 95);
  repeat(tuner, 12, 224);
  EXPECT_GT(tuner.limits().running, 95);
}

TEST(TunerSlo, RisesByAFiftiethOrOne) {
  Tuner tuner = slo_of(500);
  repeat(tuner, 2, 300);  // 450
  repeat(tuner, 3, 1000);
  EXPECT_EQ(tuner.limits().running, 225);
  EXPECT_EQ(repeat(tuner, 6, 100).limits.running, 229);
  EXPECT_EQ(repeat(tuner, 1, 100).limits.running, 233);
  Tuner few = slo_of(10);
  repeat(few, 2, 300);  // 9
  repeat(few, 3, 1000);
  EXPECT_EQ(few.limits().running, 5);
  EXPECT_EQ(repeat(few, 6, 100).limits.running, 6);
  // One of five is a big step: what it did is measured first.
  EXPECT_EQ(repeat(few, 2, 100).limits.running, 6);
  EXPECT_EQ(repeat(few, 1, 100).limits.running, 7);
}

TEST(TunerSlo, UndoesABigStepThatWasTooMuch) {
  Tuner tuner = slo_of(10);
  repeat(tuner, 2, 300);
  repeat(tuner, 3, 1000);
  EXPECT_EQ(repeat(tuner, 6, 100).limits.running, 6);
  // Also while there are prompts that could give way.
  TunerDecision decision;
  for (int i = 0; i < 3; ++i) decision = tuner.decide(busy_with_prompts(6, 260, 512));
  EXPECT_EQ(decision.limits, (TunerLimits{5, 512}));
  EXPECT_EQ(decision.reason, TunerReason::kTpotOver);
}

TEST(TunerSlo, DoesNotRiseWithoutReason) {
  struct Case {
    const char* what;
    TunerPeriod period;
  };
  std::vector<Case> cases(7, {"", busy(90, 200)});
  cases[0].what = "nobody waits";
  cases[0].period.waiting = 0;
  cases[1].what = "the limit was not reached";
  cases[1].period.running_most = 89;
  cases[2].what = "pages would be short";
  cases[2].period.pages_used_share = 0.85;
  cases[3].what = "pages are not known";
  cases[3].period.pages_used_share = kNan;
  cases[4].what = "close to the target";
  cases[4].period.tpot_p95_ms = 230;
  cases[5].what = "TPOT is not known";
  cases[5].period.tpot_p95_ms = std::nullopt;
  cases[6].what = "strange numbers";
  cases[6].period.tpot_p95_ms = kNan;
  cases[6].period.preemptions = -3;
  for (const Case& c : cases) {
    Tuner tuner = slo_of(100);
    repeat(tuner, 2, 300);
    for (int i = 0; i < 200; ++i) tuner.decide(c.period);
    EXPECT_EQ(tuner.limits(), (TunerLimits{90, 512})) << c.what;
  }
}

TEST(TunerSlo, IdlePeriodsChangeNothing) {
  Tuner tuner = slo_of(100);
  repeat(tuner, 2, 300);
  TunerPeriod idle;
  idle.ttft_p95_ms = 99'999;
  idle.waiting = 5;
  idle.preemptions = 5;
  idle.pages_used_share = 1;
  idle.decode_step_ms = 1000;
  idle.row_ms = 1000;
  for (int i = 0; i < 10'000; ++i) EXPECT_EQ(tuner.decide(idle).reason, TunerReason::kIdle);
  EXPECT_EQ(tuner.limits(), (TunerLimits{90, 512}));
}

TEST(TunerSlo, ALateFirstTokenRaisesWhatIsInItsWay) {
  Tuner tuner = slo_of(100);
  TunerPeriod period = busy_with_prompts(50, 100, 512);
  period.ttft_p95_ms = 9000;
  tuner.decide(period);
  TunerDecision decision = tuner.decide(period);
  EXPECT_EQ(decision.limits, (TunerLimits{100, 537}));  // places there are
  EXPECT_EQ(decision.reason, TunerReason::kTtftOver);
  // Neither limit is in its way, or there is no time: it is just too much load.
  EXPECT_EQ(tuner.decide(period).reason, TunerReason::kTtftNoRoom);
  period.tpot_p95_ms = 240;
  period.prompt_rows_most = 537;
  for (int i = 0; i < 20; ++i) decision = tuner.decide(period);
  EXPECT_EQ(decision.reason, TunerReason::kTtftNoRoom);
}

TEST(TunerSlo, PromptsYieldToThoseWhoWaitForAPlace) {
  Tuner tuner = slo_of(100);
  tuner.decide(busy(50, 300));
  tuner.decide(busy(50, 300));  // 45
  TunerDecision decision;
  for (int i = 0; i < 62; ++i) decision = tuner.decide(busy_with_prompts(40, 230, 400));
  EXPECT_EQ(decision.limits, (TunerLimits{45, 512}));
  decision = tuner.decide(busy_with_prompts(45, 230, 400));
  EXPECT_EQ(decision.limits, (TunerLimits{45, 360}));
  EXPECT_EQ(decision.reason, TunerReason::kPromptsYield);
}

// ---- slo: memory and throughput

TEST(TunerSlo, MemoryPressureLowersAndFreezes) {
  for (const bool preempted : {false, true}) {
    Tuner tuner = slo_of(100);
    TunerPeriod period = busy(60, 100);
    period.pages_used_share = preempted ? 0.9 : 0.96;
    period.preemptions = preempted;
    const TunerDecision decision = tuner.decide(period);
    EXPECT_EQ(decision.limits, (TunerLimits{42, 512}));
    EXPECT_EQ(decision.reason, TunerReason::kMemoryPressure);
    for (int i = 0; i < 10; ++i)
      EXPECT_EQ(tuner.decide(busy(42, 1000)).reason, TunerReason::kFrozen);
    EXPECT_EQ(tuner.limits().running, 42);
  }
}

TEST(TunerSlo, WhoGivesItsPlaceUpWithPagesToSpareIsNoPressure) {
  Tuner tuner = slo_of(100);
  TunerPeriod period = busy(100, 100);
  period.preemptions = 20;  // of the batch kind, for those who are waited for
  for (int i = 0; i < 20; ++i) tuner.decide(period);
  EXPECT_EQ(tuner.limits().running, 100);
  period.pages_used_share = std::nullopt;  // who knows
  EXPECT_EQ(tuner.decide(period).reason, TunerReason::kMemoryPressure);
}

TEST(TunerSlo, GoesBackWhenMoreAtOnceDoLess) {
  Tuner tuner = slo_of(100);
  tuner.decide(busy(60, 300));
  tuner.decide(busy(60, 300));  // 54
  TunerDecision decision;
  int periods = 0;
  std::int64_t highest = 0;
  // Up to 60 sequences each adds its own; beyond they thrash.
  while (decision.reason != TunerReason::kThroughputFell && ++periods < 500) {
    const auto running = static_cast<double>(tuner.limits().running);
    TunerPeriod period = busy(tuner.limits().running, 200);
    period.tokens_s = running <= 60 ? 10 * running : 600 - 30 * (running - 60);
    decision = tuner.decide(period);
    highest = std::max(highest, decision.limits.running);
  }
  EXPECT_EQ(decision.reason, TunerReason::kThroughputFell);
  EXPECT_LE(highest, 70);
  EXPECT_GE(decision.limits.running, 58);
  EXPECT_LE(decision.limits.running, 62);
}

}  // namespace
}  // namespace hearth::ops

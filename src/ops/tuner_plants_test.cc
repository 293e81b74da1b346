// The tuner against 10,000 random engines (plant_fixture.h): targets, costs, models of the cost
// with errors or none, lags, noise, hiccups, pages and loads are all drawn. Each gets three loads:
// too much for it, little, and too much again with another cost of a sequence (longer contexts, or
// shorter). Under too much load and once settled, 100 periods are looked at.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <optional>

#include "ops/plant_fixture.h"
#include "ops/tuner.h"

namespace hearth::ops {
namespace {

constexpr int kPlants = 10'000;
constexpr int kWatched = 100;  // periods

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}
  double even(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random_);
  }
  double log(double low, double high) { return std::exp(even(std::log(low), std::log(high))); }

 private:
  std::mt19937_64 random_;
};

struct Setup {
  PlantShape shape;
  TunerBounds bounds;
  TunerTargets targets;
  bool impossible = false;  // one sequence alone takes longer than the target
};

Setup draw_setup(Draw& draw) {
  Setup setup;
  PlantShape& shape = setup.shape;
  const double target = draw.log(20, 500);
  setup.targets = {.tpot_ms = target, .ttft_ms = draw.log(500, 20'000)};
  setup.bounds.running_max = static_cast<std::int64_t>(draw.log(4, 512));
  setup.impossible = draw.even(0, 1) < 0.05;
  shape.power = draw.even(0.5, 1.2);
  shape.a_ms = target * (setup.impossible ? draw.even(1.2, 2) : draw.log(0.02, 0.8));
  // So many sequences take just the target, so many rows of prompts as well.
  const double running = draw.log(1, 600);
  shape.b_ms = setup.impossible ? target : (target - shape.a_ms) / std::pow(running, shape.power);
  shape.c_ms = target / draw.log(30, 8000);
  shape.prompt = draw.log(20, 4000);
  // A sequence lives for 2 to 40 seconds at the target.
  shape.output = std::min(std::max(draw.log(30, 1500), 2000 / shape.a_ms), 40'000 / target);
  shape.pages = (shape.prompt + shape.output) * draw.log(2, 1000);
  shape.queue_max = draw.log(2, 500);
  shape.lag = draw.even(0.4, 1);
  shape.noise = draw.even(0, 0.15);
  shape.hiccups = draw.even(0, 0.02);
  shape.has_model = draw.even(0, 1) < 0.7;
  shape.decode_error = draw.even(0.85, 1.15);
  shape.row_error = draw.even(0.85, 1.15);
  return setup;
}

double running_at(const PlantShape& shape, double tpot_ms) {
  return std::pow(std::max(0.0, tpot_ms - shape.a_ms) / shape.b_ms, 1 / shape.power);
}

double running_by_pages(const PlantShape& shape) {
  return shape.pages / (shape.prompt + shape.output);
}

struct Watched {
  std::int64_t least = 1 << 30;
  std::int64_t most = 0;
  int turns = 0;
  double running = 0;     // sum of limits
  double tpot_share = 0;  // sum, of the target, at the limits, without noise
  int over = 0;           // periods in which that was over 1.1
  int preempting = 0;
  int saturated = 0;
};

struct Totals {
  int measured_use = 0;
  int low_use = 0;
  int hunting = 0;
  int preempting = 0;
};

class OnePlant {
 public:
  explicit OnePlant(std::uint64_t seed)
      : draw_(seed),
        setup_(draw_setup(draw_)),
        plant_(setup_.shape, seed),
        tuner_(*Tuner::create(TunerMode::kSlo, setup_.bounds, setup_.targets)) {}

  void run(Totals& totals) {
    const double b_ms = setup_.shape.b_ms;
    overload(draw_.even(1.5, 5), totals);
    plant_.shape().b_ms = b_ms * draw_.even(0.6, 1.4);
    const double load = capacity() * draw_.even(0.05, 0.5);
    for (int i = 0; i < 80; ++i) period(load);
    plant_.shape().b_ms = b_ms * draw_.log(0.4, 2.5);
    overload(draw_.even(1.5, 5), totals);
  }

 private:
  // The most that meets the target, in sequences and in requests a second.
  double feasible() {
    const double running = std::min(running_at(plant_.shape(), setup_.targets.tpot_ms),
                                    running_by_pages(plant_.shape()));
    return std::clamp(running, 1.0, static_cast<double>(setup_.bounds.running_max));
  }
  double capacity() {
    return feasible() * 1e3 / (plant_.shape().output * plant_.shape().tpot_ms(feasible(), 0));
  }

  TunerPeriod period(double requests_s) {
    const TunerPeriod period = plant_.run(limits_, requests_s);
    const TunerDecision decision = tuner_.decide(period);
    limits_ = decision.limits;
    reason_ = decision.reason;
    const TunerBounds& bounds = setup_.bounds;
    EXPECT_TRUE(limits_.running >= 1 && limits_.running <= bounds.running_max &&
                limits_.prompt_rows >= bounds.prompt_rows_min &&
                limits_.prompt_rows <= bounds.prompt_rows_max);
    return period;
  }

  Watched watch(double requests_s) {
    Watched watched;
    int direction = 0;
    for (int i = 0; i < kWatched; ++i) {
      const TunerLimits before = limits_;
      const TunerPeriod seen = period(requests_s);
      // At the limit, not with those that still run from before.
      const double limit = static_cast<double>(before.running);
      double tpot_ms = plant_.tpot_ms();
      if (plant_.running() > limit)
        tpot_ms += plant_.shape().tpot_ms(limit, 0) - plant_.shape().tpot_ms(plant_.running(), 0);
      watched.tpot_share += tpot_ms / setup_.targets.tpot_ms;
      watched.over += tpot_ms > 1.1 * setup_.targets.tpot_ms;
      watched.preempting += seen.preemptions > 0;
      watched.saturated += seen.running_most >= before.running && seen.waiting > 0 &&
                           plant_.running() > 0.95 * limit;
      watched.running += static_cast<double>(limits_.running);
      watched.least = std::min(watched.least, limits_.running);
      watched.most = std::max(watched.most, limits_.running);
      const int step = (limits_.running > before.running) - (limits_.running < before.running);
      watched.turns += step * direction < 0;
      if (step != 0) direction = step;
    }
    return watched;
  }

  void overload(double load, Totals& totals) {
    const double requests_s = capacity() * load;
    // It may have to climb there from 1, by one and then by a fiftieth a period, and three periods
    // for each of the first twenty; drain with the life of a sequence several times over; and see
    // one probe fail.
    const double target = setup_.targets.tpot_ms;
    const double climb = 3 * std::min(feasible(), 50.0) +
                         3 * std::log(std::max(1.0, feasible() / 50)) / std::log(1.02);
    const double lives = 6 * plant_.shape().output * target / 1e3;
    const int settling = static_cast<int>(120 + climb + lives);
    for (int i = 0; i < settling; ++i) period(requests_s);
    const Watched watched = watch(requests_s);

    const std::int64_t least = setup_.bounds.running_least(TunerMode::kSlo);
    // With more rows of prompts than the least only where nobody used them, or where pages for two
    // are too few, which comes first.
    const bool stuck = reason_ == TunerReason::kTargetImpossible ||
                       reason_ == TunerReason::kFrozen || reason_ == TunerReason::kMemoryPressure;
    const bool at_least =
        limits_.running == least && (stuck || limits_.prompt_rows == setup_.bounds.prompt_rows_min);
    if (setup_.impossible) {
      EXPECT_EQ(limits_.running, least);
      EXPECT_EQ(watched.most, least);
      EXPECT_EQ(reason_, TunerReason::kTargetImpossible);
      return;
    }
    if (!at_least) {
      EXPECT_LE(watched.tpot_share / kWatched, 1.05);
      EXPECT_LE(watched.over, 25);
    }
    EXPECT_LE(watched.turns, 8);
    totals.hunting += watched.most > watched.least + 2 &&
                      static_cast<double>(watched.most) > 1.3 * static_cast<double>(watched.least);
    EXPECT_LE(watched.preempting, 35);  // one series, from the climb to the level that fits
    totals.preempting += watched.preempting > 5;
    check_use(watched, totals);
  }

  // Where places are what is short. The largest limit that rules and targets leave: TPOT under 0.9
  // of its target with the fewest rows of prompts, pages under 85 %. Below ten, one is forgiven.
  void check_use(const Watched& watched, Totals& totals) {
    const PlantShape& shape = plant_.shape();
    const double rows_ms = shape.c_ms * static_cast<double>(setup_.bounds.prompt_rows_min);
    const double largest =
        std::min({running_at(shape, 0.9 * setup_.targets.tpot_ms - rows_ms),
                  0.85 * running_by_pages(shape), static_cast<double>(setup_.bounds.running_max)});
    if (watched.saturated < 90 || largest < 1) return;
    const double used = (watched.running / kWatched + (largest < 10 ? 1 : 0)) / largest;
    if (shape.has_model) {
      EXPECT_GE(used, 0.8) << largest;
    }
    ++totals.measured_use;
    totals.low_use += used < 0.7;
  }

  Draw draw_;
  Setup setup_;
  Plant plant_;
  Tuner tuner_;
  TunerLimits limits_ = tuner_.limits();
  TunerReason reason_ = TunerReason::kSteady;
};

TEST(TunerPlants, TenThousandSettleWithinTheirTargets) {
  Totals totals;
  for (std::uint64_t seed = 1; seed <= kPlants && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    OnePlant(seed).run(totals);
  }
  // Of two loads each. What is left are those that climb slowly or whose two limits pull against
  // each other for long: without a model of the cost, and with few rows of prompts that cost much.
  RecordProperty("use_measured", totals.measured_use);
  RecordProperty("use_under_70_percent", totals.low_use);
  RecordProperty("band_over_1_3", totals.hunting);
  RecordProperty("preempting_over_5_periods", totals.preempting);
  EXPECT_GE(totals.measured_use, kPlants);
  EXPECT_LE(totals.low_use, totals.measured_use / 200);
  EXPECT_LE(totals.hunting, kPlants / 100);
  EXPECT_LE(totals.preempting, kPlants / 1000);
  fmt::print("use measured {}, under 0.7 {}; band over 1.3 {}; preempting {}\n",
             totals.measured_use, totals.low_use, totals.hunting, totals.preempting);
}

}  // namespace
}  // namespace hearth::ops

// Single scenes on the simulator, where what has to happen can be told in advance.
#include <gtest/gtest.h>

#include <cmath>

#include "base/log.h"
#include "ops/engine_tuner.h"
#include "ops/simulation_fixture.h"

namespace hearth::ops::simulation {
namespace {

engine::GenerateRequest request_of(engine::RequestId id, std::size_t prompt,
                                   std::int32_t max_tokens) {
  engine::GenerateRequest request;
  request.id = id;
  // No two prompts are alike.
  for (std::size_t i = 0; i < prompt; ++i)
    request.prompt.push_back(static_cast<TokenId>(100 + (id * 7919 + i * 31) % 5000));
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

Simulation::Options roomy() {
  Simulation::Options options;
  options.pages = 8000;
  options.costs = {.pass_s = 0.01, .row_s = 0.001, .seen_token_s = 0, .noise = 0};
  options.core.speculate = false;
  return options;
}

TEST(Scenario, UtilisationIsWhatWasDoneOverWhatCouldBe) {
  Simulation::Options options = roomy();
  options.core.unit_times = {.row_s = 0.0005, .logit_row_s = 0.0001, .pass_s = 0.004};
  int periods = 0;
  options.core.tune = [&](const engine::Period& period) -> engine::Tuning {
    ++periods;
    const engine::Work& w = period.work;
    const auto rows = static_cast<double>(w.rows);
    EXPECT_NEAR(period.utilisation.arithmetic,
                (rows * 0.0005 + static_cast<double>(w.logit_rows) * 0.0001) / period.seconds,
                1e-9);
    EXPECT_NEAR(period.utilisation.bandwidth,
                static_cast<double>(w.passes) * 0.004 / period.seconds, 1e-9);
    EXPECT_NEAR(period.utilisation.busy,
                (static_cast<double>(w.passes) * 0.01 + rows * 0.001) / period.seconds, 1e-6);
    return {{64, 4096}, "none"};
  };
  Simulation simulation(options);
  for (engine::RequestId id = 1; id <= 8; ++id)
    simulation.at(0.5 * static_cast<double>(id),
                  [&, id] { simulation.submit(request_of(id, 300, 100)); });
  EXPECT_TRUE(simulation.run(10'000));
  EXPECT_GT(periods, 3);
  EXPECT_EQ(simulation.stats().tunings.at("none"), periods);
}

TEST(Scenario, ANewRequestDoesNotWaitForTheWholeStepOfALongPrompt) {
  Simulation simulation(roomy());
  std::shared_ptr<Listener> brief;
  std::shared_ptr<Listener> lengthy;
  simulation.at(0, [&] { lengthy = simulation.submit(request_of(1, 4000, 4)); });
  simulation.at(0.1, [&] { brief = simulation.submit(request_of(2, 10, 1)); });
  EXPECT_TRUE(simulation.run(10'000));
  // The pass of 512 rows that ran when it came takes 522 ms, the step would have taken 4.1 s.
  EXPECT_LT(brief->queued_ns, 600'000'000);
  EXPECT_LT(brief->ended_ns, lengthy->ended_ns);
}

TEST(Scenario, ADeadlineEndsALongPromptBetweenItsPasses) {
  Simulation simulation(roomy());
  auto request = request_of(1, 4000, 4);
  request.deadline_ns = simulation.now_ns() + 700'000'000;
  std::shared_ptr<Listener> listener;
  simulation.at(0, [&] { listener = simulation.submit(request); });
  EXPECT_TRUE(simulation.run(10'000));
  ASSERT_TRUE(listener->told()[0].error);
  EXPECT_EQ(listener->told()[0].error->code, "deadline_exceeded");
  EXPECT_LT(listener->ended_ns - request.deadline_ns, 530'000'000);
}

// Long prompts arrive beside running answers: their tokens keep the target, and the prompts get on.
TEST(Scenario, TheTunerKeepsItsTargetWhileLongPromptsArrive) {
  log::set_level("off");
  for (const bool tuned : {false, true}) {
    Simulation::Options options = roomy();
    std::vector<double> p95;
    auto tuner = Tuner::create(TunerMode::kSlo, {64, 4096, 16}, {100, 20'000});
    ASSERT_TRUE(tuner);
    tuner->expect(20, 0.8);  // about
    if (tuned) options.core.limits = {tuner->limits().running, tuner->limits().prompt_rows};
    options.core.tune = [&, decide = tune_engine(std::move(*tuner), "m")](
                            const engine::Period& period) -> engine::Tuning {
      if (const auto ns = period.token_intervals.quantile_ns(0.95)) p95.push_back(*ns / 1e6);
      const engine::Tuning tuning = decide(period);
      return tuned ? tuning : engine::Tuning{{64, 4096}, "off"};
    };
    Simulation simulation(options);
    std::vector<std::shared_ptr<Listener>> long_ones;
    simulation.at(0, [&] {
      for (engine::RequestId id = 1; id <= 4; ++id) simulation.submit(request_of(id, 20, 1000));
    });
    for (engine::RequestId id = 10; id < 20; ++id)
      simulation.at(5.0 * static_cast<double>(id - 9),
                    [&, id] { long_ones.push_back(simulation.submit(request_of(id, 2000, 2))); });
    EXPECT_TRUE(simulation.run(100'000));
    ASSERT_GT(p95.size(), 20u);
    double worst = 0;
    for (std::size_t i = 8; i < p95.size(); ++i) worst = std::max(worst, p95[i]);
    if (!tuned) {
      EXPECT_GT(worst, 500);
      continue;
    }
    EXPECT_LT(worst, 105);
    for (const auto& listener : long_ones) EXPECT_TRUE(listener->ended());
  }
}

// Who waits while a single answer runs must not wait for its end, however low the target is.
TEST(Scenario, AnImpossibleTargetLetsPromptsThrough) {
  Simulation::Options options = roomy();
  auto tuner = Tuner::create(TunerMode::kSlo, {64, 4096, 16}, {1, 5000});
  ASSERT_TRUE(tuner);
  options.core.limits = {tuner->limits().running, tuner->limits().prompt_rows};
  options.core.tune = tune_engine(std::move(*tuner), "m");
  Simulation simulation(options);
  std::shared_ptr<Listener> reader;
  std::shared_ptr<Listener> prompt;
  simulation.at(0, [&] { reader = simulation.submit(request_of(1, 20, 5000)); });
  simulation.at(20, [&] { prompt = simulation.submit(request_of(2, 500, 2)); });
  EXPECT_TRUE(simulation.run(100'000));
  EXPECT_LT(prompt->ended_ns, reader->ended_ns);
  EXPECT_LT(prompt->queued_ns, 100'000'000);
}

}  // namespace
}  // namespace hearth::ops::simulation

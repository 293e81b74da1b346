// What becomes of requests and engines when an engine fails or is let go of.
#include <gtest/gtest.h>

#include <atomic>

#include "base/fault_point.h"
#include "engine/engine_fixture.h"
#include "engine/engine_reaper.h"

namespace hearth::engine {
namespace {

TEST(EngineFailure, EveryOpenRequestGetsItsOneErrorAndNewOnesAreRefused) {
  std::mt19937 random(7);
  std::atomic<int> failures = 0;
  EngineOptions options;
  options.running_max = 4;
  options.on_failure = [&] { ++failures; };
  const auto engine = make_engine(tiny_model("llama"), options);
  const auto sink = std::make_shared<Collector>();
  HoldAtFirstEvent hold(*sink);
  // Running, in the queue, and with several choices.
  for (RequestId id = 1; id <= 9; ++id) {
    GenerateRequest request = make_request(id, random_prompt(random, 5 + id), 200);
    if (id == 3) request.choices = 3;
    ASSERT_TRUE(engine->submit(std::move(request), sink));
  }
  hold.wait_reached();
  fault::arm("engine.step", 2);
  hold.release();
  sink->wait(11);
  sink->expect_single_ends(11);
  for (RequestId id = 1; id <= 9; ++id) {
    ASSERT_TRUE(sink->of(id).error.has_value()) << id;
    EXPECT_EQ(sink->of(id).error->code, "engine_failed") << id;
  }
  EXPECT_TRUE(eventually([&] { return failures == 1; }));
  EXPECT_FALSE(engine->stats().healthy);
  EXPECT_EQ(engine->stats().pages_used, 0);
  const Status refused = engine->submit(make_request(10, {1, 2, 3}, 4), sink);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "engine_failed");
  engine->cancel(1);  // of no effect, and harmless
}

TEST(EngineFailure, APromptThatWaitsCountsItsTokens) {
  std::mt19937 random(8);
  EngineOptions options;
  options.running_max = 1;
  options.queue_tokens_max = 100;
  const auto engine = make_engine(tiny_model("llama"), options);
  const auto sink = std::make_shared<Collector>();
  HoldAtFirstEvent hold(*sink);
  ASSERT_TRUE(engine->submit(make_request(1, random_prompt(random, 50), 20), sink));
  hold.wait_reached();  // the first runs
  ASSERT_TRUE(engine->submit(make_request(2, random_prompt(random, 60), 2), sink));
  const Status refused = engine->submit(make_request(3, random_prompt(random, 41), 2), sink);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "queue_full");
  EXPECT_TRUE(engine->submit(make_request(4, random_prompt(random, 40), 2), sink));
  hold.release();
  sink->wait(3);
  expect_empty(*engine);
  EXPECT_TRUE(engine->submit(make_request(5, random_prompt(random, 100), 2), sink));
  sink->wait(4);
}

// The sink holds its engine, as a request over HTTP does: the engine's own thread drops it last.
class Holder final : public EventSink {
 public:
  explicit Holder(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}
  void on_event(Event) override {}

 private:
  std::shared_ptr<Engine> engine_;
};

TEST(EngineReaper, AnEngineMayBeLetGoOfByItsOwnThread) {
  std::mt19937 random(9);
  const auto model = tiny_model("llama");
  for (int round = 0; round < 20; ++round) {
    EngineReaper reaper;
    std::weak_ptr<Engine> seen;
    {
      const std::shared_ptr<Engine> engine = reaper.adopt(make_engine(model, {}));
      seen = engine;
      ASSERT_TRUE(engine->submit(make_request(1, random_prompt(random, 4), 1 + round),
                                 std::make_shared<Holder>(engine)));
    }
    EXPECT_TRUE(eventually([&] { return seen.expired(); }));
  }
  EXPECT_EQ(model.use_count(), 1);  // the reapers waited until their engines were gone
}

TEST(EngineReaper, OnceItHasSettledWhatNobodyHoldsIsGone) {
  const auto model = tiny_model("llama");
  EngineReaper reaper;
  reaper.settle();
  const std::shared_ptr<Engine> held = reaper.adopt(make_engine(model, {}));
  const auto held_uses = model.use_count();
  for (int round = 0; round < 20; ++round) {
    reaper.adopt(make_engine(model, {})).reset();
    reaper.settle();
    EXPECT_EQ(model.use_count(), held_uses);
  }
}

}  // namespace
}  // namespace hearth::engine

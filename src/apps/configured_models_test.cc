#include "apps/configured_models.h"

#include <gtest/gtest.h>

#include "base/cpu.h"
#include "base/fault_point.h"
#include "testing/small_gguf.h"
#include "testing/temp_folder.h"

namespace hearth::apps {
namespace {

class Configured : public ::testing::Test {
 protected:
  ~Configured() override { fault::disarm_all(); }

  ServedOptions entry(const std::string& id, std::int64_t context = 64) const {
    ServedOptions options;
    options.model = path_;
    options.id = id;
    options.context = context;
    options.threads = 2;
    options.cache_mib = 1;
    return options;
  }
  // "" or the error's code.
  std::string configure(const std::vector<ServedOptions>& wanted) {
    auto change = configured_.check(wanted);
    if (!change) return change.error().code;
    const Status done = configured_.apply(*std::move(change));
    return done ? "" : done.error().code;
  }
  std::string served() const {
    std::string out;
    for (const auto& model : models_.list())
      out += fmt::format("{}:{} ", model->id, model->engine->limits().context);
    return out;
  }

  testing::TempFolder folder_;
  const std::string path_ = folder_.write("small.gguf", testing::small_gguf());
  engine::EngineReaper engines_;
  api::ModelSet models_{[](const std::string&) {}};
  ConfiguredModels configured_{models_, engines_, [] {}};
};

TEST_F(Configured, WhatIsNewComesAndWhatIsGoneGoes) {
  EXPECT_EQ(configure({entry("a"), entry("b")}), "");
  EXPECT_EQ(served(), "a:64 b:64 ");
  const engine::Engine* kept = models_.find("b")->engine.get();
  EXPECT_EQ(configure({entry("c"), entry("b"), entry("")}), "");
  EXPECT_EQ(served(), "c:64 b:64 small:64 ");
  EXPECT_EQ(models_.find("b")->engine.get(), kept);
  EXPECT_EQ(configure({}), "");
  EXPECT_EQ(served(), "");
}

TEST_F(Configured, WhatCannotBeOpenedChangesNothing) {
  EXPECT_EQ(configure({entry("a"), entry("b")}), "");
  const engine::Engine* kept = models_.find("a")->engine.get();
  ServedOptions missing = entry("a");
  missing.model = folder_.file("none.gguf");
  EXPECT_NE(configure({missing, entry("c")}), "");
  ServedOptions broken = entry("c");
  broken.model = folder_.write("broken.gguf", testing::small_gguf().substr(0, 1000));
  EXPECT_NE(configure({entry("d"), broken}), "");
  ServedOptions huge = entry("a");
  huge.cache_mib = std::int64_t{1} << 24;
  EXPECT_EQ(configure({huge}), "out_of_memory");
  // Each of them alone would find room.
  ServedOptions half = entry("x");
  half.cache_mib = (available_memory() >> 20) * 2 / 3;
  ServedOptions other_half = half;
  other_half.id = "y";
  EXPECT_EQ(configure({half, other_half}), "out_of_memory");
  EXPECT_EQ(configure({entry("c"), entry("c", 32)}), "invalid_config");
  EXPECT_EQ(served(), "a:64 b:64 ");
  EXPECT_EQ(models_.find("a")->engine.get(), kept);
}

TEST_F(Configured, WhatFailsWhileItLoadsBringsTheOldOnesBack) {
  EXPECT_EQ(configure({entry("a"), entry("b")}), "");
  // The second of those that come; the old ones are loaded after it.
  fault::arm("model.load", 2);
  EXPECT_EQ(configure({entry("c"), entry("a", 32)}), "out_of_memory");
  EXPECT_EQ(served(), "a:64 b:64 ");
  fault::arm("thread.start", 2);  // the engine's, after the pool's
  EXPECT_EQ(configure({entry("b", 32)}), "no_threads");
  EXPECT_EQ(served(), "a:64 b:64 ");
  EXPECT_EQ(configure({entry("b", 32)}), "");
  EXPECT_EQ(served(), "b:32 ");
}

TEST_F(Configured, WhatItsRequestsStillHoldIsNotLoadedAgain) {
  EXPECT_EQ(configure({entry("a")}), "");
  const std::shared_ptr<engine::Engine> held = models_.find("a")->engine;
  fault::arm("model.load", 1);
  EXPECT_EQ(configure({entry("a", 32)}), "out_of_memory");
  EXPECT_EQ(models_.find("a")->engine, held);
}

TEST_F(Configured, ALoadWithoutThreadsOrMemoryIsAnErrorInWords) {
  for (const int nth : {1, 2}) {
    fault::arm("thread.start", nth);
    const auto model = configured_.load(entry("a"));
    ASSERT_FALSE(model) << nth;
    EXPECT_EQ(model.error().code, "no_threads");
    EXPECT_EQ(model.error().message, "no thread can be had for a: the process is at its limit");
  }
  fault::arm("model.load", 1);
  const auto model = configured_.load(entry("a"));
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().message, "there was no memory left while a was loaded");
  EXPECT_TRUE(configured_.load(entry("a")));
}

TEST_F(Configured, NamesWhatHasNoRoom) {
  ServedOptions options = entry("a");
  options.cache_mib = 300;
  const auto opened = open_served(options);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_GT(opened->need.weights, 0);
  EXPECT_LT(opened->need.weights, 1 << 20);
  EXPECT_EQ(opened->need.besides, (300 + 64) << 20);
  const auto told = [](const MemoryNeed& need, std::int64_t available) {
    const Status room = check_room("m", need, available);
    return room ? "" : room.error().code + " " + room.error().message;
  };
  constexpr std::int64_t kMib = 1 << 20;
  EXPECT_EQ(told({900 * kMib, 64 * kMib}, 500 * kMib),
            "out_of_memory m needs about 964 MiB of memory: 900 for its weights, the rest for "
            "keys, values and activations; 500 MiB are available");
  EXPECT_EQ(told({100 * kMib, 864 * kMib}, 500 * kMib),
            "out_of_memory m needs about 964 MiB of memory: 100 for its weights, the rest for "
            "keys, values and activations; 500 MiB are available");
  EXPECT_EQ(told({100 * kMib, 400 * kMib}, 500 * kMib), "");
}

}  // namespace
}  // namespace hearth::apps

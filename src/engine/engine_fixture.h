// For the tests of this folder: tiny models, a sink that keeps everything, requests by chance.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/local_engine.h"
#include "testing/quantized_model.h"

namespace hearth::engine {

// A model of tests/data/tiny or of the folder given, or "quantized" (testing/quantized_model.h).
inline std::shared_ptr<const model::Model> tiny_model(const std::string& name,
                                                      backend::CpuOptions options = {1}) {
  std::string path = (std::filesystem::path(HEARTH_TEST_DATA "/tiny") / name).string();
  if (name == "quantized") {
    path =
        (std::filesystem::temp_directory_path() / fmt::format("hearth_{}.gguf", getpid())).string();
    const Status written = write_quantized_model(path);
    EXPECT_TRUE(written) << written.error().message;
  }
  auto source = model::open_source(path);
  EXPECT_TRUE(source) << source.error().message;
  if (name == "quantized") std::filesystem::remove(path);  // the mapping outlives the name
  auto backend = backend::make_cpu_backend(options);
  EXPECT_TRUE(backend);
  auto loaded = model::Model::load(std::move(*source), std::move(*backend));
  EXPECT_TRUE(loaded) << loaded.error().message;
  return std::shared_ptr<const model::Model>(std::move(*loaded));
}

inline std::unique_ptr<LocalEngine> make_engine(std::shared_ptr<const model::Model> model,
                                                const EngineOptions& options,
                                                const Clock& clock = Clock::system()) {
  auto engine = LocalEngine::create(std::move(model), options, clock);
  EXPECT_TRUE(engine) << engine.error().message;
  return std::move(*engine);
}

// All that a sink was told about one choice.
struct Heard {
  std::vector<TokenId> tokens;
  std::vector<float> logprobs;
  std::vector<std::vector<TokenLogprob>> top;
  int ends = 0;
  int after_end = 0;  // events that must not be
  std::optional<FinishReason> finish;
  std::optional<Error> error;
  std::vector<float> embedding;
  Timings timings;
  std::int32_t cached_tokens = 0;
};
// The text as far as it may be compared: the bits of the numbers too.
inline bool same_text(const Heard& a, const Heard& b) {
  return a.tokens == b.tokens && a.logprobs == b.logprobs && a.finish == b.finish;
}

// Collects the events of all requests it is given with.
class Collector final : public EventSink {
 public:
  void on_event(Event event) override {
    if (react) react(event);
    const std::lock_guard lock(mutex_);
    Heard& heard = heard_[{event.request, event.choice}];
    if (heard.ends > 0) ++heard.after_end;
    if (event.token) {
      heard.tokens.push_back(event.token->id);
      heard.logprobs.push_back(event.token->logprob);
      heard.top.push_back(event.token->top);
    }
    if (event.finish) {
      ++heard.ends;
      ++ends_;
      heard.finish = event.finish;
      heard.error = event.error;
      heard.embedding = event.embedding;
      heard.timings = event.timings;
      heard.cached_tokens = event.cached_tokens;
    }
    changed_.notify_all();
  }

  // Until so many choices have ended, in all.
  void wait(int ends) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::minutes(5), [&] { return ends_ >= ends; }))
        << ends_ << " of " << ends;
  }
  Heard of(RequestId id, std::int32_t choice = 0) {
    const std::lock_guard lock(mutex_);
    return heard_[{id, choice}];
  }
  // Everything that ended did so once and was silent afterwards.
  void expect_single_ends(std::size_t choices) {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(heard_.size(), choices);
    for (const auto& [key, heard] : heard_) {
      EXPECT_EQ(heard.ends, 1) << key.first << " " << key.second;
      EXPECT_EQ(heard.after_end, 0) << key.first << " " << key.second;
    }
  }

  std::function<void(const Event&)> react;  // on the engine's thread, first

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<RequestId, std::int32_t>, Heard> heard_;
  int ends_ = 0;
};

// Holds the engine's thread at the first event of request 1, until it is released.
class HoldAtFirstEvent {
 public:
  explicit HoldAtFirstEvent(Collector& sink) {
    sink.react = [this, wait = go_on_.get_future().share(), n = 0](const Event& event) mutable {
      if (event.request != 1 || n++ > 0) return;
      reached_.set_value();
      wait.wait();
    };
  }
  void wait_reached() { reached_.get_future().wait(); }
  void release() { go_on_.set_value(); }

 private:
  std::promise<void> reached_;
  std::promise<void> go_on_;
};

inline std::vector<TokenId> random_prompt(std::mt19937& random, std::size_t size,
                                          TokenId vocab = 256) {
  std::vector<TokenId> out(size);
  for (TokenId& id : out) id = static_cast<TokenId>(random()) & (vocab - 1);
  return out;
}

inline GenerateRequest make_request(RequestId id, std::vector<TokenId> prompt,
                                    std::int32_t max_tokens) {
  GenerateRequest request;
  request.id = id;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

// One request alone, on an engine that has seen nothing else.
inline std::vector<Heard> alone(const std::shared_ptr<const model::Model>& model,
                                const EngineOptions& options, GenerateRequest request) {
  const auto engine = make_engine(model, options);
  const auto sink = std::make_shared<Collector>();
  const RequestId id = request.id;
  const std::int32_t choices = request.choices;
  EXPECT_TRUE(engine->submit(std::move(request), sink));
  sink->wait(choices);
  std::vector<Heard> out;
  for (std::int32_t c = 0; c < choices; ++c) out.push_back(sink->of(id, c));
  return out;
}

// The engine reports its state after a step, not with the last event.
inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 20'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

inline void expect_empty(const LocalEngine& engine) {
  EXPECT_TRUE(eventually([&] {
    const EngineStats s = engine.stats();
    return s.pages_used == 0 && s.running == 0 && s.waiting == 0;
  })) << engine.stats().pages_used
      << " pages, " << engine.stats().running << " running, " << engine.stats().waiting
      << " waiting";
}

}  // namespace hearth::engine

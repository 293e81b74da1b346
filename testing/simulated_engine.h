// An engine without a model: tokens follow from the prompt or from a script, one per choice and
// step. Obeys the contract of engine/engine.h, so that net/ and api/ can be tested without weights.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "engine/engine.h"

namespace hearth::testing {

// What one choice will say.
struct Script {
  std::vector<engine::TokenId> tokens;
  engine::FinishReason finish = engine::FinishReason::kStop;  // after them, if max_tokens allows
  std::optional<Error> error;                                 // with kError
};

struct SimulatedOptions {
  engine::EngineLimits limits{.context = 512, .vocab = 260, .queue_requests = 64};
  std::chrono::microseconds step{0};     // between tokens
  std::chrono::microseconds prefill{0};  // before a request's first token; the others wait
  // Empty: letters from a hash of prompt and choice, as many as max_tokens.
  std::function<Script(const engine::GenerateRequest& request, int choice)> script;
};

class SimulatedEngine final : public engine::Engine {
 public:
  explicit SimulatedEngine(SimulatedOptions options = {});
  ~SimulatedEngine() override;  // open choices end as kCancelled

  Status submit(engine::GenerateRequest request, std::shared_ptr<engine::EventSink> sink) override;
  void cancel(engine::RequestId id) override;
  void cancel_choice(engine::RequestId id, std::int32_t choice) override;
  engine::EngineStats stats() const override;
  const engine::EngineLimits& limits() const override { return options_.limits; }

  void set_healthy(bool healthy) { healthy_ = healthy; }
  std::int64_t submitted() const { return submitted_; }
  std::int64_t cancelled_choices() const { return cancelled_choices_; }  // before their own end
  engine::GenerateRequest last_request() const;
  // True: no choice is open any more.
  bool wait_idle(std::chrono::milliseconds at_most) const;

 private:
  struct Running {
    engine::RequestId request = 0;
    int choice = 0;
    std::vector<float> embedding;  // of a request that wants nothing else
    Script script;
    std::size_t next = 0;
    std::int32_t max_tokens = 0;
    std::int32_t top_logprobs = -1;
    bool cancelled = false;
    bool prefilled = false;
    std::shared_ptr<engine::EventSink> sink;
  };
  void run();
  // The choice's next event; true if it was the last.
  bool step(Running& running, engine::Event& event);

  const SimulatedOptions options_;
  std::atomic<bool> healthy_{true};
  std::atomic<std::int64_t> submitted_{0};
  std::atomic<std::int64_t> cancelled_choices_{0};
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<Running> running_;
  engine::EngineStats stats_;  // what only grows
  engine::GenerateRequest last_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace hearth::testing

// One generating request between an engine and an answer. The engine's thread only queues events;
// they are worked off on a pool, one request on one thread at a time.
//
// Counting: completion_tokens are the tokens that the engine sent, up to and including the one that
// completed a stop string. An end-of-text token is not sent and not counted (vLLM counts it), so
// that the count agrees with the logprobs and the tokens of the text.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/choice_text.h"
#include "api/metrics.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task_pool.h"
#include "engine/engine.h"

namespace hearth::api {

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;  // of all choices
  std::int64_t cached_tokens = 0;
};

// What becomes of the text. Called by one thread at a time, in order.
class GenerationOutput {
 public:
  virtual ~GenerationOutput() = default;
  // A delta of a choice, never empty unless it ends the choice (`finish`). False: nobody wants the
  // rest.
  virtual bool delta(int choice, Delta delta, std::optional<engine::FinishReason> finish) = 0;
  // Exactly one of these ends it. `timings` are those of the choice that took longest.
  virtual void done(const Usage& usage, const engine::Timings& timings) = 0;
  virtual void failed(const Error& error) = 0;
};

class Generation final : public engine::EventSink, public std::enable_shared_from_this<Generation> {
 public:
  Generation(std::shared_ptr<engine::Engine> engine,
             std::shared_ptr<const text::Tokenizer> tokenizer, std::shared_ptr<TaskPool> pool,
             engine::GenerateRequest request, std::vector<std::string> stop,
             std::unique_ptr<GenerationOutput> output, std::shared_ptr<ModelMetrics> metrics,
             const Clock& clock);

  void start();   // submits; a refusal goes to the output
  void cancel();  // thread-safe: the client is gone, the output gets nothing more

  void on_event(engine::Event event) override;

 private:
  struct Choice {
    ChoiceText text;
    bool told = false;   // its finish went to the output
    bool ended = false;  // the engine's terminal event has come
    std::int64_t first_token_ns = 0;
    std::int64_t last_token_ns = 0;
  };

  std::int64_t now_ns() const { return clock_.now().time_since_epoch().count(); }
  void drain();
  void handle(engine::Event& event);
  void handle_finish(engine::Event& event, Choice& choice);
  void measure_token(const engine::Event& event, Choice& choice);
  void measure_end(const engine::Event& event, const Choice& choice);
  void tell(int index, Choice& choice, Delta delta, std::optional<engine::FinishReason> finish);
  void fail_with(const Error& error);
  void finish_if_complete();

  const std::shared_ptr<engine::Engine> engine_;
  const std::shared_ptr<TaskPool> pool_;
  const engine::RequestId id_;
  const std::int64_t deadline_ns_;
  const Clock& clock_;

  std::mutex mutex_;  // guards the queue
  std::vector<engine::Event> queue_;
  bool scheduled_ = false;
  std::optional<engine::GenerateRequest> request_;  // until start()

  // Only on the draining thread.
  std::vector<Choice> choices_;
  std::unique_ptr<GenerationOutput> output_;  // null once it has got its last call
  Usage usage_;
  engine::Timings timings_;
  std::int64_t submitted_ns_ = 0;
  const std::shared_ptr<ModelMetrics> metrics_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace hearth::api

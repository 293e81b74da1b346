// An engine on a model in this process: one thread that plans, computes, samples and reports.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/engine_core.h"
#include "engine/kv_pool.h"
#include "engine/service_rate.h"
#include "model/model.h"

namespace hearth::engine {

struct EngineOptions {
  std::int64_t context = 0;              // 0: the model's own, at most kDefaultContextMax
  std::int64_t batch_tokens_max = 4096;  // rows of one step
  std::int64_t running_max = 64;         // choices in the batch
  Admission admission = Admission::kFair;
  std::int64_t queue_requests_max = 1024;   // waiting; more: "queue_full"
  std::int64_t queue_tokens_max = 1 << 20;  // of the prompts that wait; more: "queue_full"
  std::int64_t cache_bytes = 0;  // of keys and values; 0: a quarter of the memory at hand
  // Of them what may stay for prompts that begin alike when no request uses it; < 0: as much as the
  // weights take.
  std::int64_t prefix_cache_bytes = -1;
  bool speculate = true;  // engine/speculation.h
  // Guesses too, on the same threads (Backend::beside); null: none. A fifth of cache_bytes is its.
  std::shared_ptr<const model::Model> draft;
  UnitTimes unit_times;              // for stats().utilisation
  std::optional<LiveLimits> limits;  // to begin with; none: the two above
  Tune tune = nullptr;               // called on the engine's thread; ops/tuner.h
  // Called once, on the engine's thread, after a fatal error has ended everything that was open:
  // stats().healthy is false from then on, and submit() refuses with "engine_failed".
  std::function<void()> on_failure = nullptr;
};
inline constexpr std::int64_t kDefaultContextMax = 8192;

class DraftModel;

class LocalEngine final : public Engine {
 public:
  static Result<std::unique_ptr<LocalEngine>> create(std::shared_ptr<const model::Model> model,
                                                     const EngineOptions& options,
                                                     const Clock& clock = Clock::system());
  ~LocalEngine() override;  // open requests end as cancelled

  Status submit(GenerateRequest request, std::shared_ptr<EventSink> sink) override;
  void cancel(RequestId id) override;
  void cancel_choice(RequestId id, std::int32_t choice) override;
  EngineStats stats() const override;
  const EngineLimits& limits() const override { return limits_; }

  std::int64_t cache_bytes() const { return cache_bytes_; }  // the draft model's too

 private:
  struct Submit {
    std::shared_ptr<RequestState> state;
  };
  struct Cancel {
    RequestId id;
    std::int32_t choice;  // -1: all
  };
  using Message = std::variant<Submit, Cancel>;

  LocalEngine(std::shared_ptr<const model::Model> model, const EngineOptions& options,
              std::unique_ptr<KvPool> pool, std::shared_ptr<DraftModel> drafter,
              std::int64_t context, const Clock& clock);

  Status check_queue(RequestId id, std::int64_t prompt_tokens) const;  // under the lock
  void post(Message message);
  void loop();
  void work();  // until stopped; throws what the C++ library or a backend throws
  void end_all(FinishReason reason, const std::optional<Error>& error);
  void handle_taken();
  void handle(const Message& message);
  void count_queue();
  void publish();
  std::int64_t now_ns() const { return clock_.now().time_since_epoch().count(); }

  const std::shared_ptr<const model::Model> model_;
  const Clock& clock_;
  EngineLimits limits_;
  const std::int64_t accepted_max_;  // what may wait and what may run
  const std::int64_t queue_tokens_max_;
  const std::function<void()> on_failure_;
  const std::int64_t cache_bytes_;
  KvPool& pool_;  // of core_
  EngineCore core_;
  std::vector<Message> taken_;  // out of the mailbox, the first `handled_` of them done
  std::size_t handled_ = 0;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::vector<Message> mailbox_;
  std::int64_t accepted_ = 0;       // submitted requests that the scheduler has not seen the end of
  std::int64_t queued_tokens_ = 0;  // prompts that no step has begun
  ServiceRate rate_;
  bool stopping_ = false;
  EngineStats stats_;
  std::int64_t stepped_ns_ = 0;

  std::thread thread_;  // last: uses all of the above
};

}  // namespace hearth::engine

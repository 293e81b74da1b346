// The answer to /v1/embeddings: one request to the engine per input, one document when all are
// done.
//
// An embedding is the hidden state of the input's last token after the model's final norm, brought
// to length 1 (last-token pooling, as vLLM does for models of this kind).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/metrics.h"
#include "base/result.h"
#include "base/task_pool.h"
#include "engine/engine.h"
#include "net/responder.h"

namespace hearth::api {

struct EmbeddingInfo {
  std::string model;  // as served
  net::RequestName request;
  bool base64 = false;  // of float32, little-endian; else a list of numbers
};

class Embeddings final : public engine::EventSink, public std::enable_shared_from_this<Embeddings> {
 public:
  // The ids of `requests` follow one another. There is at least one.
  Embeddings(std::shared_ptr<engine::Engine> engine, std::shared_ptr<TaskPool> pool,
             std::vector<engine::GenerateRequest> requests, EmbeddingInfo info,
             net::Responder responder, std::shared_ptr<ModelMetrics> metrics);

  void start();   // submits; if one is refused, the others are given up and the refusal is answered
  void cancel();  // thread-safe: the client is gone

  void on_event(engine::Event event) override;

 private:
  struct Input {
    std::int64_t tokens = 0;
    std::vector<float> embedding;
  };

  void end_one(std::optional<Error> error);  // under the mutex
  void answer();                             // when all have ended

  const std::shared_ptr<engine::Engine> engine_;
  const std::shared_ptr<TaskPool> pool_;
  const EmbeddingInfo info_;
  const std::shared_ptr<ModelMetrics> metrics_;
  const engine::RequestId first_id_;
  std::vector<engine::GenerateRequest> requests_;  // until start()
  std::int64_t submitted_ns_ = 0;
  std::atomic<bool> cancelled_{false};

  std::mutex mutex_;  // guards what follows
  net::Responder responder_;
  std::vector<Input> inputs_;
  std::size_t open_;            // inputs that have not ended
  std::optional<Error> error_;  // the first
};

}  // namespace hearth::api

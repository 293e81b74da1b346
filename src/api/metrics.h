// What the server counts, as Prometheus reads it (text format 0.0.4). docs/metrics.md lists every
// name; vLLM's are used where it has one. What only this process's parts know (queues, pages,
// connections, memory) is asked for when the text is made and costs nothing in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/messages.h"
#include "net/server.h"

namespace hearth::api {

// One choice of a request, as it ended.
struct ChoiceEnd {
  engine::FinishReason reason = engine::FinishReason::kStop;
  std::int64_t prompt_tokens = 0;
  std::int64_t generated_tokens = 0;
  engine::Timings timings;
  std::int64_t total_ns = 0;   // submitted -> end
  std::int64_t decode_ns = 0;  // first token -> last token
};

// The series of one model. Thread-safe. Whoever holds it may go on counting after the model is
// forgotten.
class ModelMetrics {
 public:
  ModelMetrics(const std::string& model, std::int64_t context);
  ~ModelMetrics();

  void first_token(std::int64_t since_submit_ns);
  void next_token(std::int64_t since_last_ns);
  void choice_ended(const ChoiceEnd& end);  // latencies and sizes: only kStop and kLength

 private:
  friend class Metrics;
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

// A part of the process as it is now.
struct ModelState {
  std::string id;
  std::int64_t context = 0;
  engine::EngineStats stats;
};
struct ServerState {
  std::vector<ModelState> models;
  net::ServerStats connections;
  std::size_t text_queue = 0;
  std::size_t text_queue_max = 0;
};

// Thread-safe.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  // Made when first asked for; histograms of tokens reach up to `context`.
  std::shared_ptr<ModelMetrics> model(const std::string& id, std::int64_t context);
  void forget(const std::string& id);  // the model is no longer served; later it starts from zero

  // `route` is a route's pattern, never a path that a client made up; `method` may be anything.
  void count_request(std::string_view route, std::string_view method, int status);
  void count_error(std::string_view code);  // a word of this program's own
  void count_config_reload(bool taken);

  // Only the models of `state` are shown.
  std::string text(const ServerState& state);
  static const char* content_type();

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::api

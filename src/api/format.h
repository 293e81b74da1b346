// The JSON of answers: /generate, /v1/completions, /v1/chat/completions; whole and in chunks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/choice_text.h"
#include "api/generation.h"
#include "base/json.h"
#include "net/http.h"

namespace hearth::api {

enum class AnswerKind : std::uint8_t { kGenerate, kCompletion, kChat };

struct AnswerInfo {
  AnswerKind kind = AnswerKind::kGenerate;
  std::string id;            // "cmpl-..." or "chatcmpl-..."
  std::string model;         // as served
  std::int64_t created = 0;  // Unix time, seconds
  net::RequestName request;
  int choices = 1;
  bool stream = false;
  bool include_usage = false;
  bool logprobs = false;
};

struct FinishedChoice {
  std::string text;
  std::vector<TokenInfo> tokens;
  engine::FinishReason finish = engine::FinishReason::kStop;
};

// One per answer: it counts text offsets.
class Formatter {
 public:
  virtual ~Formatter() = default;
  // Chunks of a stream, in order: opening() once, text() and finish() per choice, closing() once.
  virtual std::vector<OrderedJson> opening() = 0;
  virtual OrderedJson text(int choice, const Delta& delta) = 0;
  virtual std::optional<OrderedJson> finish(int choice, engine::FinishReason reason) = 0;
  virtual std::optional<OrderedJson> closing(const Usage& usage,
                                             const engine::Timings& timings) = 0;
  // The answer in one piece.
  virtual OrderedJson whole(const std::vector<FinishedChoice>& choices, const Usage& usage,
                            const engine::Timings& timings) = 0;
};

std::unique_ptr<Formatter> make_formatter(const AnswerInfo& info);

}  // namespace hearth::api

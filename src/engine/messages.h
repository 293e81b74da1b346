// What crosses between the front (HTTP, terminal) and an engine. Plain values without pointers: the
// front may live in another process. Every request gets exactly one terminal event per choice, and
// after the last of them nothing more.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hearth::engine {

using TokenId = std::int32_t;
using RequestId = std::uint64_t;

struct SamplingParams {
  float temperature = 0.f;         // 0: greedy; <= 100
  std::int32_t top_k = 0;          // 0: off
  float top_p = 1.f;               // (0, 1]
  float min_p = 0.f;               // [0, 1]
  float repetition_penalty = 1.f;  // (0, 10]; over prompt and output (CTRL, arXiv 1909.05858)
  float presence_penalty = 0.f;    // [-2, 2]; over the output
  float frequency_penalty = 0.f;   // [-2, 2]; over the output
  std::vector<std::pair<TokenId, float>> logit_bias;  // added before everything else
  std::uint64_t seed = 0;          // the same seed gives the same text, whatever else runs
  std::int32_t top_logprobs = -1;  // -1: none; 0: the chosen token's; n: and the n best (<= 20)
};

enum class Priority : std::uint8_t { kInteractive, kBatch };

struct GenerateRequest {
  RequestId id = 0;      // given by the front; unique within an engine
  std::string trace_id;  // the client's X-Request-Id; for logs only
  std::string identity = "local";
  std::string tenant_salt;  // set by the server from the identity
  std::string model;        // as served, with version
  std::string version;
  std::string adapter;  // empty: none
  Priority priority = Priority::kInteractive;
  double weight = 1;             // of its identity's share when many wait; > 0
  std::int64_t deadline_ns = 0;  // monotonic (Clock); 0: none
  std::vector<TokenId> prompt;   // at least one
  std::int32_t max_tokens = 16;  // per choice, >= 1
  std::int32_t choices = 1;      // n
  bool ignore_eos = false;
  // No text is wanted: the one choice ends, as by kStop, in an event with an embedding and no
  // token.
  bool embed = false;
  SamplingParams sampling;
};

struct TokenLogprob {
  TokenId id;
  float logprob;
};

struct TokenOut {
  TokenId id = -1;
  float logprob = 0.f;            // of the model's distribution before penalties and truncation
  std::vector<TokenLogprob> top;  // best first
};

enum class FinishReason : std::uint8_t {
  kStop,    // an end-of-text token (not among the tokens sent) or, set by the front, a stop string
  kLength,  // max_tokens or the context is full
  kCancelled,
  kError,
};

struct Timings {
  std::int64_t queued_ns = 0;   // submitted -> first scheduled
  std::int64_t prefill_ns = 0;  // first scheduled -> first token
  std::int64_t decode_ns = 0;   // first token -> end
};

struct Event {
  RequestId request = 0;
  std::int32_t choice = 0;
  std::optional<TokenOut> token;  // absent in an event that only ends
  // (embedding width) with embed: the hidden state of the prompt's last token after the model's
  // final norm, which is what the next token is told from.
  std::vector<float> embedding;
  std::optional<FinishReason> finish;  // present in the choice's last event
  std::optional<Error> error;          // with kError
  Timings timings;                     // with finish
  std::int32_t cached_tokens = 0;      // with finish: prompt tokens taken from the prefix cache
  std::int64_t made_ns = 0;            // monotonic (Clock): when the engine had it
};

// How many steps had how many rows: counts[i] of them at most bounds[i], the last one all others.
struct StepRows {
  static constexpr std::array<std::int64_t, 13> kBounds{1,   8,    16,   32,   64,   128,  256,
                                                        512, 1024, 2048, 4096, 8192, 16384};
  std::array<std::int64_t, kBounds.size() + 1> counts{};
  std::int64_t rows = 0;  // of all steps

  void add(std::int64_t step_rows) {
    const auto* bound = std::lower_bound(kBounds.begin(), kBounds.end(), step_rows);
    ++counts[static_cast<std::size_t>(bound - kBounds.begin())];
    rows += step_rows;
  }
};

// What passes through the model were made of.
struct Work {
  std::int64_t passes = 0;      // each reads all weights once
  std::int64_t rows = 0;        // tokens through all layers
  std::int64_t logit_rows = 0;  // tokens through the head
  std::int64_t kv_bytes = 0;    // of keys and values that had to be read
  std::int64_t busy_ns = 0;     // in passes

  Work since(const Work& earlier) const {
    return {passes - earlier.passes, rows - earlier.rows, logit_rows - earlier.logit_rows,
            kv_bytes - earlier.kv_bytes, busy_ns - earlier.busy_ns};
  }
};

// The least time for it on this machine, at its measured peaks; all 0: not measured.
struct UnitTimes {
  double row_s = 0;        // the arithmetic of a token through all layers
  double logit_row_s = 0;  // and through the head
  double context_s = 0;    // for such a token, of each one before it that it attends to
  double pass_s = 0;       // reading all weights
  double kv_byte_s = 0;

  // The context with which a row takes twice as long as without.
  double row_doubling() const { return context_s > 0 ? row_s / context_s : 0; }
  double arithmetic_s(const Work& w) const {
    return static_cast<double>(w.rows) * row_s + static_cast<double>(w.logit_rows) * logit_row_s;
  }
  double reading_s(const Work& w) const {
    return static_cast<double>(w.passes) * pass_s + static_cast<double>(w.kv_bytes) * kv_byte_s;
  }
};

// Of the last second or so, each from 0 to 1 (a peak is what was measured once: a little more can
// happen).
struct Utilisation {
  double arithmetic = 0;  // useful operations against the measured peak
  double bandwidth = 0;   // bytes that had to be read against the measured peak
  double busy = 0;        // time in passes
};

// What may be changed while an engine runs (ops/tuner.h does). Both at least 1, and never above
// what the engine was made with.
struct LiveLimits {
  std::int64_t running = 0;  // choices in the batch
  // Of one step in which answers go on too, counted as if no context came before them.
  std::int64_t prompt_rows = 0;
};

struct EngineStats {
  std::int64_t running = 0;  // choices in the batch
  std::int64_t waiting = 0;  // requests in the queue
  std::int64_t pages_total = 0;
  std::int64_t pages_used = 0;
  std::int64_t prompt_tokens = 0;  // computed since the start
  std::int64_t generated_tokens = 0;
  std::int64_t pages_kept = 0;       // used by nobody, kept for a prompt that begins alike
  std::int64_t prefix_queries = 0;   // prompt tokens that were looked for in them, since the start
  std::int64_t prefix_hits = 0;      // those of them that were there
  std::int64_t preemptions = 0;      // choices that lost their pages to older ones, since the start
  std::int64_t drafts = 0;           // guessed tokens that were computed, since the start
  std::int64_t drafts_accepted = 0;  // those of them that were right
  Work work;                         // since the start
  Utilisation utilisation;
  LiveLimits limits;                            // in force
  std::map<std::string, std::int64_t> tunings;  // decisions of the tuner by reason
  StepRows steps;                               // since the start
  bool healthy = true;                          // false once the engine met a fatal error
};

struct EngineLimits {
  std::int64_t context = 0;  // prompt + output tokens of one choice
  std::int64_t vocab = 0;
  std::int64_t queue_requests = 0;  // more than this waiting: kExhausted, code "queue_full"
};

}  // namespace hearth::engine

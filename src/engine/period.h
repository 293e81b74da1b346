// What happened in about a second: what the live limits are chosen from (ops/tuner.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/latency_histogram.h"
#include "engine/messages.h"

namespace hearth::engine {

struct Period {
  double seconds = 0;
  LatencyHistogram token_intervals;  // of one answer, from token to token
  LatencyHistogram first_tokens;     // from submission
  Work work;
  Utilisation utilisation;
  std::int64_t preemptions = 0;
  std::int64_t running_most = 0;      // choices at once
  std::int64_t prompt_rows_most = 0;  // in one step in which answers went on too
  std::int64_t waiting = 0;           // at its end
  double pages_used_most = 0;         // share of all pages
  // A step without prompts takes `decode_step_s`, each row of a prompt beside it took
  // `prompt_row_s` more; 0: not known.
  double decode_step_s = 0;
  double prompt_row_s = 0;
};

struct Tuning {
  LiveLimits limits;
  std::string reason;  // one word or a few, the label of a metric
};
using Tune = std::function<Tuning(const Period&)>;

inline constexpr std::int64_t kPeriodNs = 1'000'000'000;

}  // namespace hearth::engine

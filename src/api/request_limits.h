// How much a request may ask for. The operator's choice (hearth.toml, [requests]); /openapi.json
// states them. Bounds that follow from what a field means, such as top_p's 0 to 1, are not here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace hearth::api {

struct RequestLimits {
  std::size_t json_depth_max = 64;
  std::int64_t choices_max = 128;  // n, best_of
  std::int64_t max_tokens_max = std::numeric_limits<std::int32_t>::max();
  // n * max_tokens * (1 + logprobs): what an answer can make the server hold.
  std::int64_t output_tokens_max = 1 << 19;
  std::int64_t top_logprobs_max = 20;
  std::int64_t top_k_max = std::numeric_limits<std::int32_t>::max();
  double temperature_max = 100;
  double repetition_penalty_min = 0.01;
  double repetition_penalty_max = 10;
  double penalty_max = 2;       // presence and frequency, of either sign
  double logit_bias_max = 100;  // of either sign
  std::size_t logit_bias_entries_max = 4096;
  std::size_t stop_strings_max = 16;
  std::size_t stop_characters_max = 1024;  // each
  std::size_t inputs_max = 256;            // of one request for embeddings
};

}  // namespace hearth::api

// From logits to a token. Pure: the same logits, parameters, history and draw give the same token.
// Order: logit_bias, penalties, temperature, min-p, top-k, top-p, one draw.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "engine/block_index.h"
#include "engine/messages.h"

namespace hearth::engine {

// What the penalties look at.
struct TokenHistory {
  struct Seen {
    std::int32_t in_output = 0;  // how often
  };
  std::unordered_map<TokenId, Seen> tokens;  // of prompt and output; empty when no penalty is on
};

inline bool has_penalties(const SamplingParams& p) {
  return p.repetition_penalty != 1.f || p.presence_penalty != 0.f || p.frequency_penalty != 0.f;
}

// A number in [0, 1) that depends on (seed, choice, index of the output token) alone, never on what
// else runs: SplitMix64 (Steele et al., OOPSLA 2014) used as a counter-based generator.
double uniform_draw(std::uint64_t seed, std::int32_t choice, std::int64_t index);

// Reused between calls.
struct SamplerScratch {
  struct Candidate {
    float weight;  // e^((logit - largest) / temperature)
    TokenId id;
    // Heavier first; equal weights by id, so that ties do not depend on the algorithm.
    bool operator<(const Candidate& other) const {
      return weight != other.weight ? weight > other.weight : id < other.id;
    }
  };
  std::vector<float> logits;
  std::vector<float> weights;
  BlockIndex blocks;
  std::vector<TokenId> ids;
  std::vector<Candidate> candidates;
};

// -1: the logits hold a NaN, or nothing can be chosen. `greedy` is the argmax of the raw logits
// (-1: NaN), which the backend has found already. Without truncation no order is made; with it only
// of the tokens that come into question.
TokenId sample(const backend::Backend& backend, std::span<const float> logits, TokenId greedy,
               const SamplingParams& params, const TokenHistory& history, double draw,
               SamplerScratch& scratch);

// log softmax of the raw logits at `id`, and of the `top` best tokens.
TokenOut with_logprobs(std::span<const float> logits, TokenId id, float logsumexp, int top,
                       SamplerScratch& scratch);

}  // namespace hearth::engine

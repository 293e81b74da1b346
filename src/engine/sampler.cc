#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hearth::engine {
namespace {

using Candidate = SamplerScratch::Candidate;

std::uint64_t splitmix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

void apply_history(const SamplingParams& params, const TokenHistory& history,
                   std::vector<float>& logits) {
  for (const auto& [id, seen] : history.tokens) {
    if (id < 0 || static_cast<std::size_t>(id) >= logits.size()) continue;
    float& logit = logits[static_cast<std::size_t>(id)];
    logit = logit > 0.f ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    if (seen.in_output > 0)
      logit -=
          params.presence_penalty + params.frequency_penalty * static_cast<float>(seen.in_output);
  }
}

// Weights of the tokens that may be drawn, of which those are left that truncation leaves: heaviest
// first as far as it needs order, else by ids, but never in an order that an algorithm left behind.
void truncate(const SamplingParams& params, SamplerScratch& scratch) {
  std::vector<Candidate>& out = scratch.candidates;
  double total = 0;
  const auto collect = [&](float least) {
    scratch.ids.clear();
    scratch.blocks.at_least(least, scratch.ids);
    out.clear();
    total = 0;
    for (const TokenId id : scratch.ids) {
      const float weight = scratch.weights[static_cast<std::size_t>(id)];
      out.push_back({weight, id});
      total += static_cast<double>(weight);
    }
  };
  // min-p is relative to the best token's weight, which is 1; a weight of 0 is never drawn.
  const float least = std::max(params.min_p, std::numeric_limits<float>::min());
  const auto p = static_cast<double>(params.top_p);
  const auto k = static_cast<std::size_t>(params.top_k);
  if (params.top_k > 0 && k < scratch.weights.size()) {
    collect(std::max(least, scratch.blocks.bound_of_largest(k)));
    if (k < out.size()) {
      std::nth_element(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(k), out.end());
      out.resize(k);
      total = 0;
      for (const Candidate& c : out) total += static_cast<double>(c.weight);
    }
  } else if (params.top_p < 1.f && params.min_p == 0.f) {
    // Mostly a few tokens hold that share: lighter ones are looked at only if they do not.
    float bound = 1.f / 64;
    for (collect(bound); total < p * scratch.blocks.total() && bound > least; collect(bound))
      bound = std::max(least, bound / 16);
    total = scratch.blocks.total();
  } else {
    collect(least);
  }
  std::sort(out.begin(), out.end(), [&](const Candidate& a, const Candidate& b) {
    return params.top_p < 1.f ? a < b : a.id < b.id;
  });
  if (params.top_p < 1.f) {
    double sum = 0;
    std::size_t n = 0;
    while (n < out.size() && (n == 0 || sum < p * total))
      sum += static_cast<double>(out[n++].weight);
    out.resize(n);
  }
}

}  // namespace

double uniform_draw(std::uint64_t seed, std::int32_t choice, std::int64_t index) {
  const std::uint64_t stream = splitmix(seed ^ splitmix(static_cast<std::uint64_t>(choice) + 1));
  const std::uint64_t bits = splitmix(stream + static_cast<std::uint64_t>(index));
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

TokenId sample(const backend::Backend& backend, std::span<const float> logits, TokenId greedy,
               const SamplingParams& params, const TokenHistory& history, double draw,
               SamplerScratch& scratch) {
  if (greedy < 0) return -1;
  if (!params.logit_bias.empty() || has_penalties(params)) {
    scratch.logits.assign(logits.begin(), logits.end());
    for (const auto& [id, bias] : params.logit_bias)
      if (id >= 0 && static_cast<std::size_t>(id) < logits.size())
        scratch.logits[static_cast<std::size_t>(id)] += bias;
    if (has_penalties(params)) apply_history(params, history, scratch.logits);
    logits = scratch.logits;
    greedy = static_cast<TokenId>(backend.argmax(logits));
    if (greedy < 0) return -1;
  }
  const float largest = logits[static_cast<std::size_t>(greedy)];
  if (!std::isfinite(largest)) return -1;
  if (params.temperature == 0.f) return greedy;

  scratch.weights.resize(logits.size());
  const float scale = std::min(1.f / params.temperature, std::numeric_limits<float>::max());
  backend.exponentials(logits, largest, scale, scratch.weights);
  scratch.blocks.build(scratch.weights);
  if (params.top_k == 0 && params.top_p >= 1.f && params.min_p == 0.f)
    return scratch.blocks.draw(draw);

  truncate(params, scratch);
  double total = 0;
  for (const Candidate& c : scratch.candidates) total += static_cast<double>(c.weight);
  double rest = draw * total;
  for (const Candidate& c : scratch.candidates) {
    rest -= static_cast<double>(c.weight);
    if (rest < 0) return c.id;
  }
  return scratch.candidates.back().id;  // rounding ate the last sliver
}

TokenOut with_logprobs(std::span<const float> logits, TokenId id, float logsumexp, int top,
                       SamplerScratch& scratch) {
  TokenOut out;
  out.id = id;
  out.logprob = logits[static_cast<std::size_t>(id)] - logsumexp;
  if (top <= 0) return out;
  const std::size_t n = std::min(static_cast<std::size_t>(top), logits.size());
  scratch.blocks.build(logits);
  std::vector<TokenId>& order = scratch.ids;
  order.clear();
  scratch.blocks.at_least(scratch.blocks.bound_of_largest(n), order);
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n), order.end(),
                    [&](TokenId a, TokenId b) {
                      const float x = logits[static_cast<std::size_t>(a)];
                      const float y = logits[static_cast<std::size_t>(b)];
                      return x != y ? x > y : a < b;
                    });
  for (const TokenId t : std::span(order).first(n))
    out.top.push_back({t, logits[static_cast<std::size_t>(t)] - logsumexp});
  return out;
}

}  // namespace hearth::engine

#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace hearth::engine {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

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

struct Candidate {
  float weight;  // e^((logit - max) / temperature)
  TokenId id;
  // Heavier first; equal weights by id, so that ties do not depend on the algorithm.
  bool operator<(const Candidate& other) const {
    return weight != other.weight ? weight > other.weight : id < other.id;
  }
};

// The tokens that may be drawn, heaviest first as far as truncation needs order.
std::vector<Candidate> candidates_of(const std::vector<float>& logits, float largest,
                                     const SamplingParams& params) {
  std::vector<Candidate> out;
  const float least = params.min_p;  // relative to the best token's weight, which is 1
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float weight = std::exp((logits[i] - largest) / params.temperature);
    if (weight > 0.f && weight >= least) out.push_back({weight, static_cast<TokenId>(i)});
  }
  const auto k = static_cast<std::size_t>(params.top_k);
  if (params.top_k > 0 && k < out.size()) {
    std::nth_element(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(k), out.end());
    out.resize(k);
  }
  // In order of ids or of weights, but never in an order that an algorithm left behind.
  std::sort(out.begin(), out.end(), [&](const Candidate& a, const Candidate& b) {
    return params.top_p < 1.f ? a < b : a.id < b.id;
  });
  if (params.top_p < 1.f) {
    double total = 0;
    for (const Candidate& c : out) total += static_cast<double>(c.weight);
    double sum = 0;
    std::size_t n = 0;
    while (n < out.size() && (n == 0 || sum < static_cast<double>(params.top_p) * total))
      sum += static_cast<double>(out[n++].weight);
    out.resize(n);
  }
  return out;
}

}  // namespace

double uniform_draw(std::uint64_t seed, std::int32_t choice, std::int64_t index) {
  const std::uint64_t stream = splitmix(seed ^ splitmix(static_cast<std::uint64_t>(choice) + 1));
  const std::uint64_t bits = splitmix(stream + static_cast<std::uint64_t>(index));
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

TokenId sample(std::span<const float> logits, TokenId greedy, const SamplingParams& params,
               const TokenHistory& history, double draw, std::vector<float>& scratch) {
  if (greedy < 0) return -1;
  const bool plain = params.logit_bias.empty() && !has_penalties(params);
  if (plain && params.temperature == 0.f) return greedy;

  scratch.assign(logits.begin(), logits.end());
  for (const auto& [id, bias] : params.logit_bias)
    if (id >= 0 && static_cast<std::size_t>(id) < scratch.size())
      scratch[static_cast<std::size_t>(id)] += bias;
  if (has_penalties(params)) apply_history(params, history, scratch);
  const auto best = std::max_element(scratch.begin(), scratch.end());
  if (!(*best > kNever) || !std::isfinite(*best)) return -1;
  if (params.temperature == 0.f) return static_cast<TokenId>(best - scratch.begin());

  const std::vector<Candidate> candidates = candidates_of(scratch, *best, params);
  double total = 0;
  for (const Candidate& c : candidates) total += static_cast<double>(c.weight);
  double rest = draw * total;
  for (const Candidate& c : candidates) {
    rest -= static_cast<double>(c.weight);
    if (rest < 0) return c.id;
  }
  return candidates.back().id;  // rounding ate the last sliver
}

TokenOut with_logprobs(std::span<const float> logits, TokenId id, float logsumexp, int top) {
  TokenOut out;
  out.id = id;
  out.logprob = logits[static_cast<std::size_t>(id)] - logsumexp;
  if (top <= 0) return out;
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto n =
      std::min(static_cast<std::ptrdiff_t>(top), static_cast<std::ptrdiff_t>(order.size()));
  std::partial_sort(order.begin(), order.begin() + n, order.end(), [&](TokenId a, TokenId b) {
    const float x = logits[static_cast<std::size_t>(a)];
    const float y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  });
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const TokenId t = order[static_cast<std::size_t>(i)];
    out.top.push_back({t, logits[static_cast<std::size_t>(t)] - logsumexp});
  }
  return out;
}

}  // namespace hearth::engine

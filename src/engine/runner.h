// What computes the steps that a scheduler has planned: a model (engine/model_runner.h), or a cost
// model on a clock of its own in the simulator of the tests.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/kv_pool.h"
#include "engine/sequence.h"

namespace hearth::engine {

// Rows of one pass through the model: a step's activations stay small however large its budget.
inline constexpr std::int64_t kPassRows = 512;

// A row whose next token was wanted, and what became of it.
struct Sampled {
  Sequence* sequence = nullptr;
  std::size_t logit_row = 0;
  std::int64_t after_drafts = 0;  // how many of the sequence's drafts come before that token
  TokenId token = -1;             // -1: no token could be chosen
  TokenOut out;
  std::vector<float> embedding;
};

class Runner {
 public:
  virtual ~Runner() = default;

  // Called once on the thread that run() will be called on.
  virtual void enter_thread() {}
  // One pass: the rows of each slice after what its sequence has computed, whose pages are there.
  // Appends a row for each slice that finishes, and one for each of its drafts, in their order.
  // May throw what a backend throws: nothing is known of the pages then.
  virtual void run(std::span<const Slice> slices, KvPool& pool, std::vector<Sampled>& sampled) = 0;
};

}  // namespace hearth::engine

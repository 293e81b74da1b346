// A request on the engine's thread, each of its choices, and what one of them does in a step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/fair_shares.h"
#include "engine/kv_pool.h"
#include "engine/messages.h"
#include "engine/prompt_lookup.h"
#include "engine/sampler.h"

namespace hearth::engine {

struct RequestState {
  GenerateRequest request;
  std::shared_ptr<EventSink> sink;
  std::int64_t submitted_ns = 0;
  std::int32_t open_choices = 0;
  std::vector<std::int32_t> cancelled_early;  // choices to end as soon as choice 0 has forked them
};

// How often drafts were right, of those that could be judged; older ones count for less.
struct DraftRecord {
  double right = 0;
  double judged = 0;
  void fade(double factor) {
    right *= factor;
    judged *= factor;
  }
};

struct Sequence {
  std::shared_ptr<RequestState> owner;
  std::int32_t choice = 0;
  std::vector<TokenId> tokens;  // prompt and output
  std::vector<TokenId> drafts;  // guesses at what follows, for the step that is being computed
  std::size_t draft_class = 0;  // engine/speculation.h: what they were like
  DraftRecord draft_record;
  std::int64_t drafts_accepted = 0;  // of the last ones
  bool may_guess = true;             // no guess has made its rows NaN
  PromptLookup lookup;
  std::int64_t prompt_size = 0;
  std::int64_t computed = 0;  // tokens whose keys and values are in the pages
  std::int64_t cached = 0;    // of them taken from the cache of prefixes at its first start
  PageTable pages;
  TokenHistory history;
  std::int64_t started_ns = 0;  // first scheduled; 0: not yet
  std::int64_t first_token_ns = 0;
  std::int64_t last_token_ns = 0;
  bool forked = false;                   // choice 0 only: the other choices exist already
  FairShares::Tenant* tenant = nullptr;  // while the scheduler has it
  std::int64_t rank = 0;
  bool running = false;
  bool preempted = false;

  std::int64_t missing() const { return static_cast<std::int64_t>(tokens.size()) - computed; }
  std::int64_t generated() const { return static_cast<std::int64_t>(tokens.size()) - prompt_size; }
};

// What one sequence does in a step.
struct Slice {
  Sequence* sequence;
  std::int64_t rows;  // of its missing tokens
  // Its next token can be sampled; its drafts are computed as well.
  bool finishes() const { return rows == sequence->missing(); }
};

}  // namespace hearth::engine

// Which rows the next step computes: one thread, one model, one token budget.
//
// Every sequence is a list of tokens of which the first `computed` are in the cache. Decoding is
// the case where one token is missing, prefill the case where many are; preemption sets `computed`
// back to 0. So there is one path for all: each step gives sequences rows in order of arrival,
// decoding ones first, until the budget or the pages run out. A sequence that begins takes over
// the pages that the cache of prefixes has for it, and one whose beginning is just being computed
// for another waits for that one step.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/kv_pool.h"
#include "engine/messages.h"
#include "engine/sampler.h"

namespace hearth::engine {

struct RequestState {
  GenerateRequest request;
  std::shared_ptr<EventSink> sink;
  std::int64_t submitted_ns = 0;
  std::int32_t open_choices = 0;
  std::vector<std::int32_t> cancelled_early;  // choices to end as soon as choice 0 has forked them
};

struct Sequence {
  std::shared_ptr<RequestState> owner;
  std::int32_t choice = 0;
  std::vector<TokenId> tokens;  // prompt and output
  std::int64_t prompt_size = 0;
  std::int64_t computed = 0;  // tokens whose keys and values are in the pages
  std::int64_t cached = 0;    // of them taken from the cache of prefixes at its first start
  PageTable pages;
  TokenHistory history;
  std::int64_t started_ns = 0;  // first scheduled; 0: not yet
  std::int64_t first_token_ns = 0;
  bool forked = false;  // choice 0 only: the other choices exist already

  std::int64_t missing() const { return static_cast<std::int64_t>(tokens.size()) - computed; }
  std::int64_t generated() const { return static_cast<std::int64_t>(tokens.size()) - prompt_size; }
};

struct SchedulerLimits {
  std::int64_t batch_tokens_max = 4096;  // rows of one step
  std::int64_t running_max = 64;         // sequences that hold pages
};

// What one sequence does in a step.
struct Slice {
  Sequence* sequence;
  std::int64_t rows;                                             // of its missing tokens
  bool finishes() const { return rows == sequence->missing(); }  // its next token can be sampled
};

class Scheduler {
 public:
  Scheduler(KvPool& pool, SchedulerLimits limits) : pool_(pool), limits_(limits) {}

  void add(std::unique_ptr<Sequence> sequence) { waiting_.push_back(std::move(sequence)); }
  // Another choice beside a sequence whose prompt is computed: shares its whole pages and runs at
  // once if there is a place, else waits at the front.
  void add_fork(std::unique_ptr<Sequence> fork, const Sequence& origin);

  // The next step's slices, with pages for all their rows. Empty: nothing to do.
  std::vector<Slice> plan();

  // Takes a sequence out, wherever it is; its pages are free.
  std::unique_ptr<Sequence> remove(const Sequence* sequence);

  std::vector<Sequence*> all() const;
  std::int64_t running() const { return static_cast<std::int64_t>(running_.size()); }
  std::int64_t waiting() const { return static_cast<std::int64_t>(waiting_.size()); }
  std::int64_t waiting_tokens() const;  // of the prompts that no step has begun
  std::int64_t preemptions() const { return preemptions_; }
  // Prompt tokens of all that began, and how many of these were in the cache of prefixes.
  std::int64_t prefix_queries() const { return prefix_queries_; }
  std::int64_t prefix_hits() const { return prefix_hits_; }
  bool idle() const { return running_.empty() && waiting_.empty(); }

  void check_integrity() const;

 private:
  bool grow(Sequence& sequence, std::int64_t tokens);
  void preempt_last();
  void admit(std::int64_t budget);
  void adopt(Sequence& sequence);
  void give_back(Sequence& sequence);
  bool is_being_computed(const Sequence& waiting) const;

  KvPool& pool_;
  const SchedulerLimits limits_;
  std::deque<std::unique_ptr<Sequence>> waiting_;   // oldest first
  std::vector<std::unique_ptr<Sequence>> running_;  // oldest first
  std::int64_t preemptions_ = 0;
  std::int64_t prefix_queries_ = 0;
  std::int64_t prefix_hits_ = 0;
};

}  // namespace hearth::engine

// A model that guesses for another (engine/draft_model.h), as engine/speculation.h sees it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/sequence.h"

namespace hearth::engine {

struct DraftJob {
  Sequence* sequence;
  std::int64_t wanted;
  std::vector<TokenId> drafts;  // out: as many, or fewer where the memory for it is short
};

class Drafter {
 public:
  virtual ~Drafter() = default;
  virtual void guess(std::span<DraftJob> jobs) = 0;
  // What it would take: a round of one token for each of so many sequences, and before that the
  // tokens of this one that it has not seen yet. `target_s`: what the model it guesses for takes
  // for such a pass, to tell from as long as nothing has been measured.
  virtual double round_s(std::int64_t sequences, double target_s) const = 0;
  virtual std::int64_t unseen(const Sequence& sequence) const = 0;
  // It has ended.
  virtual void forget(const Sequence& sequence) = 0;
};

}  // namespace hearth::engine

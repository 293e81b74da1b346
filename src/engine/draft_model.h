// Guesses of a smaller model with the same vocabulary. It draws with the numbers that the larger
// one will draw with, so that sampled answers are guessed about as well as greedy ones.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/drafter.h"
#include "engine/model_runner.h"
#include "engine/step_cost.h"
#include "model/model.h"

namespace hearth::engine {

class DraftModel final : public Drafter {
 public:
  // Both models' backends must share their threads (Backend::beside): they take turns.
  // "draft_mismatch" unless the vocabularies are as large as each other. Its cache holds `contexts`
  // full contexts of `context` tokens at most, in `cache_bytes` at most, and one at least.
  static Result<std::unique_ptr<DraftModel>> create(std::shared_ptr<const model::Model> draft,
                                                    const model::Model& target,
                                                    std::int64_t context, std::int64_t contexts,
                                                    std::int64_t cache_bytes);

  std::int64_t cache_bytes() const { return pool_->bytes(); }
  void guess(std::span<DraftJob> jobs) override;
  double round_s(std::int64_t sequences, double target_s) const override;
  std::int64_t unseen(const Sequence& sequence) const override;
  void forget(const Sequence& sequence) override;

 private:
  // The sequence as the draft model has it: its tokens, then what was guessed of it last.
  struct Shadow {
    std::unique_ptr<Sequence> sequence;
    std::size_t shared = 0;  // tokens that it has from the sequence itself
  };
  DraftModel(std::shared_ptr<const model::Model> draft, std::unique_ptr<KvPool> pool, double share);
  Sequence& follow(const Sequence& sequence);
  void run(std::vector<Sequence*> sequences);

  ModelRunner runner_;
  const std::unique_ptr<KvPool> pool_;
  const double share_;  // of the target's bytes
  StepCost cost_;
  std::unordered_map<const Sequence*, Shadow> shadows_;
};

}  // namespace hearth::engine

// Passes of an engine's steps on a model: the batch, its logits, a token from each.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/runner.h"
#include "model/model.h"

namespace hearth::engine {

class ModelRunner final : public Runner {
 public:
  explicit ModelRunner(std::shared_ptr<const model::Model> model) : model_(std::move(model)) {}

  void enter_thread() override { model_->backend().enter_thread(); }
  void run(std::span<const Slice> slices, KvPool& pool, std::vector<Sampled>& sampled) override;

 private:
  void sample_rows(std::span<Sampled> rows) const;

  const std::shared_ptr<const model::Model> model_;
};

}  // namespace hearth::engine

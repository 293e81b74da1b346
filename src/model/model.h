// A loaded model: immutable, ready to run steps.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"
#include "formats/read_ahead.h"
#include "model/config.h"
#include "model/decoder.h"
#include "model/source.h"

namespace hearth::model {

class Model {
 public:
  // Repacks the weights onto the backend. An architecture that no family knows is kUnsupported.
  static Result<std::unique_ptr<Model>> load(
      ModelSource source, std::unique_ptr<backend::Backend> backend,
      ReadAhead::Choice read_ahead = ReadAhead::Choice::kUncached);

  const ModelConfig& config() const { return config_; }
  const ModelSource& source() const { return source_; }
  backend::Backend& backend() const { return *backend_; }
  const std::vector<backend::KvGroupSpec>& kv_groups() const { return kv_groups_; }

  // Computes the batch; logits are then read from the backend. One caller at a time.
  void run(const backend::Batch& batch) const;

 private:
  Model() = default;
  ModelSource source_;
  ModelConfig config_;
  std::unique_ptr<backend::Backend> backend_;
  std::unique_ptr<Decoder> decoder_;  // its weights live on the backend: destroyed first
  std::vector<backend::KvGroupSpec> kv_groups_;
};

}  // namespace hearth::model

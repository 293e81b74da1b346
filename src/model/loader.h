// Finds a family's tensors under either naming, checks their shapes and hands them to the backend.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"
#include "formats/read_ahead.h"
#include "model/config.h"
#include "model/source.h"

namespace hearth::model {

// What a tensor is for; each has a name in GGUF and one in Hugging Face files (loader.cc).
enum class Role : std::uint8_t {
  kEmbedding,
  kOutputNorm,
  kOutput,
  kAttentionNorm,
  kQuery,
  kKey,
  kValue,
  kAttentionOut,
  kQueryNorm,
  kKeyNorm,
  kPostAttentionNorm,
  kMlpNorm,
  kGate,
  kUp,
  kDown,
  kPostMlpNorm,
};

class Loader {
 public:
  // Plans: finds and checks everything and loads nothing, so that the weights it returns are null.
  Loader(const ModelSource& source, const ModelConfig& config, backend::Backend& backend)
      : source_(source), config_(config), backend_(backend) {}
  // Loads: is asked for what was planned, in that order.
  Loader(const ModelSource& source, const ModelConfig& config, backend::Backend& backend,
         ReadAhead& ahead)
      : source_(source), config_(config), backend_(backend), ahead_(&ahead) {}
  std::vector<ReadAhead::Ranges> take_plan() { return std::move(plan_); }

  const ModelConfig& config() const { return config_; }

  // A matrix to be stacked with others: (rows, columns), with a bias of (rows) where `bias`.
  struct Part {
    Role role;
    std::int64_t rows;
    bool bias = false;
    bool rotary = false;  // rows are heads that get rotated
  };
  // `layer` is -1 for tensors outside the layers.
  Result<backend::WeightRef> stack(std::int64_t layer, std::vector<Part> parts,
                                   std::int64_t columns);
  Result<backend::VectorRef> norm(Role role, std::int64_t layer, std::int64_t size);
  // The embedding, and the head when the two are tied (then `head` is the same object).
  struct Ends {
    backend::WeightRef embedding, head;
  };
  Result<Ends> ends();
  // Which rotary frequencies the full and the sliding layers have: tables 0 and 1 of the backend.
  Status set_rope_tables();

 private:
  Result<const TensorView*> find(Role role, std::int64_t layer, bool bias,
                                 std::vector<std::int64_t> shape) const;
  // The tensors with data that can be read without waiting, until the next call. When planning: as
  // they are.
  Result<std::vector<TensorView>> read(const std::vector<const TensorView*>& tensors);

  const ModelSource& source_;
  const ModelConfig& config_;
  backend::Backend& backend_;
  ReadAhead* ahead_ = nullptr;  // null: planning
  std::vector<ReadAhead::Ranges> plan_;
};

// theta^(-2i/dims), scaled as the model asks (RopeSpec).
std::vector<float> inverse_frequencies(const RopeSpec& spec, std::int64_t dims);

}  // namespace hearth::model

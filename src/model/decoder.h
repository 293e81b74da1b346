// A decoder family on a backend, and the blocks that families share.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"
#include "model/config.h"
#include "model/loader.h"

namespace hearth::model {

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Records one step: tokens of the batch in, logits of its logit rows out.
  virtual void record(backend::Step& step) const = 0;
  virtual std::vector<backend::KvGroupSpec> kv_groups() const = 0;
};

using DecoderFactory = Result<std::unique_ptr<Decoder>> (*)(Loader& loader);
// The families of arch/, by ModelConfig::family; null for others.
DecoderFactory find_family(std::string_view family);

// ---- shared blocks ----

// Query, key and value in one matrix; the output projection.
struct AttentionBlock {
  backend::WeightRef qkv;  // ((heads + 2 kv_heads) * head_dim, d_model)
  backend::WeightRef out;  // (d_model, heads * head_dim)
};
// Gate and up in one matrix.
struct MlpBlock {
  backend::WeightRef gate_up;  // (2 d_ff, d_model)
  backend::WeightRef down;     // (d_model, d_ff)
};
Result<AttentionBlock> load_attention(Loader& loader, std::int64_t layer);
Result<MlpBlock> load_mlp(Loader& loader, std::int64_t layer);

// Which cache group each layer belongs to: full layers one, sliding layers another.
struct LayerCache {
  std::size_t group = 0;
  std::int64_t index = 0;  // within the group
};
struct CachePlan {
  std::vector<backend::KvGroupSpec> groups;
  std::vector<LayerCache> layers;
};
CachePlan plan_cache(const ModelConfig& config);

// The attention of a layer as the configuration says, without norms of q and k.
backend::AttentionSpec attention_spec(const ModelConfig& config, const CachePlan& plan,
                                      std::int64_t layer);

inline backend::Activation activation_of(const ModelConfig& config) {
  return config.activation == Activation::kSilu ? backend::Activation::kSilu
                                                : backend::Activation::kGeluTanh;
}

}  // namespace hearth::model

#include "model/decoder.h"

#include "model/arch/families.h"

namespace hearth::model {

DecoderFactory find_family(std::string_view family) {
  for (const Family& f : kFamilies)
    if (family == f.name) return f.make;
  return nullptr;
}

Result<AttentionBlock> load_attention(Loader& loader, std::int64_t layer) {
  const ModelConfig& c = loader.config();
  const std::int64_t q = c.n_heads * c.head_dim;
  const std::int64_t kv = c.n_kv_heads * c.head_dim;
  AttentionBlock block;
  HEARTH_TRY(block.qkv, loader.stack(layer,
                                     {{Role::kQuery, q, c.attention_bias, true},
                                      {Role::kKey, kv, c.attention_bias, true},
                                      {Role::kValue, kv, c.attention_bias, false}},
                                     c.d_model));
  HEARTH_TRY(block.out,
             loader.stack(layer, {{Role::kAttentionOut, c.d_model, c.attention_bias}}, q));
  return block;
}

Result<MlpBlock> load_mlp(Loader& loader, std::int64_t layer) {
  const ModelConfig& c = loader.config();
  MlpBlock block;
  HEARTH_TRY(
      block.gate_up,
      loader.stack(layer, {{Role::kGate, c.d_ff, c.mlp_bias}, {Role::kUp, c.d_ff, c.mlp_bias}},
                   c.d_model));
  HEARTH_TRY(block.down, loader.stack(layer, {{Role::kDown, c.d_model, c.mlp_bias}}, c.d_ff));
  return block;
}

CachePlan plan_cache(const ModelConfig& config) {
  CachePlan plan;
  std::size_t group_of[2] = {SIZE_MAX, SIZE_MAX};  // full, sliding
  for (std::int64_t l = 0; l < config.n_layers; ++l) {
    const bool slides = config.layer_slides[static_cast<std::size_t>(l)];
    std::size_t& group = group_of[slides ? 1 : 0];
    if (group == SIZE_MAX) {
      group = plan.groups.size();
      plan.groups.push_back(
          {0, config.n_kv_heads, config.head_dim, slides ? config.sliding_window : 0});
    }
    plan.layers.push_back({group, plan.groups[group].layers++});
  }
  return plan;
}

backend::AttentionSpec attention_spec(const ModelConfig& config, const CachePlan& plan,
                                      std::int64_t layer) {
  const auto l = static_cast<std::size_t>(layer);
  const bool slides = config.layer_slides[l];
  backend::AttentionSpec spec;
  spec.kv_group = plan.layers[l].group;
  spec.layer_in_group = plan.layers[l].index;
  spec.heads = config.n_heads;
  spec.kv_heads = config.n_kv_heads;
  spec.head_dim = config.head_dim;
  spec.window = slides ? config.sliding_window : 0;
  spec.scale = config.attention_scale;
  spec.softcap = config.attention_softcap;
  spec.rope = slides ? 1 : 0;
  return spec;
}

}  // namespace hearth::model

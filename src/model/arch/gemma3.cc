// Gemma 3 (arXiv 2503.19786): norms before and after each block, norms of q and k, five sliding
// layers to one full layer with frequencies of their own, a gelu gate, scaled embeddings.
#include "model/arch/families.h"

namespace hearth::model {
namespace {

using backend::Step;
using backend::Tensor;

struct Layer {
  backend::VectorRef attention_norm, post_attention_norm, mlp_norm, post_mlp_norm;  // (d_model)
  backend::VectorRef query_norm, key_norm;                                          // (head_dim)
  AttentionBlock attention;
  MlpBlock mlp;
  backend::AttentionSpec spec;
};

class Gemma3 final : public Decoder {
 public:
  explicit Gemma3(const ModelConfig& config) : config_(config), plan_(plan_cache(config)) {}

  Status load(Loader& loader) {
    HEARTH_TRY(ends_, loader.ends());
    HEARTH_TRY(norm_, loader.norm(Role::kOutputNorm, -1, config_.d_model));
    for (std::int64_t l = 0; l < config_.n_layers; ++l) {
      Layer& layer = layers_.emplace_back();
      HEARTH_TRY(layer.attention_norm, loader.norm(Role::kAttentionNorm, l, config_.d_model));
      HEARTH_TRY(layer.post_attention_norm,
                 loader.norm(Role::kPostAttentionNorm, l, config_.d_model));
      HEARTH_TRY(layer.mlp_norm, loader.norm(Role::kMlpNorm, l, config_.d_model));
      HEARTH_TRY(layer.post_mlp_norm, loader.norm(Role::kPostMlpNorm, l, config_.d_model));
      HEARTH_TRY(layer.query_norm, loader.norm(Role::kQueryNorm, l, config_.head_dim));
      HEARTH_TRY(layer.key_norm, loader.norm(Role::kKeyNorm, l, config_.head_dim));
      HEARTH_TRY(layer.attention, load_attention(loader, l));
      HEARTH_TRY(layer.mlp, load_mlp(loader, l));
      layer.spec = attention_spec(config_, plan_, l);
      layer.spec.q_norm = layer.query_norm.get();
      layer.spec.k_norm = layer.key_norm.get();
      layer.spec.norm_eps = config_.norm_eps;
    }
    return {};
  }

  std::vector<backend::KvGroupSpec> kv_groups() const override { return plan_.groups; }

  void record(Step& step) const override {
    const ModelConfig& c = config_;
    const Tensor h = step.tensor(c.d_model);  // the residual stream
    const Tensor x = step.tensor(c.d_model);
    const Tensor y = step.tensor(c.d_model);  // a block's result before its norm
    const Tensor qkv = step.tensor((c.n_heads + 2 * c.n_kv_heads) * c.head_dim);
    const Tensor attended = step.tensor(c.n_heads * c.head_dim);
    const Tensor gate_up = step.tensor(2 * c.d_ff);
    const Tensor inner = step.tensor(c.d_ff);
    step.embed(h, *ends_.embedding, c.embedding_scale);
    for (const Layer& layer : layers_) {
      step.rms_norm(x, h, *layer.attention_norm, c.norm_eps);
      step.linear(qkv, x, *layer.attention.qkv);
      step.attention(attended, qkv, layer.spec);
      step.linear(y, attended, *layer.attention.out);
      step.rms_norm(h, y, *layer.post_attention_norm, c.norm_eps, true);
      step.rms_norm(x, h, *layer.mlp_norm, c.norm_eps);
      step.linear(gate_up, x, *layer.mlp.gate_up);
      step.gated(inner, gate_up, activation_of(c));
      step.linear(y, inner, *layer.mlp.down);
      step.rms_norm(h, y, *layer.post_mlp_norm, c.norm_eps, true);
    }
    step.head(h, *norm_, c.norm_eps, *ends_.head, c.logit_softcap);
  }

 private:
  const ModelConfig config_;
  const CachePlan plan_;
  Loader::Ends ends_;
  backend::VectorRef norm_;
  std::vector<Layer> layers_;
};

}  // namespace

Result<std::unique_ptr<Decoder>> make_gemma3(Loader& loader) {
  auto decoder = std::make_unique<Gemma3>(loader.config());
  HEARTH_TRY_VOID(decoder->load(loader));
  return decoder;
}

}  // namespace hearth::model

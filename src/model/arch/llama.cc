// Llama (arXiv 2302.13971) and what is built like it: RMS norm before each block, rotary attention
// with shared KV heads, a gated MLP.
#include "model/arch/families.h"

namespace hearth::model {
namespace {

using backend::Step;
using backend::Tensor;

struct Layer {
  backend::VectorRef attention_norm, mlp_norm;  // (d_model)
  AttentionBlock attention;
  MlpBlock mlp;
  backend::AttentionSpec spec;
};

class Llama final : public Decoder {
 public:
  explicit Llama(const ModelConfig& config) : config_(config), plan_(plan_cache(config)) {}

  Status load(Loader& loader) {
    HEARTH_TRY(ends_, loader.ends());
    HEARTH_TRY(norm_, loader.norm(Role::kOutputNorm, -1, config_.d_model));
    for (std::int64_t l = 0; l < config_.n_layers; ++l) {
      Layer& layer = layers_.emplace_back();
      HEARTH_TRY(layer.attention_norm, loader.norm(Role::kAttentionNorm, l, config_.d_model));
      HEARTH_TRY(layer.mlp_norm, loader.norm(Role::kMlpNorm, l, config_.d_model));
      HEARTH_TRY(layer.attention, load_attention(loader, l));
      HEARTH_TRY(layer.mlp, load_mlp(loader, l));
      layer.spec = attention_spec(config_, plan_, l);
    }
    return {};
  }

  std::vector<backend::KvGroupSpec> kv_groups() const override { return plan_.groups; }

  void record(Step& step) const override {
    const ModelConfig& c = config_;
    const Tensor h = step.tensor(c.d_model);  // the residual stream
    const Tensor x = step.tensor(c.d_model);
    const Tensor qkv = step.tensor((c.n_heads + 2 * c.n_kv_heads) * c.head_dim);
    const Tensor attended = step.tensor(c.n_heads * c.head_dim);
    const Tensor gate_up = step.tensor(2 * c.d_ff);
    const Tensor inner = step.tensor(c.d_ff);
    step.embed(h, *ends_.embedding, c.embedding_scale);
    for (const Layer& layer : layers_) {
      step.rms_norm(x, h, *layer.attention_norm, c.norm_eps);
      step.linear(qkv, x, *layer.attention.qkv);
      step.attention(attended, qkv, layer.spec);
      step.linear(h, attended, *layer.attention.out, true);
      step.rms_norm(x, h, *layer.mlp_norm, c.norm_eps);
      step.linear(gate_up, x, *layer.mlp.gate_up);
      step.gated(inner, gate_up, activation_of(c));
      step.linear(h, inner, *layer.mlp.down, true);
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

Result<std::unique_ptr<Decoder>> make_llama(Loader& loader) {
  auto decoder = std::make_unique<Llama>(loader.config());
  HEARTH_TRY_VOID(decoder->load(loader));
  return decoder;
}

}  // namespace hearth::model

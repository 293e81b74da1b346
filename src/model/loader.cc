#include "model/loader.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <utility>

namespace hearth::model {
namespace {

struct Names {
  const char* gguf;  // {} is the layer
  const char* hf;
};

Names names_of(Role role, bool norms_around_mlp) {
  switch (role) {
    case Role::kEmbedding:
      return {"token_embd", "model.embed_tokens"};
    case Role::kOutputNorm:
      return {"output_norm", "model.norm"};
    case Role::kOutput:
      return {"output", "lm_head"};
    case Role::kAttentionNorm:
      return {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"};
    case Role::kQuery:
      return {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"};
    case Role::kKey:
      return {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"};
    case Role::kValue:
      return {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"};
    case Role::kAttentionOut:
      return {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"};
    case Role::kQueryNorm:
      return {"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"};
    case Role::kKeyNorm:
      return {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"};
    case Role::kPostAttentionNorm:
      return {"blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm"};
    // Hugging Face calls the norm before the MLP "post_attention" where there is no other one.
    case Role::kMlpNorm:
      return {"blk.{}.ffn_norm", norms_around_mlp ? "model.layers.{}.pre_feedforward_layernorm"
                                                  : "model.layers.{}.post_attention_layernorm"};
    case Role::kGate:
      return {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"};
    case Role::kUp:
      return {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"};
    case Role::kDown:
      return {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"};
    case Role::kPostMlpNorm:
      return {"blk.{}.post_ffw_norm", "model.layers.{}.post_feedforward_layernorm"};
  }
  HEARTH_CHECK(false);
}

}  // namespace

std::vector<float> inverse_frequencies(const RopeSpec& spec, std::int64_t dims) {
  std::vector<float> out;
  for (std::int64_t i = 0; i < dims; i += 2) {
    double f = std::pow(static_cast<double>(spec.theta),
                        -static_cast<double>(i) / static_cast<double>(dims));
    if (spec.scaling == RopeSpec::Scaling::kLinear) f /= static_cast<double>(spec.factor);
    if (spec.scaling == RopeSpec::Scaling::kLlama3) {
      // Long waves are stretched by `factor`, short ones left alone, those between blended
      // (Llama 3.1; "The Llama 3 Herd of Models", arXiv 2407.21783).
      const double wavelength = 2 * std::numbers::pi / f;
      const double turns = static_cast<double>(spec.original_context) / wavelength;
      const auto low = static_cast<double>(spec.low_freq_factor);
      const auto high = static_cast<double>(spec.high_freq_factor);
      const auto factor = static_cast<double>(spec.factor);
      if (turns < low) {
        f /= factor;
      } else if (turns < high) {
        const double blend = (turns - low) / (high - low);
        f = (1 - blend) * f / factor + blend * f;
      }
    }
    const auto index = static_cast<std::size_t>(i / 2);
    if (index < spec.freq_factors.size()) f /= static_cast<double>(spec.freq_factors[index]);
    out.push_back(static_cast<float>(f));
  }
  return out;
}

Result<const TensorView*> Loader::find(Role role, std::int64_t layer, bool bias,
                                       std::vector<std::int64_t> shape) const {
  const Names names = names_of(role, config_.family == "gemma3");
  const std::string name = fmt::format(fmt::runtime(source_.gguf ? names.gguf : names.hf), layer) +
                           (bias ? ".bias" : ".weight");
  const TensorView* tensor = source_.weights->find(name);
  if (!tensor) return invalid("tensor_missing", "{}: tensor {} is missing", source_.name, name);
  if (tensor->shape != shape)
    return invalid("tensor_shape", "{}: tensor {} is ({}), the configuration asks for ({})",
                   source_.name, name, fmt::join(tensor->shape, ", "), fmt::join(shape, ", "));
  return tensor;
}

Result<std::vector<TensorView>> Loader::read(const std::vector<const TensorView*>& tensors) {
  ReadAhead::Ranges ranges;
  std::vector<TensorView> views;
  for (const TensorView* const tensor : tensors) {
    ranges.push_back(tensor->data);
    views.push_back(*tensor);
  }
  if (!ahead_) {
    plan_.push_back(std::move(ranges));
    return views;
  }
  auto data = ahead_->next(ranges);
  if (!data) return prefixed(source_.name, std::move(data).error());
  for (std::size_t i = 0; i < views.size(); ++i) views[i].data = (*data)[i];
  return views;
}

Result<backend::WeightRef> Loader::stack(std::int64_t layer, std::vector<Part> parts,
                                         std::int64_t columns) {
  std::vector<const TensorView*> found;  // each matrix, then its bias
  for (const Part& part : parts) {
    HEARTH_TRY(found.emplace_back(), find(part.role, layer, false, {part.rows, columns}));
    if (part.bias) {
      HEARTH_TRY(found.emplace_back(), find(part.role, layer, true, {part.rows}));
    }
  }
  HEARTH_TRY(const auto tensors, read(found));
  if (!ahead_) return nullptr;
  std::vector<backend::WeightPart> stacked;
  const TensorView* tensor = tensors.data();
  for (const Part& part : parts) {
    backend::WeightPart& p = stacked.emplace_back();
    p.matrix = tensor++;
    if (part.bias) p.bias = tensor++;
    if (part.rotary && config_.rope_pairs) p.unpair_head_dim = config_.head_dim;
  }
  HEARTH_TRY(auto weight, backend_.prepare(stacked));
  for (const TensorView* const t : found) source_.weights->drop_pages(t->data);
  return weight;
}

Result<backend::VectorRef> Loader::norm(Role role, std::int64_t layer, std::int64_t size) {
  HEARTH_TRY(const TensorView* const tensor, find(role, layer, false, {size}));
  HEARTH_TRY(const auto tensors, read({tensor}));
  if (!ahead_) return nullptr;
  return backend_.prepare_vector(tensors[0], config_.norm_plus_one);
}

Result<Loader::Ends> Loader::ends() {
  Ends ends;
  HEARTH_TRY(const TensorView* const matrix,
             find(Role::kEmbedding, -1, false, {config_.vocab, config_.d_model}));
  // Rows of the embedding are read from the file as tokens ask for them, so it is not read ahead:
  // what is packed for the head leaves it in the page cache.
  if (ahead_) {
    HEARTH_TRY(ends.embedding, backend_.prepare_embedding(*matrix, config_.tied_embeddings));
    source_.weights->drop_pages(matrix->data);
  }
  if (config_.tied_embeddings) {
    ends.head = ends.embedding;
  } else {
    HEARTH_TRY(ends.head, stack(-1, {{Role::kOutput, config_.vocab}}, config_.d_model));
  }
  return ends;
}

Status Loader::set_rope_tables() {
  std::vector<backend::RopeTable> tables;
  tables.push_back({inverse_frequencies(config_.rope, config_.head_dim)});
  tables.push_back({inverse_frequencies(config_.rope_sliding, config_.head_dim)});
  backend_.set_rope_tables(std::move(tables));
  return {};
}

}  // namespace hearth::model

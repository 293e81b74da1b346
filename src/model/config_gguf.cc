// Configuration out of GGUF metadata. Keys and defaults are llama.cpp's.
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "formats/gguf.h"
#include "formats/gguf_tokenizer.h"
#include "formats/shown_name.h"
#include "model/config.h"
#include "model/config_check.h"

namespace hearth::model {
namespace {

// Metadata under the architecture's prefix: "llama.block_count".
class Keys {
 public:
  Keys(const GgufFile& file, std::string_view prefix) : file_(file), prefix_(prefix) {}

  std::string name(std::string_view key) const { return prefix_ + "." + std::string(key); }

  Result<std::optional<std::int64_t>> integer(std::string_view key) const {
    return file_.get_i64(name(key));
  }
  Result<std::int64_t> needed_integer(std::string_view key) const {
    HEARTH_TRY(const auto value, integer(key));
    if (!value) return bad_config("metadata '{}' is missing", name(key));
    return *value;
  }
  Result<std::optional<float>> number(std::string_view key) const {
    return file_.get_f32(name(key));
  }
  Result<std::optional<std::string_view>> string(std::string_view key) const {
    return file_.get_string(name(key));
  }
  const GgufFile& file() const { return file_; }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

// <arch>.vocab_size, else the token list, else the rows of the embedding.
Result<std::int64_t> vocabulary(const Keys& keys) {
  HEARTH_TRY(const auto said, keys.integer("vocab_size"));
  const TensorView* embedding = keys.file().find("token_embd.weight");
  if (said) return *said;
  HEARTH_TRY(const auto tokens, keys.file().get_strings("tokenizer.ggml.tokens"));
  if (tokens) return static_cast<std::int64_t>(tokens->size());
  if (embedding == nullptr) return bad_config("nothing tells the size of the vocabulary");
  return embedding->shape.front();
}

Status read_sizes(const Keys& keys, ModelConfig& c) {
  HEARTH_TRY(c.n_layers, keys.needed_integer("block_count"));
  HEARTH_TRY(c.d_model, keys.needed_integer("embedding_length"));
  HEARTH_TRY(c.d_ff, keys.needed_integer("feed_forward_length"));
  HEARTH_TRY(c.context, keys.needed_integer("context_length"));
  HEARTH_TRY(c.n_heads, keys.needed_integer("attention.head_count"));
  HEARTH_TRY(const auto kv_heads, keys.integer("attention.head_count_kv"));
  c.n_kv_heads = kv_heads.value_or(c.n_heads);
  if (c.n_heads < 1 || c.d_model < 1) return bad_config("the model has no heads or no width");
  HEARTH_TRY(const auto key_length, keys.integer("attention.key_length"));
  HEARTH_TRY(const auto value_length, keys.integer("attention.value_length"));
  if (!key_length && c.d_model % c.n_heads != 0) {
    return bad_config("{} heads do not divide a width of {}", c.n_heads, c.d_model);
  }
  c.head_dim = key_length.value_or(c.d_model / c.n_heads);
  if (value_length.value_or(c.head_dim) != c.head_dim) {
    return unsupported_config("values of {} beside keys of {} are not supported", *value_length,
                              c.head_dim);
  }
  HEARTH_TRY(const auto rotated, keys.integer("rope.dimension_count"));
  if (rotated.value_or(c.head_dim) != c.head_dim) {
    return unsupported_config("rotating {} of {} dimensions is not supported", *rotated,
                              c.head_dim);
  }
  HEARTH_TRY(const auto experts, keys.integer("expert_count"));
  if (experts.value_or(0) != 0) {
    return unsupported_config("mixtures of experts are not supported");
  }
  HEARTH_TRY(c.vocab, vocabulary(keys));
  return {};
}

Status read_rope(const Keys& keys, ModelConfig& c) {
  HEARTH_TRY(const auto theta, keys.number("rope.freq_base"));
  c.rope.theta = theta.value_or(10000.f);
  HEARTH_TRY(const auto kind, keys.string("rope.scaling.type"));
  HEARTH_TRY(auto factor, keys.number("rope.scaling.factor"));
  if (!factor) {
    HEARTH_TRY(factor, keys.number("rope.scale_linear"));  // older files
  }
  if (kind.value_or("linear") == "linear") {
    if (factor.value_or(0.f) != 0.f && factor != 1.f) {
      c.rope.scaling = RopeSpec::Scaling::kLinear;
      c.rope.factor = *factor;
    }
  } else if (*kind != "none") {
    return unsupported_config("rope scaling '{}' is not supported", shown_name(*kind));
  }
  if (const TensorView* factors = keys.file().find("rope_freqs.weight")) {
    if (factors->dtype != DType::kF32 || factors->elems() != c.head_dim / 2) {
      return bad_config("rope_freqs.weight does not hold {} F32 numbers", c.head_dim / 2);
    }
    c.rope.freq_factors.resize(static_cast<std::size_t>(factors->elems()));
    std::memcpy(c.rope.freq_factors.data(), factors->data.data(), factors->data.size());
  }
  c.rope_sliding = c.rope;
  return {};
}

Status read_special_tokens(const Keys& keys, ModelConfig& c) {
  HEARTH_TRY(c.eos, end_tokens_from_gguf(keys.file()));
  HEARTH_TRY(const auto bos, keys.file().get_i64("tokenizer.ggml.bos_token_id"));
  const std::int64_t id = bos.value_or(-1);
  if (id == -1 || id == 0xffffffff) return {};  // both are written for "none"
  if (id < 0 || id >= c.vocab) return bad_config("BOS token {} is not in the vocabulary", id);
  c.bos = static_cast<std::int32_t>(id);
  return {};
}

// Which layers slide: every nth does not, or a list of bools.
Status read_sliding_pattern(const Keys& keys, ModelConfig& c) {
  HEARTH_TRY(const auto window, keys.integer("attention.sliding_window"));
  c.sliding_window = window.value_or(0);
  if (c.sliding_window == 0) return {};
  const std::string pattern_key = keys.name("attention.sliding_window_pattern");
  const auto found = keys.file().metadata().find(pattern_key);
  if (found != keys.file().metadata().end() && found->second.type == GgufType::kArray) {
    HEARTH_TRY(const auto pattern, keys.file().get_ints(pattern_key));
    c.layer_slides.assign(pattern->begin(), pattern->end());
    return {};
  }
  HEARTH_TRY(const auto said, keys.file().get_i64(pattern_key));
  const std::int64_t period = said.value_or(6);
  if (period < 1 || period > 1024) return bad_config("sliding pattern {} is out of range", period);
  for (std::size_t i = 0; i < c.layer_slides.size(); ++i) {
    c.layer_slides[i] = (static_cast<std::int64_t>(i) + 1) % period != 0;
  }
  return {};
}

Status read_gemma3(const Keys& keys, ModelConfig& c) {
  c.activation = Activation::kGeluTanh;
  c.embedding_scale = std::sqrt(static_cast<float>(c.d_model));
  HEARTH_TRY_VOID(read_sliding_pattern(keys, c));
  HEARTH_TRY(const auto theta, keys.number("rope.freq_base_swa"));
  c.rope_sliding = RopeSpec{};
  c.rope_sliding.theta = theta.value_or(10000.f);
  // The 27B model alone scales by the width per head instead of the head size.
  constexpr std::int64_t kLayersOf27B = 62;
  if (c.n_layers == kLayersOf27B) {
    c.attention_scale =
        1.f / std::sqrt(static_cast<float>(c.d_model) / static_cast<float>(c.n_heads));
  }
  return {};
}

}  // namespace

Result<ModelConfig> config_from_gguf(const GgufFile& file) {
  HEARTH_TRY(const auto architecture, file.get_string("general.architecture"));
  if (!architecture) return bad_config("metadata 'general.architecture' is missing");
  if (*architecture != "llama" && *architecture != "gemma3") {
    return unsupported_architecture(*architecture);
  }
  const Keys keys(file, *architecture);
  ModelConfig c;
  c.family = *architecture;
  HEARTH_TRY_VOID(read_sizes(keys, c));
  // Both are bounded before anything is sized by them.
  if (c.n_layers < 1 || c.n_layers > 1024 || c.head_dim < 2) {
    return bad_config("{} layers with heads of {} are out of range", c.n_layers, c.head_dim);
  }
  c.layer_slides.assign(static_cast<std::size_t>(c.n_layers), false);
  c.attention_scale = 1.f / std::sqrt(static_cast<float>(c.head_dim));
  HEARTH_TRY(const auto eps, keys.number("attention.layer_norm_rms_epsilon"));
  if (!eps) {
    return bad_config("metadata '{}' is missing", keys.name("attention.layer_norm_rms_epsilon"));
  }
  c.norm_eps = *eps;
  HEARTH_TRY_VOID(read_rope(keys, c));
  HEARTH_TRY(const auto attention_cap, keys.number("attn_logit_softcapping"));
  c.attention_softcap = attention_cap.value_or(0.f);
  HEARTH_TRY(const auto logit_cap, keys.number("final_logit_softcapping"));
  c.logit_softcap = logit_cap.value_or(0.f);
  c.tied_embeddings = file.find("output.weight") == nullptr;
  c.attention_bias = file.find("blk.0.attn_q.bias") != nullptr;
  c.mlp_bias = file.find("blk.0.ffn_up.bias") != nullptr;
  if (c.family == "gemma3") {
    HEARTH_TRY_VOID(read_gemma3(keys, c));
  } else {
    c.rope_pairs = true;
  }
  HEARTH_TRY_VOID(read_special_tokens(keys, c));
  HEARTH_TRY_VOID(check_config(c));
  return c;
}

}  // namespace hearth::model

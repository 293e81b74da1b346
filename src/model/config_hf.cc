// Configuration out of Hugging Face's config.json; defaults are those of transformers.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/shown_name.h"
#include "model/config.h"
#include "model/config_check.h"

namespace hearth::model {
namespace {

// Typed members of one object. null counts as absent; a wrong type is an error.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  bool has(const char* name) const { return object_.contains(name); }  // null or not
  const Json* get(const char* name) const {
    const auto it = object_.find(name);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  Result<std::optional<std::int64_t>> integer(const char* name) const {
    const Json* value = get(name);
    if (value == nullptr) return std::nullopt;
    const bool fits = value->is_number_integer() &&
                      !(value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX);
    if (!fits) return bad_config("{} is not an integer", name);
    return value->get<std::int64_t>();
  }
  Result<std::int64_t> needed_integer(const char* name) const {
    HEARTH_TRY(const auto value, integer(name));
    if (!value) return bad_config("{} is missing", name);
    return *value;
  }
  Result<std::optional<float>> number(const char* name) const {
    const Json* value = get(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number()) return bad_config("{} is not a number", name);
    const auto wide = value->get<double>();
    if (!(std::fabs(wide) <= 1e30)) return bad_config("{} is out of range", name);
    return static_cast<float>(wide);
  }
  Result<bool> boolean(const char* name, bool otherwise) const {
    const Json* value = get(name);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) return bad_config("{} is neither true nor false", name);
    return value->get<bool>();
  }
  Result<std::optional<std::string>> string(const char* name) const {
    const Json* value = get(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) return bad_config("{} is not a string", name);
    return value->get<std::string>();
  }
  Result<std::optional<Fields>> object(const char* name) const {
    const Json* value = get(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) return bad_config("{} is not an object", name);
    return Fields(*value);
  }

 private:
  const Json& object_;
};

Status read_sizes(const Fields& in, std::optional<std::int64_t> default_head_dim, ModelConfig& c) {
  HEARTH_TRY(c.n_layers, in.needed_integer("num_hidden_layers"));
  HEARTH_TRY(c.d_model, in.needed_integer("hidden_size"));
  HEARTH_TRY(c.d_ff, in.needed_integer("intermediate_size"));
  HEARTH_TRY(c.vocab, in.needed_integer("vocab_size"));
  HEARTH_TRY(c.n_heads, in.needed_integer("num_attention_heads"));
  HEARTH_TRY(const auto kv_heads, in.integer("num_key_value_heads"));
  c.n_kv_heads = kv_heads.value_or(c.n_heads);
  HEARTH_TRY(const auto context, in.integer("max_position_embeddings"));
  c.context = context.value_or(2048);
  // Bounded before anything is sized or divided by them; check_config does the rest.
  if (c.n_layers < 1 || c.n_layers > 1024) {
    return bad_config("number of layers is {}; it must be from 1 to 1024", c.n_layers);
  }
  if (c.n_heads < 1 || c.d_model < 1) return bad_config("the model has no heads or no width");
  HEARTH_TRY(auto head_dim, in.integer("head_dim"));
  if (!head_dim) head_dim = default_head_dim;
  if (!head_dim && c.d_model % c.n_heads != 0) {
    return bad_config("{} heads do not divide a width of {}", c.n_heads, c.d_model);
  }
  c.head_dim = head_dim.value_or(c.d_model / c.n_heads);
  if (c.head_dim < 2) return bad_config("head size {} is out of range", c.head_dim);
  HEARTH_TRY(const auto eps, in.number("rms_norm_eps"));
  c.norm_eps = eps.value_or(1e-6f);
  c.attention_scale = 1.f / std::sqrt(static_cast<float>(c.head_dim));
  return {};
}

// The members that say how one kind of layer is rotated: those of rope_parameters, of one of its
// nested objects, or of the older rope_scaling.
Status read_scaling(const Fields& in, std::int64_t context, RopeSpec& rope) {
  HEARTH_TRY(const auto theta, in.number("rope_theta"));
  if (theta) rope.theta = *theta;
  HEARTH_TRY(const auto partial, in.number("partial_rotary_factor"));
  if (partial.value_or(1.f) != 1.f) {
    return unsupported_config("partial rotation (partial_rotary_factor) is not supported");
  }
  HEARTH_TRY(auto kind, in.string("rope_type"));
  if (!kind) {
    HEARTH_TRY(kind, in.string("type"));
  }
  if (!kind || *kind == "default") return {};
  HEARTH_TRY(const auto factor, in.number("factor"));
  if (*kind != "linear" && *kind != "llama3") {
    return unsupported_config("rope type '{}' is not supported", shown_name(*kind));
  }
  if (!factor) return bad_config("rope type {} without a factor", *kind);
  rope.factor = *factor;
  if (*kind == "linear") {
    rope.scaling = RopeSpec::Scaling::kLinear;
    return {};
  }
  rope.scaling = RopeSpec::Scaling::kLlama3;
  HEARTH_TRY(const auto low, in.number("low_freq_factor"));
  HEARTH_TRY(const auto high, in.number("high_freq_factor"));
  HEARTH_TRY(const auto original, in.integer("original_max_position_embeddings"));
  rope.low_freq_factor = low.value_or(1.f);
  rope.high_freq_factor = high.value_or(4.f);
  rope.original_context = original.value_or(context);
  return {};
}

// One specification for all layers, or nested ones per layer type.
Status read_rope(const Fields& in, ModelConfig& c, float theta_default, float theta_sliding) {
  c.rope.theta = theta_default;
  c.rope_sliding.theta = theta_sliding;
  const bool own_sliding = theta_sliding != theta_default;
  HEARTH_TRY(const auto partial, in.number("partial_rotary_factor"));
  if (partial.value_or(1.f) != 1.f) {
    return unsupported_config("partial rotation (partial_rotary_factor) is not supported");
  }
  HEARTH_TRY(const auto parameters, in.object("rope_parameters"));
  if (parameters) {
    HEARTH_TRY(const auto full, parameters->object("full_attention"));
    HEARTH_TRY(const auto sliding, parameters->object("sliding_attention"));
    if (full || sliding) {
      if (full) HEARTH_TRY_VOID(read_scaling(*full, c.context, c.rope));
      if (sliding) HEARTH_TRY_VOID(read_scaling(*sliding, c.context, c.rope_sliding));
      return {};
    }
    HEARTH_TRY_VOID(read_scaling(*parameters, c.context, c.rope));
  } else {
    HEARTH_TRY(const auto theta, in.number("rope_theta"));
    if (theta) c.rope.theta = *theta;
    HEARTH_TRY(const auto scaling, in.object("rope_scaling"));
    if (scaling) HEARTH_TRY_VOID(read_scaling(*scaling, c.context, c.rope));
  }
  if (own_sliding) {
    HEARTH_TRY(const auto local, in.number("rope_local_base_freq"));
    if (local) c.rope_sliding.theta = *local;
  } else {
    c.rope_sliding = c.rope;
  }
  return {};
}

// layer_types, when it is there; else nothing changes.
Status read_layer_types(const Fields& in, ModelConfig& c) {
  const Json* types = in.get("layer_types");
  if (types == nullptr) return {};
  if (!types->is_array() || static_cast<std::int64_t>(types->size()) != c.n_layers) {
    return bad_config("layer_types is not a list of {} names", c.n_layers);
  }
  for (std::size_t i = 0; i < types->size(); ++i) {
    const Json& type = (*types)[i];
    if (!type.is_string()) return bad_config("layer_types holds something else than names");
    const auto& name = type.get_ref<const std::string&>();
    if (name != "sliding_attention" && name != "full_attention") {
      return unsupported_config("layer type '{}' is not supported", shown_name(name));
    }
    c.layer_slides[i] = name == "sliding_attention";
  }
  return {};
}

Status add_ids(const Json& value, std::vector<std::int32_t>& ids) {
  if (value.is_null()) return {};
  if (value.is_array()) {
    for (const Json& item : value) {
      if (item.is_array() || item.is_null()) return bad_config("eos_token_id is not a list of ids");
      HEARTH_TRY_VOID(add_ids(item, ids));
    }
    return {};
  }
  const bool fits = value.is_number_unsigned()
                        ? value.get<std::uint64_t>() <= INT32_MAX
                        : value.is_number_integer() && value.get<std::int64_t>() >= 0;
  if (!fits) return bad_config("eos_token_id is not a token id");
  const auto id = value.get<std::int32_t>();
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  return {};
}

Status read_special_tokens(const Fields& in, const Json& generation, ModelConfig& c) {
  if (const Json* eos = in.get("eos_token_id")) HEARTH_TRY_VOID(add_ids(*eos, c.eos));
  if (!generation.is_null()) {
    if (!generation.is_object()) return bad_config("generation_config.json is not an object");
    if (const Json* eos = Fields(generation).get("eos_token_id")) {
      HEARTH_TRY_VOID(add_ids(*eos, c.eos));
    }
  }
  HEARTH_TRY(const auto bos, in.integer("bos_token_id"));
  if (bos && (*bos < 0 || *bos >= c.vocab)) {
    return bad_config("BOS token {} is not in the vocabulary", *bos);
  }
  c.bos = static_cast<std::int32_t>(bos.value_or(-1));
  return {};
}

Status expect_activation(const Fields& in, const char* name, std::string_view wanted) {
  HEARTH_TRY(const auto activation, in.string(name));
  if (activation.value_or(std::string(wanted)) == wanted) return {};
  return unsupported_config("activation '{}' is not supported here", shown_name(*activation));
}

Status read_llama(const Fields& in, bool mistral, ModelConfig& c) {
  c.family = "llama";
  HEARTH_TRY_VOID(read_sizes(in, std::nullopt, c));
  HEARTH_TRY_VOID(expect_activation(in, "hidden_act", "silu"));
  HEARTH_TRY(c.tied_embeddings, in.boolean("tie_word_embeddings", false));
  HEARTH_TRY(c.attention_bias, in.boolean("attention_bias", false));
  HEARTH_TRY(c.mlp_bias, in.boolean("mlp_bias", false));
  HEARTH_TRY_VOID(read_rope(in, c, 10000.f, 10000.f));
  c.layer_slides.assign(static_cast<std::size_t>(c.n_layers), false);
  if (mistral) {
    // Absent means 4096; null means that no layer slides.
    HEARTH_TRY(const auto window, in.integer("sliding_window"));
    const bool absent = !in.has("sliding_window");
    c.sliding_window = window.value_or(absent ? 4096 : 0);
    c.layer_slides.assign(c.layer_slides.size(), c.sliding_window != 0);
  }
  return read_layer_types(in, c);
}

Status read_gemma3(const Fields& in, ModelConfig& c) {
  c.family = "gemma3";
  HEARTH_TRY_VOID(read_sizes(in, 256, c));
  if (in.get("hidden_activation") != nullptr) {
    HEARTH_TRY_VOID(expect_activation(in, "hidden_activation", "gelu_pytorch_tanh"));
  } else {
    HEARTH_TRY_VOID(expect_activation(in, "hidden_act", "gelu_pytorch_tanh"));
  }
  c.activation = Activation::kGeluTanh;
  c.norm_plus_one = true;
  c.embedding_scale = std::sqrt(static_cast<float>(c.d_model));
  HEARTH_TRY(c.tied_embeddings, in.boolean("tie_word_embeddings", true));
  HEARTH_TRY(c.attention_bias, in.boolean("attention_bias", false));
  HEARTH_TRY(const auto both_ways, in.boolean("use_bidirectional_attention", false));
  if (both_ways) return unsupported_config("bidirectional attention is not supported");
  HEARTH_TRY(const auto scalar, in.number("query_pre_attn_scalar"));
  const float query_scalar = scalar.value_or(256.f);
  if (!(query_scalar > 0.f)) return bad_config("query_pre_attn_scalar is out of range");
  c.attention_scale = 1.f / std::sqrt(query_scalar);
  HEARTH_TRY(const auto attention_cap, in.number("attn_logit_softcapping"));
  c.attention_softcap = attention_cap.value_or(0.f);
  HEARTH_TRY(const auto logit_cap, in.number("final_logit_softcapping"));
  c.logit_softcap = logit_cap.value_or(0.f);
  HEARTH_TRY_VOID(read_rope(in, c, 1e6f, 10000.f));

  HEARTH_TRY(const auto window, in.integer("sliding_window"));
  c.sliding_window = window.value_or(in.has("sliding_window") ? 0 : 4096);
  HEARTH_TRY(auto pattern, in.integer("sliding_window_pattern"));
  if (!pattern) {
    HEARTH_TRY(pattern, in.integer("_sliding_window_pattern"));
  }
  const std::int64_t period = pattern.value_or(6);
  if (period < 1 || period > 1024) return bad_config("sliding pattern {} is out of range", period);
  c.layer_slides.assign(static_cast<std::size_t>(c.n_layers), false);
  for (std::size_t i = 0; i < c.layer_slides.size() && c.sliding_window != 0; ++i) {
    c.layer_slides[i] = (static_cast<std::int64_t>(i) + 1) % period != 0;
  }
  return read_layer_types(in, c);
}

}  // namespace

Result<ModelConfig> config_from_hf(const Json& config, const Json& generation) {
  if (!config.is_object()) return bad_config("config.json is not an object");
  const Fields in(config);
  HEARTH_TRY(const auto type, in.string("model_type"));
  if (!type) return bad_config("model_type is missing");
  if (in.get("quantization_config") != nullptr) {
    return unsupported_config("quantised checkpoints (quantization_config) are not supported");
  }
  ModelConfig c;
  if (*type == "llama" || *type == "mistral") {
    HEARTH_TRY_VOID(read_llama(in, *type == "mistral", c));
  } else if (*type == "gemma3_text") {
    HEARTH_TRY_VOID(read_gemma3(in, c));
  } else {
    return unsupported_architecture(*type);
  }
  HEARTH_TRY_VOID(read_special_tokens(in, generation, c));
  HEARTH_TRY_VOID(check_config(c));
  return c;
}

}  // namespace hearth::model

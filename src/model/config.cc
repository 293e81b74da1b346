#include <cmath>
#include <cstdint>

#include "formats/shown_name.h"
#include "model/config_check.h"

namespace hearth::model {
namespace {

struct Bound {
  const char* name;
  std::int64_t value, low, high;
};

Status check_rope(const char* which, const RopeSpec& rope, std::int64_t head_dim) {
  const auto in = [](float x, float low, float high) {
    return x >= low && x <= high;
  };  // NaN: false
  if (!in(rope.theta, 1.f, 1e15f))
    return bad_config("{} theta {} is out of range", which, rope.theta);
  if (!in(rope.factor, 1e-6f, 1e6f)) {
    return bad_config("{} scaling factor {} is out of range", which, rope.factor);
  }
  if (rope.scaling == RopeSpec::Scaling::kLlama3) {
    if (!in(rope.low_freq_factor, 1e-6f, 1e6f) || !in(rope.high_freq_factor, 1e-6f, 1e6f) ||
        rope.high_freq_factor <= rope.low_freq_factor) {
      return bad_config("{} frequency factors {} and {} are out of range", which,
                        rope.low_freq_factor, rope.high_freq_factor);
    }
    if (rope.original_context < 1 || rope.original_context > INT32_MAX) {
      return bad_config("{} original context {} is out of range", which, rope.original_context);
    }
  }
  if (rope.freq_factors.empty()) return {};
  if (static_cast<std::int64_t>(rope.freq_factors.size()) != head_dim / 2) {
    return bad_config("{} has {} frequency factors for heads of {}", which,
                      rope.freq_factors.size(), head_dim);
  }
  for (const float factor : rope.freq_factors) {
    if (!in(factor, 1e-6f, 1e9f)) {
      return bad_config("{} frequency factor {} is out of range", which, factor);
    }
  }
  return {};
}

}  // namespace

tl::unexpected<Error> unsupported_architecture(std::string_view name) {
  return fail(ErrorKind::kUnsupported, "unsupported_architecture",
              "architecture '{}' is not supported", shown_name(name));
}

Status check_config(const ModelConfig& c) {
  const Bound bounds[] = {
      {"number of layers", c.n_layers, 1, 1024},
      {"model width", c.d_model, 1, 1 << 20},
      {"number of heads", c.n_heads, 1, 4096},
      {"number of key-value heads", c.n_kv_heads, 1, 4096},
      {"head size", c.head_dim, 2, 512},
      {"feed-forward width", c.d_ff, 1, 1 << 24},
      {"vocabulary", c.vocab, 1, 1 << 24},
      {"context length", c.context, 1, INT32_MAX},
      {"sliding window", c.sliding_window, 0, INT32_MAX},
  };
  for (const Bound& b : bounds) {
    if (b.value < b.low || b.value > b.high) {
      return bad_config("{} is {}; it must be from {} to {}", b.name, b.value, b.low, b.high);
    }
  }
  if (c.n_heads % c.n_kv_heads != 0) {
    return bad_config("{} heads cannot share {} key-value heads", c.n_heads, c.n_kv_heads);
  }
  if (c.head_dim % 2 != 0) return bad_config("head size {} is odd", c.head_dim);
  if (!(c.norm_eps > 0.f && c.norm_eps < 1.f)) {
    return bad_config("the norms' epsilon {} is out of range", c.norm_eps);
  }
  if (!(c.attention_scale > 0.f && c.attention_scale < 1e6f)) {
    return bad_config("attention scale {} is out of range", c.attention_scale);
  }
  for (const float cap : {c.attention_softcap, c.logit_softcap}) {
    if (!(cap >= 0.f && cap < 1e6f)) return bad_config("soft cap {} is out of range", cap);
  }
  if (static_cast<std::int64_t>(c.layer_slides.size()) != c.n_layers) {
    return bad_config("{} layer types for {} layers", c.layer_slides.size(), c.n_layers);
  }
  for (const bool slides : c.layer_slides) {
    if (slides && c.sliding_window == 0) return bad_config("sliding layers without a window");
  }
  HEARTH_TRY_VOID(check_rope("rope", c.rope, c.head_dim));
  HEARTH_TRY_VOID(check_rope("sliding rope", c.rope_sliding, c.head_dim));
  for (const std::int32_t id : c.eos) {
    if (id < 0 || id >= c.vocab) return bad_config("EOS token {} is not in the vocabulary", id);
  }
  if (c.bos < -1 || c.bos >= c.vocab) {
    return bad_config("BOS token {} is not in the vocabulary", c.bos);
  }
  return {};
}

}  // namespace hearth::model

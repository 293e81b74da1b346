// What a decoder looks like, read from GGUF metadata or from a Hugging Face config.json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hearth {
class GgufFile;
}

namespace hearth::model {

enum class Activation : std::uint8_t { kSilu, kGeluTanh };

// Rotary position embedding (arXiv 2104.09864). inv_freq[i] = theta^(-2i/dims), then scaled.
struct RopeSpec {
  enum class Scaling : std::uint8_t { kNone, kLinear, kLlama3 };
  float theta = 10000.f;
  Scaling scaling = Scaling::kNone;
  float factor = 1.f;           // linear: positions are divided by it; llama3: the long-wave factor
  float low_freq_factor = 1.f;  // llama3 only
  float high_freq_factor = 4.f;       // llama3 only
  std::int64_t original_context = 0;  // llama3 only
  // head_dim / 2 divisors of inv_freq that the file itself stores (GGUF's rope_freqs.weight, which
  // is how Llama 3's scaling reaches GGUF); applied besides `scaling`. Empty: none.
  std::vector<float> freq_factors;
};

struct ModelConfig {
  std::string family;  // "llama", "gemma3": the name of the file in arch/
  std::int64_t n_layers = 0;
  std::int64_t d_model = 0;
  std::int64_t n_heads = 0;
  std::int64_t n_kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t d_ff = 0;
  std::int64_t vocab = 0;
  std::int64_t context = 0;  // positions the model was made for
  float norm_eps = 1e-5f;
  bool tied_embeddings = false;  // the head is the embedding matrix
  bool attention_bias = false;   // q, k, v and o have biases
  bool mlp_bias = false;
  Activation activation = Activation::kSilu;
  float attention_scale = 0.f;      // what q.k is multiplied with; head_dim^-0.5 unless said
  float embedding_scale = 1.f;      // gemma: sqrt(d_model)
  float attention_softcap = 0.f;    // 0: none
  float logit_softcap = 0.f;        // 0: none
  std::int64_t sliding_window = 0;  // tokens a sliding layer sees, itself included; 0: none
  std::vector<bool> layer_slides;   // n_layers; true: sliding window
  RopeSpec rope;                    // full-attention layers
  RopeSpec rope_sliding;            // sliding layers (gemma3: theta 10000)
  // The file's conventions, not the model's:
  bool rope_pairs = false;  // rows of q and k are ordered for rotation of (2i, 2i+1) (GGUF llama)
  bool norm_plus_one = false;     // norms are stored as w - 1 (Hugging Face gemma)
  std::vector<std::int32_t> eos;  // every id that ends a text
  std::int32_t bos = -1;          // -1: none
};

// Every number is range-checked (positive, products far from overflow, heads divisible); an unknown
// architecture is ErrorKind::kUnsupported and named in the message.
Result<ModelConfig> config_from_gguf(const GgufFile& file);
// Both the published form (rope_theta, rope_scaling, torch_dtype) and that of transformers 5
// (rope_parameters, dtype, layer_types). `generation` is generation_config.json or null (more eos
// ids).
Result<ModelConfig> config_from_hf(const Json& config, const Json& generation);

}  // namespace hearth::model

#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "formats/gguf_writer.h"
#include "formats/hf_folder.h"
#include "testing/small_gguf.h"

namespace hearth::model {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

ModelConfig tiny(const std::string& name) {
  const auto folder = open_hf_folder(HEARTH_TEST_DATA "/tiny/" + name);
  EXPECT_TRUE(folder);
  const auto config = config_from_hf(folder->config, folder->generation_config);
  EXPECT_TRUE(config) << config.error().message;
  return *config;
}

// A published configuration: SmolLM2-135M's, in the older form.
Json smollm2() {
  return *parse_json(R"({"architectures":["LlamaForCausalLM"],"attention_bias":false,
      "bos_token_id":1,"eos_token_id":2,"hidden_act":"silu","hidden_size":576,
      "intermediate_size":1536,"max_position_embeddings":8192,"mlp_bias":false,
      "model_type":"llama","num_attention_heads":9,"num_hidden_layers":30,
      "num_key_value_heads":3,"rms_norm_eps":1e-05,"rope_scaling":null,"rope_theta":100000,
      "tie_word_embeddings":true,"torch_dtype":"bfloat16","vocab_size":49152})");
}

// Gemma 3 1B's, in the older form.
Json gemma3() {
  return *parse_json(R"({"model_type":"gemma3_text","attention_bias":false,
      "attn_logit_softcapping":null,"bos_token_id":2,"eos_token_id":[1,106],
      "final_logit_softcapping":null,"head_dim":256,"hidden_activation":"gelu_pytorch_tanh",
      "hidden_size":1152,"intermediate_size":6912,"max_position_embeddings":32768,
      "num_attention_heads":4,"num_hidden_layers":26,"num_key_value_heads":1,
      "query_pre_attn_scalar":256,"rms_norm_eps":1e-06,"rope_local_base_freq":10000,
      "rope_scaling":{"factor":8.0,"rope_type":"linear"},"rope_theta":1000000,
      "sliding_window":512,"sliding_window_pattern":6,"vocab_size":262144})");
}

Result<ModelConfig> with(Json json, const std::string& changes) {
  json.merge_patch(*parse_json(changes));  // null takes a member away
  return config_from_hf(json, Json());
}

void expect_refused(const Result<ModelConfig>& config, const char* why,
                    ErrorKind kind = ErrorKind::kInvalid) {
  ASSERT_FALSE(config) << why;
  EXPECT_EQ(config.error().kind, kind) << config.error().message;
  EXPECT_THAT(config.error().message, HasSubstr(why));
}

TEST(ConfigFromHf, Llama) {
  const ModelConfig c = tiny("llama");
  EXPECT_EQ(c.family, "llama");
  EXPECT_EQ(c.n_layers, 3);
  EXPECT_EQ(c.d_model, 64);
  EXPECT_EQ(c.n_heads, 4);
  EXPECT_EQ(c.n_kv_heads, 2);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.d_ff, 128);
  EXPECT_EQ(c.vocab, 256);
  EXPECT_EQ(c.context, 1024);
  EXPECT_FLOAT_EQ(c.norm_eps, 1e-6f);
  EXPECT_FALSE(c.tied_embeddings || c.attention_bias || c.mlp_bias);
  EXPECT_EQ(c.activation, Activation::kSilu);
  EXPECT_FLOAT_EQ(c.attention_scale, 0.25f);
  EXPECT_EQ(c.embedding_scale, 1.f);
  EXPECT_EQ(c.sliding_window, 0);
  EXPECT_THAT(c.layer_slides, ElementsAre(false, false, false));
  EXPECT_EQ(c.rope.theta, 10000.f);
  EXPECT_EQ(c.rope.scaling, RopeSpec::Scaling::kNone);
  EXPECT_FALSE(c.rope_pairs || c.norm_plus_one);
  EXPECT_THAT(c.eos, ElementsAre(2));
  EXPECT_EQ(c.bos, 1);
}

TEST(ConfigFromHf, LlamaWithTiesAndBiases) {
  const ModelConfig c = tiny("llama-tied-bias");
  EXPECT_TRUE(c.tied_embeddings && c.attention_bias && c.mlp_bias);
}

TEST(ConfigFromHf, Llama3RopeInBothForms) {
  const auto older = with(smollm2(), R"({"rope_theta":500000.0,"rope_scaling":{"factor":8.0,
      "high_freq_factor":4.0,"low_freq_factor":1.0,"original_max_position_embeddings":256,
      "rope_type":"llama3"}})");
  ASSERT_TRUE(older) << older.error().message;
  for (const RopeSpec& rope : {tiny("llama3-rope").rope, older->rope, older->rope_sliding}) {
    EXPECT_EQ(rope.scaling, RopeSpec::Scaling::kLlama3);
    EXPECT_EQ(rope.theta, 500000.f);
    EXPECT_EQ(rope.factor, 8.f);
    EXPECT_EQ(rope.low_freq_factor, 1.f);
    EXPECT_EQ(rope.high_freq_factor, 4.f);
    EXPECT_EQ(rope.original_context, 256);
  }
}

TEST(ConfigFromHf, LinearRope) {
  const auto config = with(smollm2(), R"({"rope_scaling":{"type":"linear","factor":2.5}})");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->rope.scaling, RopeSpec::Scaling::kLinear);
  EXPECT_EQ(config->rope.factor, 2.5f);
  EXPECT_EQ(config->rope.theta, 100000.f);
}

TEST(ConfigFromHf, DefaultsOfOlderFiles) {
  const auto config =
      with(smollm2(), R"({"num_key_value_heads":null,"rms_norm_eps":null,"rope_theta":null,
                          "max_position_embeddings":null,"tie_word_embeddings":null,
                          "bos_token_id":null,"eos_token_id":null})");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->n_kv_heads, 9);
  EXPECT_EQ(config->head_dim, 64);
  EXPECT_FLOAT_EQ(config->norm_eps, 1e-6f);
  EXPECT_EQ(config->rope.theta, 10000.f);
  EXPECT_EQ(config->context, 2048);
  EXPECT_FALSE(config->tied_embeddings);
  EXPECT_EQ(config->bos, -1);
  EXPECT_THAT(config->eos, IsEmpty());
}

TEST(ConfigFromHf, EosOfBothFiles) {
  Json json = smollm2();
  json["eos_token_id"] = {7, 8};
  EXPECT_THAT(config_from_hf(json, *parse_json(R"({"eos_token_id":[8,9]})"))->eos,
              ElementsAre(7, 8, 9));
  EXPECT_THAT(config_from_hf(json, *parse_json(R"({"eos_token_id":7})"))->eos, ElementsAre(7, 8));
  EXPECT_THAT(config_from_hf(json, *parse_json("{}"))->eos, ElementsAre(7, 8));
  expect_refused(config_from_hf(json, *parse_json(R"({"eos_token_id":49152})")),
                 "not in the vocabulary");
  expect_refused(config_from_hf(json, *parse_json(R"({"eos_token_id":-1})")), "not a token id");
  expect_refused(config_from_hf(json, *parse_json(R"({"eos_token_id":[[1]]})")), "not a list");
  expect_refused(config_from_hf(json, *parse_json("[]")), "not an object");
}

TEST(ConfigFromHf, Gemma3InBothForms) {
  const ModelConfig c = tiny("gemma3_text");
  EXPECT_EQ(c.family, "gemma3");
  EXPECT_EQ(c.head_dim, 48);
  EXPECT_FLOAT_EQ(c.attention_scale, 1.f / std::sqrt(48.f));
  EXPECT_FLOAT_EQ(c.embedding_scale, 8.f);
  EXPECT_EQ(c.activation, Activation::kGeluTanh);
  EXPECT_TRUE(c.norm_plus_one && c.tied_embeddings);
  EXPECT_EQ(c.sliding_window, 16);
  EXPECT_THAT(c.layer_slides, ElementsAre(true, true, true, true, true, false));
  EXPECT_EQ(c.rope.theta, 1e6f);
  EXPECT_EQ(c.rope_sliding.theta, 10000.f);

  const auto older = config_from_hf(gemma3(), Json());
  ASSERT_TRUE(older) << older.error().message;
  EXPECT_EQ(older->rope.theta, 1e6f);
  EXPECT_EQ(older->rope.scaling, RopeSpec::Scaling::kLinear);
  EXPECT_EQ(older->rope.factor, 8.f);
  EXPECT_EQ(older->rope_sliding.theta, 10000.f);
  EXPECT_EQ(older->rope_sliding.scaling, RopeSpec::Scaling::kNone);
  EXPECT_FALSE(older->layer_slides[5] || older->layer_slides[23]);
  EXPECT_TRUE(older->layer_slides[4] && older->layer_slides[24] && older->layer_slides[25]);
  EXPECT_THAT(older->eos, ElementsAre(1, 106));
  EXPECT_TRUE(older->tied_embeddings);

  const auto capped = with(gemma3(), R"({"final_logit_softcapping":30.0,
      "query_pre_attn_scalar":168,"sliding_window_pattern":2,"rope_local_base_freq":5000})");
  ASSERT_TRUE(capped) << capped.error().message;
  EXPECT_EQ(capped->logit_softcap, 30.f);
  EXPECT_FLOAT_EQ(capped->attention_scale, 1.f / std::sqrt(168.f));
  EXPECT_EQ(capped->rope_sliding.theta, 5000.f);
  EXPECT_TRUE(capped->layer_slides[0] && !capped->layer_slides[1]);
}

TEST(ConfigFromHf, MistralSlidesEverywhere) {
  const ModelConfig c = tiny("mistral");
  EXPECT_EQ(c.family, "llama");
  EXPECT_EQ(c.sliding_window, 16);
  EXPECT_THAT(c.layer_slides, Each(true));
  EXPECT_EQ(c.rope_sliding.theta, c.rope.theta);
  Json json = smollm2();
  json["model_type"] = "mistral";
  EXPECT_EQ(config_from_hf(json, Json())->sliding_window, 4096);
  json["sliding_window"] = nullptr;
  EXPECT_THAT(config_from_hf(json, Json())->layer_slides, Each(false));
}

TEST(ConfigFromHf, NamesWhatItDoesNotSupport) {
  const auto unsupported = [](const Result<ModelConfig>& config, const char* name) {
    expect_refused(config, name, ErrorKind::kUnsupported);
  };
  unsupported(with(smollm2(), R"({"model_type":"mamba"})"), "'mamba'");
  unsupported(with(smollm2(), R"({"rope_scaling":{"rope_type":"yarn","factor":4}})"), "'yarn'");
  unsupported(with(smollm2(), R"({"rope_parameters":{"rope_type":"longrope"}})"), "'longrope'");
  unsupported(with(smollm2(), R"({"hidden_act":"relu"})"), "'relu'");
  unsupported(with(smollm2(), R"({"partial_rotary_factor":0.5})"), "partial");
  unsupported(with(smollm2(), R"({"quantization_config":{"quant_method":"gptq"}})"), "quantised");
  Json json = gemma3();
  json["num_hidden_layers"] = 1;
  json["layer_types"] = {"chunked_attention"};
  unsupported(config_from_hf(json, Json()), "'chunked_attention'");
}

TEST(ConfigFromHf, RefusesNumbersOutOfRange) {
  struct Case {
    const char* change;
    const char* why;
  };
  for (const Case& c : std::vector<Case>{
           {R"({"num_hidden_layers":0})", "layers"},
           {R"({"num_hidden_layers":1025})", "layers"},
           {R"({"num_hidden_layers":"30"})", "not an integer"},
           {R"({"num_hidden_layers":30.0})", "not an integer"},
           {R"({"num_hidden_layers":null})", "is missing"},
           {R"({"hidden_size":-576})", "no width"},
           {R"({"hidden_size":9223372036854775807})", "divide"},
           {R"({"hidden_size":18446744073709551615})", "not an integer"},
           {R"({"hidden_size":1048577,"head_dim":64})", "model width"},
           {R"({"vocab_size":16777217})", "vocabulary"},
           {R"({"intermediate_size":0})", "feed-forward"},
           {R"({"num_attention_heads":0})", "no heads"},
           {R"({"num_attention_heads":5})", "divide"},
           {R"({"num_attention_heads":8192,"num_key_value_heads":1,"head_dim":2})", "heads"},
           {R"({"num_key_value_heads":2})", "cannot share"},
           {R"({"num_key_value_heads":0})", "key-value heads"},
           {R"({"head_dim":63})", "odd"},
           {R"({"head_dim":-2})", "head size"},
           {R"({"head_dim":1048576})", "head size"},
           {R"({"max_position_embeddings":0})", "context"},
           {R"({"rms_norm_eps":0})", "epsilon"},
           {R"({"rms_norm_eps":"1e-5"})", "not a number"},
           {R"({"rope_theta":0})", "theta"},
           {R"({"rope_theta":1e300})", "out of range"},
           {R"({"rope_scaling":{"rope_type":"linear"}})", "without a factor"},
           {R"({"rope_scaling":{"rope_type":"linear","factor":0}})", "factor"},
           {R"({"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":4}})",
            "frequency factors"},
           {R"({"rope_scaling":[]})", "not an object"},
           {R"({"layer_types":["full_attention"]})", "30 names"},
           {R"({"tie_word_embeddings":1})", "neither"},
           {R"({"bos_token_id":-5})", "BOS"},
           {R"({"model_type":7})", "not a string"},
           {R"({"model_type":null})", "missing"},
       }) {
    SCOPED_TRACE(c.change);
    expect_refused(with(smollm2(), c.change), c.why);
  }
  expect_refused(config_from_hf(*parse_json("[]"), Json()), "not an object");
  Json sliding = smollm2();
  sliding["num_hidden_layers"] = 1;
  sliding["layer_types"] = {"sliding_attention"};
  expect_refused(config_from_hf(sliding, Json()), "without a window");
}

// ---- GGUF

struct GgufModel {
  std::string architecture = "llama";
  std::function<void(GgufWriter&)> more = [](GgufWriter&) {};
  std::uint32_t layers = 2, width = 64, heads = 4;
};

Result<ModelConfig> from_gguf(const GgufModel& model) {
  GgufWriter w;
  const std::string a = model.architecture + ".";
  w.add_string("general.architecture", model.architecture);
  w.add_u32(a + "block_count", model.layers);
  w.add_u32(a + "context_length", 128);
  w.add_u32(a + "embedding_length", model.width);
  w.add_u32(a + "feed_forward_length", 96);
  w.add_u32(a + "attention.head_count", model.heads);
  w.add_f32(a + "attention.layer_norm_rms_epsilon", 1e-6f);
  model.more(w);
  w.add_tensor("token_embd.weight", DType::kF32, {10, 64});
  std::string bytes = w.header();
  bytes.resize(bytes.size() + 10 * 64 * 4 + 4096);
  const auto file = GgufFile::parse(testing::as_bytes(bytes));
  EXPECT_TRUE(file) << file.error().message;
  return config_from_gguf(**file);
}

TEST(ConfigFromGguf, LlamaDefaults) {
  const auto c = from_gguf({});
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->family, "llama");
  EXPECT_EQ(c->n_kv_heads, 4);
  EXPECT_EQ(c->head_dim, 16);
  EXPECT_EQ(c->vocab, 10);  // the embedding's rows
  EXPECT_EQ(c->rope.theta, 10000.f);
  EXPECT_EQ(c->rope.scaling, RopeSpec::Scaling::kNone);
  EXPECT_TRUE(c->rope_pairs && c->tied_embeddings);
  EXPECT_FALSE(c->norm_plus_one || c->attention_bias || c->mlp_bias);
  EXPECT_FLOAT_EQ(c->attention_scale, 0.25f);
  EXPECT_THAT(c->layer_slides, ElementsAre(false, false));
  EXPECT_THAT(c->eos, IsEmpty());
  EXPECT_EQ(c->bos, -1);
}

TEST(ConfigFromGguf, LlamaWithEverything) {
  const auto c = from_gguf({.more = [](GgufWriter& w) {
    w.add_u32("llama.attention.head_count_kv", 2);
    w.add_u32("llama.attention.key_length", 32);
    w.add_u32("llama.attention.value_length", 32);
    w.add_u32("llama.rope.dimension_count", 32);
    w.add_u32("llama.vocab_size", 9);
    w.add_f32("llama.rope.freq_base", 5e5f);
    w.add_string("llama.rope.scaling.type", "linear");
    w.add_f32("llama.rope.scaling.factor", 4.f);
    w.add_u32("tokenizer.ggml.bos_token_id", 0);
    w.add_u32("tokenizer.ggml.eos_token_id", 1);
    w.add_u32("tokenizer.ggml.eot_token_id", 3);
    w.add_tensor("output.weight", DType::kF32, {1});
    w.add_tensor("blk.0.attn_q.bias", DType::kF32, {1});
    w.add_tensor("blk.0.ffn_up.bias", DType::kF32, {1});
  }});
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->n_kv_heads, 2);
  EXPECT_EQ(c->head_dim, 32);
  EXPECT_EQ(c->vocab, 9);
  EXPECT_EQ(c->rope.theta, 5e5f);
  EXPECT_EQ(c->rope.scaling, RopeSpec::Scaling::kLinear);
  EXPECT_EQ(c->rope.factor, 4.f);
  EXPECT_THAT(c->eos, ElementsAre(1, 3));
  EXPECT_EQ(c->bos, 0);
  EXPECT_TRUE(c->attention_bias && c->mlp_bias);
  EXPECT_FALSE(c->tied_embeddings);
}

TEST(ConfigFromGguf, FrequencyFactorsComeFromTheirTensor) {
  const auto c = from_gguf({.more = [](GgufWriter& w) {
    w.add_tensor("rope_freqs.weight", DType::kF32, {7});  // zeros, of the wrong length
  }});
  expect_refused(c, "rope_freqs.weight does not hold 8");
  const auto zeros = from_gguf(
      {.more = [](GgufWriter& w) { w.add_tensor("rope_freqs.weight", DType::kF32, {8}); }});
  expect_refused(zeros, "frequency factor 0 is out of range");

  GgufWriter w;
  w.add_string("general.architecture", "llama");
  for (const char* key : {"block_count", "embedding_length", "feed_forward_length",
                          "context_length", "attention.head_count", "vocab_size"}) {
    w.add_u32(std::string("llama.") + key, 4);
  }
  w.add_u32("llama.attention.key_length", 4);
  w.add_f32("llama.attention.layer_norm_rms_epsilon", 1e-6f);
  w.add_tensor("rope_freqs.weight", DType::kF32, {2});
  const std::vector<float> factors = {1.f, 8.f};
  std::string bytes = w.header();
  bytes.append(reinterpret_cast<const char*>(factors.data()), 8);
  const auto file = GgufFile::parse(testing::as_bytes(bytes));
  ASSERT_TRUE(file) << file.error().message;
  const auto read = config_from_gguf(**file);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->rope.freq_factors, factors);
}

TEST(ConfigFromGguf, Gemma3) {
  const GgufModel model = {.architecture = "gemma3", .layers = 7};
  auto c = from_gguf(model);
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->activation, Activation::kGeluTanh);
  EXPECT_FLOAT_EQ(c->embedding_scale, 8.f);
  EXPECT_FALSE(c->norm_plus_one || c->rope_pairs);
  EXPECT_THAT(c->layer_slides, Each(false));  // no window

  GgufModel sliding = model;
  sliding.more = [](GgufWriter& w) {
    w.add_u32("gemma3.attention.sliding_window", 32);
    w.add_f32("gemma3.rope.freq_base", 1e6f);
    w.add_f32("gemma3.rope.scaling.factor", 8.f);
  };
  c = from_gguf(sliding);
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_THAT(c->layer_slides, ElementsAre(true, true, true, true, true, false, true));
  EXPECT_EQ(c->rope.theta, 1e6f);
  EXPECT_EQ(c->rope.factor, 8.f);
  EXPECT_EQ(c->rope_sliding.theta, 10000.f);
  EXPECT_EQ(c->rope_sliding.scaling, RopeSpec::Scaling::kNone);

  sliding.more = [](GgufWriter& w) {
    w.add_u32("gemma3.attention.sliding_window", 32);
    w.add_u32("gemma3.attention.sliding_window_pattern", 2);
    w.add_f32("gemma3.rope.freq_base_swa", 5000.f);
  };
  c = from_gguf(sliding);
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_THAT(c->layer_slides, ElementsAre(true, false, true, false, true, false, true));
  EXPECT_EQ(c->rope_sliding.theta, 5000.f);

  sliding.more = [](GgufWriter& w) {
    w.add_u32("gemma3.attention.sliding_window", 32);
    w.add_ints("gemma3.attention.sliding_window_pattern",
               std::vector<std::int32_t>{1, 0, 0, 0, 0, 0, 1});
  };
  c = from_gguf(sliding);
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_THAT(c->layer_slides, ElementsAre(true, false, false, false, false, false, true));
}

// Only the 27B model (62 layers) scales by the width per head.
TEST(ConfigFromGguf, Gemma3AttentionScale) {
  const auto head_of_8 = [](GgufWriter& w) {
    w.add_u32("gemma3.attention.key_length", 8);
    w.add_u32("gemma3.attention.value_length", 8);
  };
  GgufModel model = {.architecture = "gemma3", .more = head_of_8, .layers = 48};
  EXPECT_FLOAT_EQ(from_gguf(model)->attention_scale, 1.f / std::sqrt(8.f));
  model.layers = 62;
  EXPECT_FLOAT_EQ(from_gguf(model)->attention_scale, 1.f / std::sqrt(16.f));
}

TEST(ConfigFromGguf, RefusesAndNames) {
  expect_refused(from_gguf({.architecture = "rwkv7"}), "'rwkv7'", ErrorKind::kUnsupported);
  const auto refused = [](const std::function<void(GgufWriter&)>& more, const char* why,
                          ErrorKind kind = ErrorKind::kInvalid) {
    expect_refused(from_gguf({.more = more}), why, kind);
  };
  refused([](GgufWriter& w) { w.add_string("llama.rope.scaling.type", "yarn"); }, "'yarn'",
          ErrorKind::kUnsupported);
  refused([](GgufWriter& w) { w.add_u32("llama.rope.dimension_count", 8); }, "rotating 8 of 16",
          ErrorKind::kUnsupported);
  refused([](GgufWriter& w) { w.add_u32("llama.attention.value_length", 8); }, "values of 8",
          ErrorKind::kUnsupported);
  refused([](GgufWriter& w) { w.add_u32("llama.expert_count", 8); }, "experts",
          ErrorKind::kUnsupported);
  refused([](GgufWriter& w) { w.add_u64("llama.vocab_size", 1ull << 40); }, "vocabulary");
  refused([](GgufWriter& w) { w.add_i32("llama.attention.head_count_kv", -1); }, "key-value");
  refused([](GgufWriter& w) { w.add_u32("llama.attention.key_length", 0); }, "heads of 0");
  refused([](GgufWriter& w) { w.add_f32("llama.rope.freq_base", std::nanf("")); }, "theta");
  refused([](GgufWriter& w) { w.add_u32("tokenizer.ggml.eos_token_id", 10); }, "EOS token 10");
  refused([](GgufWriter& w) { w.add_u32("tokenizer.ggml.bos_token_id", 10); }, "BOS token 10");
  expect_refused(from_gguf({.layers = 1u << 31}), "layers");
  expect_refused(from_gguf({.layers = 0}), "layers");
  expect_refused(from_gguf({.heads = 0}), "no heads");
  expect_refused(from_gguf({.width = 1u << 30}), "model width");
  const auto empty = GgufFile::parse(testing::as_bytes(GgufWriter().header()));
  expect_refused(config_from_gguf(**empty), "'general.architecture' is missing");
}

// Each byte of a header changed, and of a config.json: an error or a checked configuration.
TEST(ConfigCorruption, GgufHeader) {
  std::size_t header = 0;
  const std::string whole = testing::small_gguf(&header);
  int made = 0;
  for (std::size_t at = 0; at < header; ++at) {
    for (const int flip : {0x01, 0x40, 0xff}) {
      std::string broken = whole;
      broken[at] = static_cast<char>(broken[at] ^ flip);
      const auto file = GgufFile::parse(testing::as_bytes(broken));
      if (!file) continue;
      const auto config = config_from_gguf(**file);
      if (!config) continue;
      ++made;
      ASSERT_THAT(config->layer_slides, SizeIs(static_cast<std::size_t>(config->n_layers)));
    }
  }
  EXPECT_GT(made, 100);  // a changed token or weight name does not matter here
}

TEST(ConfigCorruption, ConfigJson) {
  const std::string whole = dump_json(gemma3());
  int refused = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    const auto cut = parse_json(whole.substr(0, at));
    ASSERT_FALSE(cut);
    for (const int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::string broken = whole;
      broken[at] = static_cast<char>(broken[at] ^ flip);
      const auto json = parse_json(broken);
      const auto config = json ? config_from_hf(*json, Json()) : tl::unexpected(json.error());
      if (config) {
        ASSERT_THAT(config->layer_slides, SizeIs(static_cast<std::size_t>(config->n_layers)));
        continue;
      }
      ++refused;
      ASSERT_FALSE(config.error().message.empty());
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace hearth::model

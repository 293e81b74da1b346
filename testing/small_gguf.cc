#include "testing/small_gguf.h"

#include <cstdint>
#include <random>
#include <vector>

#include "formats/gguf_writer.h"
#include "tensor/dtype.h"

namespace hearth::testing {

std::string small_gguf(std::size_t* data_begins) {
  constexpr int kWidth = 32, kFeedForward = 64, kVocab = 8, kLayers = 2, kKvWidth = 16;
  GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  writer.add_u32("llama.block_count", kLayers);
  writer.add_u32("llama.context_length", 64);
  writer.add_u32("llama.embedding_length", kWidth);
  writer.add_u32("llama.feed_forward_length", kFeedForward);
  writer.add_u32("llama.attention.head_count", 4);
  writer.add_u32("llama.attention.head_count_kv", 2);
  writer.add_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  writer.add_f32("llama.rope.freq_base", 10000.f);
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", "gpt2");
  writer.add_strings("tokenizer.ggml.tokens", {"a", "b", "c", "ab", "abc", "<s>", "</s>", "?"});
  writer.add_ints("tokenizer.ggml.token_type", std::vector<std::int32_t>{1, 1, 1, 1, 1, 3, 3, 2});
  writer.add_strings("tokenizer.ggml.merges", {"a b", "ab c"});
  writer.add_u32("tokenizer.ggml.bos_token_id", 5);
  writer.add_u32("tokenizer.ggml.eos_token_id", 6);
  writer.add_bool("tokenizer.ggml.add_bos_token", true);

  struct Tensor {
    std::string name;
    DType type;
    std::vector<std::int64_t> shape;
  };
  std::vector<Tensor> tensors = {
      {"token_embd.weight", DType::kQ8_0, {kVocab, kWidth}},
      {"output_norm.weight", DType::kF32, {kWidth}},
      {"output.weight", DType::kF16, {kVocab, kWidth}},
  };
  for (int i = 0; i < kLayers; ++i) {
    const std::string block = "blk." + std::to_string(i) + ".";
    tensors.push_back({block + "attn_norm.weight", DType::kF32, {kWidth}});
    tensors.push_back({block + "attn_q.weight", DType::kQ4_0, {kWidth, kWidth}});
    tensors.push_back({block + "attn_k.weight", DType::kQ4_1, {kKvWidth, kWidth}});
    tensors.push_back({block + "attn_v.weight", DType::kBF16, {kKvWidth, kWidth}});
    tensors.push_back({block + "attn_output.weight", DType::kQ5_0, {kWidth, kWidth}});
    tensors.push_back({block + "ffn_norm.weight", DType::kF32, {kWidth}});
    tensors.push_back({block + "ffn_gate.weight", DType::kQ4_0, {kFeedForward, kWidth}});
    tensors.push_back({block + "ffn_up.weight", DType::kQ5_1, {kFeedForward, kWidth}});
    tensors.push_back({block + "ffn_down.weight", DType::kQ8_0, {kWidth, kFeedForward}});
  }
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0.f, 0.1f);
  std::string data;
  for (const Tensor& tensor : tensors) {
    writer.add_tensor(tensor.name, tensor.type, tensor.shape);
    std::int64_t elems = 1;
    for (const auto dim : tensor.shape) elems *= dim;
    std::vector<float> values(static_cast<std::size_t>(elems));
    for (float& value : values) value = tensor.shape.size() == 1 ? 1.f : normal(random);
    std::string stored(static_cast<std::size_t>(*row_bytes(tensor.type, elems)), '\0');
    quantize(tensor.type, values.data(), stored.data(), elems);
    data += stored;
    data.resize((data.size() + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment);
  }
  const std::string header = writer.header();
  if (data_begins != nullptr) *data_begins = header.size();
  return header + data;
}

}  // namespace hearth::testing

#include "testing/quantized_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "base/fs.h"
#include "formats/gguf_writer.h"
#include "tensor/dtype.h"

namespace hearth {

Status write_quantized_model(const std::string& path) {
  constexpr std::int64_t kWidth = 256;
  constexpr std::int64_t kKeys = 128;
  constexpr DType kKinds[] = {DType::kQ4_0, DType::kQ4_K, DType::kQ5_0, DType::kQ5_K,
                              DType::kQ6_K, DType::kQ8_0, DType::kQ4_1, DType::kQ5_1};
  GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  writer.add_string("tokenizer.ggml.model", "no_vocab");
  const std::pair<const char*, std::uint32_t> numbers[] = {
      {"block_count", 3},           {"context_length", 256},     {"embedding_length", kWidth},
      {"feed_forward_length", 512}, {"attention.head_count", 4}, {"attention.head_count_kv", 2},
      {"vocab_size", 256}};
  for (const auto& [key, value] : numbers) writer.add_u32(std::string("llama.") + key, value);
  writer.add_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  struct Planned {
    std::string name;
    std::int64_t rows, columns;  // rows 0: a vector of ones
  };
  std::vector<Planned> planned = {{"token_embd", 256, kWidth}, {"output_norm", 0, kWidth}};
  for (int l = 0; l < 3; ++l) {
    const std::string b = fmt::format("blk.{}.", l);
    for (const auto& [name, rows, columns] : {Planned{"attn_norm", 0, kWidth},
                                              {"attn_q", kWidth, kWidth},
                                              {"attn_k", kKeys, kWidth},
                                              {"attn_v", kKeys, kWidth},
                                              {"attn_output", kWidth, kWidth},
                                              {"ffn_norm", 0, kWidth},
                                              {"ffn_gate", 512, kWidth},
                                              {"ffn_up", 512, kWidth},
                                              {"ffn_down", kWidth, 512}})
      planned.push_back({b + name, rows, columns});
  }
  const auto kind = [&](std::size_t i) { return planned[i].rows ? kKinds[i % 8] : DType::kF32; };
  for (std::size_t i = 0; i < planned.size(); ++i) {
    const Planned& t = planned[i];
    writer.add_tensor(t.name + ".weight", kind(i),
                      t.rows ? std::vector{t.rows, t.columns} : std::vector{t.columns});
  }
  HEARTH_TRY_VOID(writer.begin(FileSystem::real(), path));
  std::mt19937 random(41);
  std::normal_distribution<float> normal(0.f, 0.1f);
  for (std::size_t i = 0; i < planned.size(); ++i) {
    std::vector<float> row(static_cast<std::size_t>(planned[i].columns), 1.f);
    std::vector<std::byte> stored(
        static_cast<std::size_t>(*row_bytes(kind(i), planned[i].columns)));
    for (std::int64_t r = 0; r < std::max<std::int64_t>(1, planned[i].rows); ++r) {
      if (planned[i].rows)
        for (float& x : row) x = normal(random);
      quantize(kind(i), row.data(), stored.data(), planned[i].columns);
      HEARTH_TRY_VOID(writer.append(stored));
    }
  }
  return writer.finish();
}

}  // namespace hearth

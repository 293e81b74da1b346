// hearth synth: a GGUF file with random weights in a real model's shape, for measuring.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>

#include "apps/commands.h"
#include "apps/model_options.h"
#include "base/cpu.h"
#include "base/fs.h"
#include "base/thread_pool.h"
#include "formats/gguf_writer.h"

namespace hearth::apps {
namespace {

struct Shape {
  const char* name;
  const char* architecture;
  std::int64_t layers, d_model, d_ff, heads, kv_heads, head_dim, vocab, context, window;
  float rope_theta;
  bool tied;
};
// From the models' own config.json.
constexpr Shape kShapes[] = {
    {"smollm2-135m", "llama", 30, 576, 1536, 9, 3, 64, 49152, 8192, 0, 1e5f, true},
    {"smollm2-360m", "llama", 32, 960, 2560, 15, 5, 64, 49152, 8192, 0, 1e5f, true},
    {"smollm2-1.7b", "llama", 24, 2048, 8192, 32, 32, 64, 49152, 8192, 0, 1.3e5f, true},
    {"tinyllama-1.1b", "llama", 22, 2048, 5632, 32, 4, 64, 32000, 2048, 0, 1e4f, false},
    {"llama-3.2-1b", "llama", 16, 2048, 8192, 32, 8, 64, 128256, 131072, 0, 5e5f, true},
    {"llama-3.2-3b", "llama", 28, 3072, 8192, 24, 8, 128, 128256, 131072, 0, 5e5f, true},
    {"llama-2-7b", "llama", 32, 4096, 11008, 32, 32, 128, 32000, 4096, 0, 1e4f, false},
    {"llama-3.1-8b", "llama", 32, 4096, 14336, 32, 8, 128, 128256, 131072, 0, 5e5f, false},
    {"llama-3.1-70b", "llama", 80, 8192, 28672, 64, 8, 128, 128256, 131072, 0, 5e5f, false},
    {"gemma-3-270m", "gemma3", 18, 640, 2048, 4, 1, 256, 262144, 32768, 512, 1e6f, true},
    {"gemma-3-1b", "gemma3", 26, 1152, 6912, 4, 1, 256, 262144, 32768, 512, 1e6f, true},
};

struct Options {
  std::string shape, type = "q4_0", out;
  std::uint64_t seed = 1;
};

struct Planned {
  std::string name;
  DType type;
  std::vector<std::int64_t> shape;
  float deviation;  // 0: ones (norms)
};

std::vector<Planned> plan(const Shape& s, DType type) {
  std::vector<Planned> out;
  const bool gemma = std::string_view(s.architecture) == "gemma3";
  const std::int64_t q = s.heads * s.head_dim;
  const std::int64_t kv = s.kv_heads * s.head_dim;
  // Rows that are no whole number of a kind's blocks are kept in Q8_0, or as halves.
  const auto kind = [&](std::int64_t columns, DType wanted) {
    if (columns % info(wanted).block_elems == 0) return wanted;
    return columns % 32 == 0 ? DType::kQ8_0 : DType::kF16;
  };
  const auto matrix = [&](const std::string& name, std::int64_t rows, std::int64_t columns,
                          DType wanted) {
    out.push_back({name,
                   kind(columns, wanted),
                   {rows, columns},
                   1.f / std::sqrt(static_cast<float>(columns))});
  };
  const auto norm = [&](const std::string& name, std::int64_t n) {
    out.push_back({name, DType::kF32, {n}, 0.f});
  };
  // Published 4- and 5-bit files keep the embedding, where it is the head too, in a finer kind.
  const bool small = info(type).block_elems > 1 && type != DType::kQ8_0;
  matrix("token_embd.weight", s.vocab, s.d_model, small && s.tied ? DType::kQ6_K : type);
  norm("output_norm.weight", s.d_model);
  if (!s.tied) matrix("output.weight", s.vocab, s.d_model, small ? DType::kQ6_K : type);
  for (std::int64_t l = 0; l < s.layers; ++l) {
    const std::string b = fmt::format("blk.{}.", l);
    norm(b + "attn_norm.weight", s.d_model);
    matrix(b + "attn_q.weight", q, s.d_model, type);
    matrix(b + "attn_k.weight", kv, s.d_model, type);
    matrix(b + "attn_v.weight", kv, s.d_model, type);
    matrix(b + "attn_output.weight", s.d_model, q, type);
    norm(b + "ffn_norm.weight", s.d_model);
    matrix(b + "ffn_gate.weight", s.d_ff, s.d_model, type);
    matrix(b + "ffn_up.weight", s.d_ff, s.d_model, type);
    matrix(b + "ffn_down.weight", s.d_model, s.d_ff, type);
    if (gemma) {
      norm(b + "attn_q_norm.weight", s.head_dim);
      norm(b + "attn_k_norm.weight", s.head_dim);
      norm(b + "post_attention_norm.weight", s.d_model);
      norm(b + "post_ffw_norm.weight", s.d_model);
    }
  }
  return out;
}

// xorshift64*: fast, and good enough for weights that mean nothing.
struct Generator {
  std::uint64_t state;
  float uniform() {  // [-1, 1)
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    const auto bits = static_cast<std::uint32_t>((state * 0x2545f4914f6cdd1du) >> 40);
    return static_cast<float>(bits) * 0x1.0p-23f - 1.f;
  }
};

Status write_tensor(GgufWriter& writer, const Planned& t, std::uint64_t seed, ThreadPool& pool) {
  const std::int64_t columns = t.shape.back();
  const std::int64_t rows = t.shape.size() == 2 ? t.shape[0] : 1;
  const std::int64_t bytes = *row_bytes(t.type, columns);
  const std::int64_t stretch = std::max<std::int64_t>(1, (16 << 20) / bytes);
  std::vector<std::byte> buffer;
  for (std::int64_t first = 0; first < rows; first += stretch) {
    const std::int64_t n = std::min(stretch, rows - first);
    buffer.resize(static_cast<std::size_t>(n * bytes));
    pool.parallel_for(n, [&](std::int64_t r, int) {
      Generator generator{(seed + 1) * 0x9e3779b97f4a7c15u ^
                          (static_cast<std::uint64_t>(first + r) + 1) * 0xbf58476d1ce4e5b9u};
      std::vector<float> row(static_cast<std::size_t>(columns), 1.f);
      if (t.deviation > 0.f)
        for (float& x : row) x = generator.uniform() * t.deviation * 1.7320508f;
      quantize(t.type, row.data(), buffer.data() + r * bytes, columns);
    });
    HEARTH_TRY_VOID(writer.append(buffer));
  }
  return {};
}

Status synth(const Options& options) {
  const auto* shape = std::find_if(std::begin(kShapes), std::end(kShapes),
                                   [&](const Shape& s) { return options.shape == s.name; });
  const auto type = dtype_from_name(options.type);
  HEARTH_CHECK(shape != std::end(kShapes) && type);  // the command line has seen to it

  GgufWriter writer;
  const std::string a = std::string(shape->architecture) + ".";
  writer.add_string("general.architecture", shape->architecture);
  writer.add_string("general.name", fmt::format("random weights in the shape of {}", shape->name));
  const auto number = [&](const char* key, std::int64_t value) {
    writer.add_u32(a + key, static_cast<std::uint32_t>(value));
  };
  number("block_count", shape->layers);
  number("context_length", shape->context);
  number("embedding_length", shape->d_model);
  number("feed_forward_length", shape->d_ff);
  number("attention.head_count", shape->heads);
  number("attention.head_count_kv", shape->kv_heads);
  number("attention.key_length", shape->head_dim);
  number("attention.value_length", shape->head_dim);
  number("rope.dimension_count", shape->head_dim);
  number("vocab_size", shape->vocab);
  if (shape->window > 0) number("attention.sliding_window", shape->window);
  writer.add_f32(a + "rope.freq_base", shape->rope_theta);
  writer.add_f32(a + "attention.layer_norm_rms_epsilon", 1e-5f);
  writer.add_string("tokenizer.ggml.model", "no_vocab");
  const std::vector<Planned> tensors = plan(*shape, *type);
  for (const Planned& t : tensors) writer.add_tensor(t.name, t.type, t.shape);
  HEARTH_TRY_VOID(writer.begin(FileSystem::real(), options.out));
  ThreadPool pool(usable_cores());
  for (std::size_t i = 0; i < tensors.size(); ++i)
    HEARTH_TRY_VOID(write_tensor(writer, tensors[i], options.seed + i, pool));
  return writer.finish();
}

}  // namespace

void add_synth(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand("synth", "Random weights in a real model's shape");
  command->add_option("OUT", options->out, "The GGUF file to write")->required();
  std::vector<std::string> shapes;
  for (const Shape& s : kShapes) shapes.emplace_back(s.name);
  command->add_option("--shape", options->shape, "Whose shape")
      ->required()
      ->check(CLI::IsMember(shapes));
  command->add_option("--type", options->type, "Kind of the matrices: f16, q4_0, q4_k, ...")
      ->check([](const std::string& type) {
        return dtype_from_name(type) ? std::string() : type + " is no kind of tensor";
      });
  command->add_option("--seed", options->seed, "The same seed gives the same file");
  command->callback([options] { finish_command(synth(*options)); });
}

}  // namespace hearth::apps

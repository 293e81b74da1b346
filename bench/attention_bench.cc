// Attention over pages. A prompt's tile shares keys and values: the figure is operations (4 a key,
// dimension and row). One token reads each key and value once: bytes of them.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "kernels/ops.h"
#include "kernels_bench.h"
#include "testing/random_floats.h"

namespace hearth::kernels {
namespace {

constexpr std::int64_t kDim = 64;
constexpr std::int64_t kHeads = 3;  // that share a KV head

struct Free {
  void operator()(std::byte* p) const { std::free(p); }
};

// A KV head's pages, filled by kv_store.
struct Context {
  Context(const Ops& ops, KvType type, std::int64_t tokens) : layout{type, 1, kDim} {
    Random random(1);
    const Floats key = random.normal(kDim);
    const Floats value = random.normal(kDim);
    const auto bytes = static_cast<std::size_t>((layout.head_bytes() + 63) / 64 * 64);
    for (std::int64_t t = 0; t < tokens; t += kPageTokens) {
      memory.emplace_back(static_cast<std::byte*>(std::aligned_alloc(64, bytes)));
      pages.push_back(memory.back().get());
      for (std::int64_t slot = 0; slot < kPageTokens; ++slot)
        ops.kv_store(layout, key.data(), value.data(), memory.back().get(), slot);
    }
  }
  KvLayout layout;
  std::vector<std::unique_ptr<std::byte, Free>> memory;
  std::vector<const std::byte*> pages;
};

void attention(benchmark::State& state, Isa isa, KvType type) {
  const Ops& ops = ops_for(isa);
  const std::int64_t tokens = state.range(0);
  const std::int64_t keys = state.range(1);
  const Context context(ops, type, keys);
  Random random(2);
  const Floats queries = random.normal(tokens * kHeads * kDim);
  Floats out(queries.size());
  Floats scratch(static_cast<std::size_t>(attention_scratch_floats(kDim)));
  AttentionTile tile;
  tile.queries = queries.data();
  tile.out = out.data();
  tile.query_stride = tile.out_stride = kHeads * kDim;
  tile.tokens = tokens;
  tile.heads = kHeads;
  tile.position = keys - tokens;
  tile.pages = context.pages.data();
  tile.layout = context.layout;
  for (auto _ : state) {
    ops.attention(tile, 0, (keys + kSpanTokens - 1) / kSpanTokens, nullptr, scratch.data());
    benchmark::DoNotOptimize(out.data());
  }
  const auto rounds = static_cast<double>(state.iterations());
  state.counters["OP/s"] = benchmark::Counter(
      rounds * static_cast<double>(4 * tokens * kHeads * keys * kDim), benchmark::Counter::kIsRate);
  state.counters["cache B/s"] =
      benchmark::Counter(rounds * static_cast<double>(context.pages.size()) *
                             static_cast<double>(context.layout.head_bytes()),
                         benchmark::Counter::kIsRate);
}

void store(benchmark::State& state, Isa isa, KvType type) {
  const Ops& ops = ops_for(isa);
  Context context(ops, type, 64 * kPageTokens);
  Random random(3);
  const Floats row = random.normal(2 * kDim);
  std::int64_t at = 0;
  for (auto _ : state) {
    const std::int64_t slot = at++ % (64 * kPageTokens);
    ops.kv_store(context.layout, row.data(), row.data() + kDim,
                 context.memory[static_cast<std::size_t>(slot / kPageTokens)].get(),
                 slot % kPageTokens);
  }
  state.SetItemsProcessed(state.iterations());
}

}  // namespace

void register_attention() {
  struct Kind {
    KvType type;
    const char* name;
  };
  for (Isa isa : supported_isas()) {
    for (const Kind kind :
         {Kind{KvType::kF16, "f16"}, {KvType::kBF16, "bf16"}, {KvType::kI8, "int8"}}) {
      const std::string prefix = std::string(isa_name(isa)) + "/";
      benchmark::RegisterBenchmark(
          (prefix + "attention " + kind.name).c_str(),
          [isa, kind](benchmark::State& s) { attention(s, isa, kind.type); })
          ->ArgNames({"tokens", "keys"})
          ->Args({16, 512})
          ->Args({1, 512})
          ->Args({1, 4096});
      benchmark::RegisterBenchmark((prefix + "kv_store " + kind.name).c_str(),
                                   [isa, kind](benchmark::State& s) { store(s, isa, kind.type); });
    }
  }
}

}  // namespace hearth::kernels

// Matrix products alone, with the figure that their limit is measured in: operations for many rows,
// bytes of weights for one.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "kernels/ops.h"
#include "kernels_bench.h"

namespace hearth::kernels {
namespace {

struct Free {
  void operator()(std::byte* p) const { std::free(p); }
};

void matmul(benchmark::State& state, Isa isa, DType type) {
  const std::int64_t m = state.range(0), rows = state.range(1), columns = state.range(2);
  const Ops& ops = ops_for(isa);
  PackedMatrix w = {form_of(type, ops.pairs), rows, columns, nullptr};
  const auto bytes = static_cast<std::size_t>((w.bytes() + 63) / 64 * 64);
  const std::unique_ptr<std::byte, Free> memory(
      static_cast<std::byte*>(std::aligned_alloc(64, bytes)));
  w.data = memory.get();
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> row(static_cast<std::size_t>(columns));
  for (float& x : row) x = normal(random);
  std::vector<std::byte> stored(static_cast<std::size_t>(*row_bytes(type, columns)));
  quantize(type, row.data(), stored.data(), columns);
  const void* pointers[kPanelRows];
  for (const void*& p : pointers) p = stored.data();
  for (std::int64_t p = 0; p < w.panels(); ++p)
    pack_panel(type, pointers, columns, memory.get() + p * panel_bytes(w.form, columns), ops.pairs);

  std::vector<float> x(static_cast<std::size_t>(m * columns));
  for (float& v : x) v = normal(random);
  std::vector<std::int8_t> codes(x.size());
  std::vector<float> scales(x.size() / 32), sums(x.size() / 32);
  std::vector<std::int32_t> halves(x.size() / 16);
  const QuantizedRows q = {codes.data(), scales.data(), sums.data(), halves.data(), columns};
  ops.quantize_rows(x.data(), columns, 0, m, q);
  std::vector<float> out(static_cast<std::size_t>(m * rows));
  std::vector<float> scratch(static_cast<std::size_t>(pairs_scratch_floats(m, columns)));
  for (auto _ : state) {
    if (is_quantized(w.form))
      ops.matmul_q(w, q, nullptr, Store::kSet, 0, w.panels(), 0, m, out.data(), rows);
    else
      ops.matmul_f(w, x.data(), columns, nullptr, Store::kSet, 0, w.panels(), 0, m, out.data(),
                   rows, scratch.data());
    benchmark::DoNotOptimize(out.data());
  }
  const auto rounds = static_cast<double>(state.iterations());
  state.counters["OP/s"] = benchmark::Counter(
      rounds * 2.0 * static_cast<double>(m * rows * columns), benchmark::Counter::kIsRate);
  state.counters["weights B/s"] =
      benchmark::Counter(rounds * static_cast<double>(w.bytes()), benchmark::Counter::kIsRate);
}

}  // namespace

void register_matmul() {
  for (Isa isa : supported_isas()) {
    for (DType type : {DType::kQ4_0, DType::kQ4_1, DType::kQ4_K, DType::kQ5_1, DType::kQ6_K,
                       DType::kQ8_0, DType::kF16}) {
      const std::string name = std::string(isa_name(isa)) + "/" + info(type).name;
      auto* b = benchmark::RegisterBenchmark(
          name.c_str(), [isa, type](benchmark::State& s) { matmul(s, isa, type); });
      b->ArgNames({"tokens", "rows", "columns"});
      for (std::int64_t m : {1, 32, 96}) b->Args({m, 1536, 768});
    }
  }
}

}  // namespace hearth::kernels

int main(int argc, char** argv) {
  hearth::kernels::register_matmul();
  hearth::kernels::register_rows();
  hearth::kernels::register_attention();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

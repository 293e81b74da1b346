// What is done to rows between the matrix products. All of it streams: the figure is bytes a
// second, read and written, to hold against the first-level cache (rows of a few thousand columns
// stay there).
#include <benchmark/benchmark.h>

#include <functional>
#include <string>
#include <vector>

#include "kernels/ops.h"
#include "kernels_bench.h"
#include "testing/random_floats.h"

namespace hearth::kernels {
namespace {

struct Rows {
  static constexpr std::int64_t kRows = 16;
  explicit Rows(std::int64_t n) : columns(n) {
    Random random(1);
    x = random.normal(kRows * 2 * columns);
    weight = random.normal(columns);
    out.resize(static_cast<std::size_t>(kRows * columns));
    codes.resize(out.size());
    scales.resize(out.size() / 32);
    sums.resize(out.size() / 32);
    halves.resize(out.size() / 16);
  }
  QuantizedRows quantized() {
    return {codes.data(), scales.data(), sums.data(), halves.data(), columns};
  }
  std::int64_t columns;
  const Floats cosines = Floats(32, 0.6f), sines = Floats(32, 0.8f);  // of one angle
  Floats x, weight, out, scales, sums;
  std::vector<std::int8_t> codes;
  std::vector<std::int32_t> halves;
};

struct Kernel {
  const char* name;
  double bytes;  // read and written for each column of a row
  std::function<void(const Ops&, Rows&)> run;
};

std::vector<Kernel> kernels() {
  return {
      {"rms_norm", 4 + 4 + 4,  // twice through the row, which stays in the cache
       [](const Ops& ops, Rows& r) {
         for (std::int64_t i = 0; i < Rows::kRows; ++i)
           ops.rms_norm(r.x.data() + i * r.columns, r.weight.data(), 1e-5f, r.columns, Store::kSet,
                        r.out.data() + i * r.columns);
       }},
      {"quantize_rows", 4 + 1 + 0.5,
       [](const Ops& ops, Rows& r) {
         ops.quantize_rows(r.x.data(), r.columns, 0, Rows::kRows, r.quantized());
       }},
      {"gate", 4 + 4 + 4,
       [](const Ops& ops, Rows& r) {
         for (std::int64_t i = 0; i < Rows::kRows; ++i)
           ops.gate(GateKind::kSilu, r.x.data() + i * 2 * r.columns,
                    r.x.data() + (i * 2 + 1) * r.columns, r.columns, r.out.data() + i * r.columns);
       }},
      {"gate_quantize", 4 + 4 + 1 + 0.5,
       [](const Ops& ops, Rows& r) {
         for (std::int64_t g = 0; g < r.columns / kGroup; ++g)
           ops.gate_quantize(GateKind::kSilu, r.x.data() + g * Rows::kRows * 2 * kGroup,
                             Rows::kRows, r.quantized(), 0, g);
       }},
      {"rope", 4 + 4 + 4,  // in place; cosines and sines
       [](const Ops& ops, Rows& r) {
         for (std::int64_t i = 0; i < Rows::kRows; ++i)
           for (std::int64_t h = 0; h + 64 <= r.columns; h += 64)
             ops.rope(r.out.data() + i * r.columns + h, r.cosines.data(), r.sines.data(), 64, 1.f);
       }},
      {"argmax", 4,
       [](const Ops& ops, Rows& r) {
         benchmark::DoNotOptimize(ops.argmax(r.x.data(), Rows::kRows * r.columns));
       }},
      {"logsumexp", 4,
       [](const Ops& ops, Rows& r) {
         benchmark::DoNotOptimize(ops.logsumexp(r.x.data(), Rows::kRows * r.columns));
       }},
      {"exponentials", 4 + 4,
       [](const Ops& ops, Rows& r) {
         for (std::int64_t i = 0; i < Rows::kRows; ++i)
           ops.exponentials(r.x.data() + i * r.columns, r.columns, 8.f, 1.f,
                            r.out.data() + i * r.columns);
       }},
  };
}

}  // namespace

void register_rows() {
  for (Isa isa : supported_isas()) {
    for (const Kernel& kernel : kernels()) {
      const std::string name = std::string(isa_name(isa)) + "/" + kernel.name;
      benchmark::RegisterBenchmark(
          name.c_str(),
          [isa, kernel](benchmark::State& state) {
            Rows rows(state.range(0));
            for (auto _ : state) {
              kernel.run(ops_for(isa), rows);
              benchmark::DoNotOptimize(rows.out.data());
              benchmark::ClobberMemory();
            }
            state.SetBytesProcessed(static_cast<std::int64_t>(
                static_cast<double>(state.iterations() * Rows::kRows * rows.columns) *
                kernel.bytes));
          })
          ->ArgName("columns")
          ->Arg(2048);
    }
  }
}

}  // namespace hearth::kernels

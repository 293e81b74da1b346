#include "backend/machine.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "backend/cpu/memory.h"
#include "base/cpu.h"
#include "base/thread_pool.h"
#include "kernels/ops.h"

namespace hearth::backend {
namespace {

template <class Fn>
double seconds(Fn fn) {
  const auto begin = std::chrono::steady_clock::now();
  fn();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

Result<MachinePeaks> measure_peaks(int threads, int rounds, std::int64_t bytes) {
  HEARTH_TRY(const kernels::Ops* const chosen, kernels::choose_ops());
  const kernels::Ops& ops = *chosen;
  ThreadPool pool(threads > 0 ? threads : usable_cores());
  const std::int64_t n = pool.threads();
  std::vector<Mapping> memory(static_cast<std::size_t>(n));
  for (Mapping& m : memory) {
    HEARTH_TRY(m, Mapping::reserve(bytes, true));
  }
  std::vector<std::int32_t> sinks(static_cast<std::size_t>(n) * 16);
  const auto sink = [&](std::int64_t i) { return &sinks[static_cast<std::size_t>(i) * 16]; };
  pool.parallel_for(n, [&](std::int64_t i, int) {
    std::memset(memory[static_cast<std::size_t>(i)].data(), 1, bytes);
  });
  MachinePeaks peaks;
  for (int round = 0; round < rounds; ++round) {
    const double read = seconds([&] {
      pool.parallel_for(n, [&](std::int64_t i, int) {
        ops.read_loop(memory[static_cast<std::size_t>(i)].data(), bytes, sink(i));
      });
    });
    peaks.read_gb_s = std::max(peaks.read_gb_s, static_cast<double>(n * bytes) / read / 1e9);
    const auto rate = [&](double (*loop)(std::int64_t, std::int32_t*)) {
      constexpr std::int64_t kRounds = 2'000'000;
      std::vector<double> operations(static_cast<std::size_t>(n));
      const double took = seconds([&] {
        pool.parallel_for(n, [&](std::int64_t i, int) {
          operations[static_cast<std::size_t>(i)] = loop(kRounds, sink(i));
        });
      });
      double total = 0;
      for (double o : operations) total += o;
      return total / took / 1e12;
    };
    peaks.int8_tops = std::max(peaks.int8_tops, rate(ops.int8_peak_loop));
    peaks.float_tops = std::max(peaks.float_tops, rate(ops.float_peak_loop));
  }
  peaks.bf16 = ops.pairs;
  return peaks;
}

}  // namespace hearth::backend

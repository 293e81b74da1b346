// The rest of the backend: reductions over logits, work between steps, memory, what it says of
// itself, and the machine's limits.
#include <atomic>
#include <cmath>
#include <limits>

#include "backend/cpu/cache.h"
#include "backend/cpu/test_oracle.h"
#include "backend/machine.h"

namespace hearth::backend {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class Reductions : public PerIsa {
 protected:
  Rig one = rig();
  Backend& backend = one.backend();
};
INSTANTIATE_TEST_SUITE_P(Isas, Reductions, every_isa(), isa_and_precision);

constexpr std::int64_t kLengths[] = {1, 2, 15, 16, 17, 63, 64, 65, 128, 1000};

TEST_P(Reductions, ArgmaxTakesTheFirstOfEquals) {
  for (std::int64_t n : kLengths) {
    for (int trial = 0; trial < 8; ++trial) {
      Floats x = random.normal(n);
      const std::int64_t first = random.range(0, n - 1);
      const std::int64_t second = random.range(first, n - 1);
      x[at(first)] = x[at(second)] = trial % 2 ? 100.f : kInfinity;
      EXPECT_EQ(backend.argmax(x), first) << n;
      // Also where all are below zero, or most are -inf.
      for (float& v : x)
        if (v < 100.f) v = trial % 4 < 2 ? -kInfinity : v - 1000.f;
      x[at(first)] = x[at(second)] = -3.f;
      EXPECT_EQ(backend.argmax(x), first) << n;
    }
  }
}

TEST_P(Reductions, ArgmaxRefusesNaNAndNothing) {
  for (std::int64_t n : kLengths) {
    EXPECT_EQ(backend.argmax(Floats(at(n), -kInfinity)), -1) << n;
    for (const std::int64_t bad : {std::int64_t{0}, n / 3, n - 1}) {
      for (const float largest : {1.f, kInfinity}) {
        Floats x = random.normal(n);
        x[at(n / 2)] = largest;
        x[at(bad)] = std::nanf("");
        EXPECT_EQ(backend.argmax(x), -1) << bad << " of " << n;
      }
    }
  }
}

// A sum of n weights, each e^x with its relative error, moves the logarithm by about as much; the
// argument's rounding (u times the range), and the result's, come on top. The sum is kept in double
// but for the 16 lanes.
TEST_P(Reductions, LogSumExp) {
  for (std::int64_t n : kLengths) {
    for (const float deviation : {0.1f, 5.f, 60.f}) {
      for (const float shift : {0.f, -300.f, 2000.f}) {
        Floats x = random.normal(n, deviation);
        for (float& v : x) v += shift;
        const auto [low, high] = std::minmax_element(x.begin(), x.end());
        double sum = 0;
        for (float v : x) sum += std::exp(static_cast<double>(v) - *high);
        const double want = *high + std::log(sum);
        // Weights far down are clamped to e^-87: nothing beside the largest, which is 1.
        const double bound = kExpError +
                             (8 + std::min(88.0, static_cast<double>(*high) - *low)) * kUnit +
                             kUnit * std::fabs(want);
        EXPECT_NEAR(backend.logsumexp(x), want, bound) << n << " " << deviation << " " << shift;
      }
    }
    Floats x = random.normal(n);
    x[at(n / 2)] = std::nanf("");
    EXPECT_TRUE(std::isnan(backend.logsumexp(x))) << n;
  }
}

TEST_P(Reductions, Exponentials) {
  for (std::int64_t n : kLengths) {
    for (const float deviation : {0.1f, 5.f, 60.f}) {
      for (const float scale : {0.01f, 1.f, 3.f, 1e30f}) {
        Floats x = random.normal(n, deviation);
        x[at(n - 1)] = -kInfinity;
        const float largest = *std::max_element(x.begin(), x.end());
        if (largest == -kInfinity) continue;
        Floats out(at(n) + 1, 7.f);  // one more, which must stay
        backend.exponentials(x, largest, scale, std::span(out).first(at(n)));
        EXPECT_EQ(out[at(n)], 7.f);
        for (std::int64_t i = 0; i < n; ++i) {
          // The argument is rounded twice.
          const double d = (static_cast<double>(x[at(i)]) - largest) * scale;
          const double want = std::exp(d);
          const double bound =
              want * (kExpError + 2 * kUnit * std::min(88.0, std::fabs(d))) + 2e-38;
          EXPECT_NEAR(out[at(i)], want, bound) << n << " " << deviation << " " << scale;
          EXPECT_GE(out[at(i)], 0.f);
          if (x[at(i)] == largest) EXPECT_NEAR(out[at(i)], 1.f, 1e-6f);
          if (d < -90) EXPECT_EQ(out[at(i)], 0.f);
        }
      }
    }
  }
}

TEST(CpuBackend, ParallelForTakesEachIndexOnce) {
  for (int threads : {1, 2, 3}) {
    Rig one(supported_isas().back(), threads, Precision::kDefault);
    EXPECT_EQ(one.backend().threads(), threads);
    for (const std::int64_t n : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> calls(at(n));
      one.backend().parallel_for(n, [&](std::int64_t i) { ++calls[at(i)]; });
      for (const auto& c : calls) EXPECT_EQ(c.load(), 1);
    }
  }
}

TEST(CpuBackend, SaysWhatItIs) {
  for (Isa isa : supported_isas()) {
    Rig plain(isa, 2, Precision::kDefault);
    EXPECT_EQ(plain.backend().describe(), std::string("cpu ") + isa_name(isa) + ", 2 threads");
    Rig exact(isa, 1, Precision::kF32);
    EXPECT_EQ(exact.backend().describe(),
              std::string("cpu ") + isa_name(isa) + ", 1 threads, float32");
  }
}

TEST(CpuBackend, AnUnknownIsaIsAnError) {
  setenv("HEARTH_ISA", "mmx", 1);
  const auto made = make_cpu_backend({1});
  const auto peaks = measure_peaks(1);
  unsetenv("HEARTH_ISA");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, "isa_unknown");
  ASSERT_FALSE(peaks);
  EXPECT_EQ(peaks.error().code, "isa_unknown");
}

// Per group of 32 columns and 16 rows: 288 bytes in Q4_0, 544 in Q8_0, 2048 in float32.
TEST(CpuBackend, CountsTheBytesOfWeights) {
  Random random(3);
  const Stored q4 = Stored::matrix(DType::kQ4_0, 33, 64, random);  // 3 panels of 2 groups
  const Stored q8 = Stored::matrix(DType::kQ8_0, 16, 128, random);
  Rig plain(Isa::kScalar, 1, Precision::kDefault);
  plain.weight(q4);
  EXPECT_EQ(plain.backend().weight_bytes(), 3 * 2 * 288);
  plain.weight(q8);
  EXPECT_EQ(plain.backend().weight_bytes(), 3 * 2 * 288 + 4 * 544);
  plain.embedding(q4);  // read where it lies
  EXPECT_EQ(plain.backend().weight_bytes(), 3 * 2 * 288 + 4 * 544);
  Rig exact(Isa::kScalar, 1, Precision::kF32);
  exact.weight(q4);
  EXPECT_EQ(exact.backend().weight_bytes(), 3 * 2 * 2048);
}

TEST(CpuBackend, PagesHoldKeysAndValuesOfAllLayers) {
  // 32 tokens, 3 layers, 2 heads: 6 floats of a key and 16, padded, of a value; in 8 bits also a
  // scale for each.
  const KvGroupSpec group = {3, 2, 6, 0};
  const std::int64_t pages = 5;
  const std::int64_t heads = 3 * 2 * 32;
  const auto bytes = [&](Precision precision, KvCacheType type) {
    Rig one(Isa::kScalar, 1, precision, type);
    EXPECT_EQ(one.backend().page_tokens(), 32);
    const auto cache = one.backend().make_cache({&group, 1}, {&pages, 1});
    EXPECT_TRUE(cache);
    EXPECT_EQ((*cache)->page_tokens(), 32);
    EXPECT_EQ((*cache)->pages(0), 5);
    EXPECT_EQ((*cache)->page_bytes(0), one.backend().page_bytes(group));
    return one.backend().page_bytes(group);
  };
  EXPECT_EQ(bytes(Precision::kF32, KvCacheType::kInt8), heads * 22 * 4);
  EXPECT_EQ(bytes(Precision::kDefault, KvCacheType::kF16), heads * 22 * 2);
  EXPECT_EQ(bytes(Precision::kDefault, KvCacheType::kBF16), heads * 22 * 2);
  EXPECT_EQ(bytes(Precision::kDefault, KvCacheType::kInt8), heads * (22 + 8));
}

// To the byte, of all layers; the pages before and behind stay as they are.
TEST(CpuBackend, PagesAreCopiedAndZeroedWhole) {
  const KvGroupSpec group = {3, 2, 6, 0};
  const std::int64_t pages = 4;
  auto cache = CpuKvCache::make({&group, 1}, {&pages, 1}, kernels::KvType::kI8);
  ASSERT_TRUE(cache);
  const auto bytes = at((*cache)->page_bytes(0));
  const auto page = [&](std::int32_t index) { return (*cache)->group(0).page(index); };
  const auto holds = [&](std::int32_t index, int value) {
    return std::all_of(page(index), page(index) + bytes,
                       [value](std::byte b) { return std::to_integer<int>(b) == value; });
  };
  for (int p = 0; p < 4; ++p) std::memset(page(p), p + 1, bytes);
  (*cache)->copy_page(0, 3, 1);
  for (const auto& [p, value] : {std::pair{0, 1}, {1, 4}, {2, 3}, {3, 4}})
    EXPECT_TRUE(holds(p, value)) << p;
  (*cache)->zero_page(0, 1);
  for (const auto& [p, value] : {std::pair{0, 1}, {1, 0}, {2, 3}, {3, 4}})
    EXPECT_TRUE(holds(p, value)) << p;
}

// More than the address space: said, not died of.
TEST(CpuBackend, ACacheTooLargeIsAnError) {
  Rig one(Isa::kScalar, 1, Precision::kDefault);
  const KvGroupSpec group = {1, 1, 64, 0};
  const std::int64_t pages = std::int64_t{1} << 44;
  const auto cache = one.backend().make_cache({&group, 1}, {&pages, 1});
  ASSERT_FALSE(cache);
  EXPECT_EQ(cache.error().kind, ErrorKind::kExhausted);
  EXPECT_EQ(cache.error().code, "out_of_memory");
}

// Wide limits: from a busy, emulated core with sanitizers to what no core of today reaches, 1 TB/s
// and at 6 GHz 4 units of 64 multiply-adds, or one of matrix tiles with 1,024.
TEST(Machine, PeaksArePlausible) {
  const auto peaks = measure_peaks(1);
  ASSERT_TRUE(peaks);
  EXPECT_GT(peaks->read_gb_s, 0.01);
  EXPECT_LT(peaks->read_gb_s, 1000);
  EXPECT_GT(peaks->int8_tops, 1e-5);
  const auto ops = kernels::choose_ops();
  ASSERT_TRUE(ops);
  EXPECT_LT(peaks->int8_tops, ((*ops)->isa == Isa::kAmx ? 1024 : 4 * 64) * 2 * 6e9 / 1e12);
}

}  // namespace
}  // namespace hearth::backend

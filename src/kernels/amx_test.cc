// The kernels for matrix tiles on a model of them, for processors that have none: kernels_test.cc
// runs them all; here products of integers must have every bit of the kernel without tiles, and the
// model the bits of the processor's own tiles, where there are any.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/includes.h"
#include "kernels/kernels_fixture.h"

#if defined(__x86_64__)
#pragma clang attribute push(                                                               \
    __attribute__((                                                                         \
        target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,avx2,fma,f16c"))), \
    apply_to = function)

namespace hearth::kernels::amx_model {
namespace {

#include "kernels/cpu/simd_avx512.inl"

// What the instructions do, after Intel's manual; rows and bytes are checked as they are there.
struct Tiles {
  inline static std::uint8_t data[8][16][64];
  inline static int rows[8], row_bytes[8];
  inline static bool configured = false;
  inline static std::int64_t products = 0;

  static void configure(int a_bytes) {
    EXPECT_TRUE(a_bytes > 0 && a_bytes <= 64 && a_bytes % 4 == 0);
    for (int t = 0; t < 8; ++t) rows[t] = 16, row_bytes[t] = 64;
    row_bytes[4] = row_bytes[5] = a_bytes;
    rows[6] = rows[7] = a_bytes / 4;
    std::memset(data, 0xee, sizeof data);
    configured = true;
  }
  static void release() { configured = false; }
  template <int T>
  static void zero() {
    ASSERT_TRUE(configured);
    std::memset(data[T], 0, sizeof data[T]);
  }
  template <int T>
  static void load(const void* from, std::int64_t stride) {
    ASSERT_TRUE(configured);
    std::memset(data[T], 0, sizeof data[T]);
    for (int r = 0; r < rows[T]; ++r)
      std::memcpy(data[T][r], static_cast<const std::byte*>(from) + r * stride,
                  static_cast<std::size_t>(row_bytes[T]));
  }
  template <int C, int A, int B>
  static void multiply_signed() {
    multiply<C, A, B>([](std::uint8_t code) { return static_cast<std::int8_t>(code); });
  }
  template <int C, int A, int B>
  static void multiply_unsigned() {
    multiply<C, A, B>([](std::uint8_t code) { return code; });
  }
  template <int C, int A, int B, class Code>
  static void multiply(Code code_of) {
    ASSERT_EQ(row_bytes[A] / 4, rows[B]);
    for (int m = 0; m < rows[A]; ++m) {
      for (int n = 0; n < 16; ++n) {
        std::int32_t sum;
        std::memcpy(&sum, data[C][m] + n * 4, 4);
        for (int k = 0; k < row_bytes[A]; ++k)
          sum += static_cast<std::int8_t>(data[A][m][k]) *
                 static_cast<std::int32_t>(code_of(data[B][k / 4][n * 4 + k % 4]));
        std::memcpy(data[C][m] + n * 4, &sum, 4);
      }
    }
    ++products;
  }
  template <int C, int A, int B>
  static void multiply_pairs() {
    ASSERT_EQ(row_bytes[A] / 4, rows[B]);
    const auto value = [](const std::uint8_t* row, int i) {
      std::uint16_t half;
      std::memcpy(&half, row + i * 2, 2);
      return __builtin_bit_cast(float, static_cast<std::uint32_t>(half) << 16);
    };
    for (int m = 0; m < rows[A]; ++m) {
      for (int n = 0; n < 16; ++n) {
        float even = 0, odd = 0, sum;
        for (int k = 0; k < rows[B]; ++k) {
          even = std::fma(value(data[A][m], 2 * k), value(data[B][k], 2 * n), even);
          odd = std::fma(value(data[A][m], 2 * k + 1), value(data[B][k], 2 * n + 1), odd);
        }
        std::memcpy(&sum, data[C][m] + n * 4, 4);
        sum += even + odd;
        std::memcpy(data[C][m] + n * 4, &sum, 4);
      }
    }
  }
  template <int T>
  static void store(void* to, std::int64_t stride) {
    for (int r = 0; r < rows[T]; ++r)
      std::memcpy(static_cast<std::byte*>(to) + r * stride, data[T][r],
                  static_cast<std::size_t>(row_bytes[T]));
  }
};

#define HEARTH_HAVE_TILES 1
#define HEARTH_HAVE_BF16 1
#define HEARTH_HAVE_DOT 1
#define HEARTH_ISA Isa::kAmx
#include "kernels/cpu/all_kernels.inl"

}  // namespace
}  // namespace hearth::kernels::amx_model
#pragma clang attribute pop

namespace hearth::kernels {
namespace {

bool runs(Isa isa) {
  const std::vector<Isa> isas = supported_isas();
  return std::find(isas.begin(), isas.end(), isa) != isas.end();
}

}  // namespace

const Ops* amx_model_ops() { return runs(Isa::kAvx512Bf16) ? &amx_model::kOps : nullptr; }

namespace {

TEST(AmxModel, HasTheBitsOfTheKernelWithoutTiles) {
  if (!runs(Isa::kAvx512Bf16))
    GTEST_SKIP() << "the model of the tiles needs a processor with AVX-512 BF16";
  const Ops& plain = ops_for(Isa::kAvx512);
  Random random(7);
  for (DType type : kQuantized) {
    for (const std::int64_t m : {1, 15, 16, 17, 31, 32, 53, 100, 128, 131, 260}) {
      SCOPED_TRACE(std::string(info(type).name) + ", rows " + std::to_string(m));
      const std::int64_t rows = random.range(1, 90);
      // Up to more groups than are spread at a time.
      const std::int64_t columns = (m % 4 == 0 ? 1280 : 256) * random.range(1, 2);
      const Matrix w(type, rows, columns, random);
      const Floats x = random.normal((m + 2) * columns);
      const Floats bias = random.normal(rows);
      Activations a(m + 2, columns);
      amx_model::quantize_rows(x.data(), columns, 0, m + 2, a.view);
      const std::int64_t ld = rows + 5;
      Floats got = random.normal((m + 2) * ld);
      Floats want = got;
      const Store mode = m % 2 == 0 ? Store::kAdd : Store::kSet;
      const std::int64_t products = amx_model::Tiles::products;
      amx_model::matmul_q(w.view, a.view, bias.data(), mode, 0, w.view.panels(), 1, m + 1,
                          got.data(), ld);
      plain.matmul_q(w.view, a.view, bias.data(), mode, 0, w.view.panels(), 1, m + 1, want.data(),
                     ld);
      EXPECT_EQ(std::memcmp(got.data(), want.data(), got.size() * 4), 0);
      const std::int64_t halves = type == DType::kQ6_K ? 2 : 1;
      // From 16 rows on tiles do all; the last one may begin among rows that are done.
      EXPECT_EQ(amx_model::Tiles::products - products,
                m < 16 ? 0 : (m + 15) / 16 * w.view.panels() * columns / 32 * halves);
      EXPECT_FALSE(amx_model::Tiles::configured);
    }
  }
}

TEST(AmxModel, HasTheBitsOfRealTiles) {
  if (!runs(Isa::kAmx)) GTEST_SKIP() << "needs a processor with AMX";
  const Ops& real = ops_for(Isa::kAmx);
  const Ops& model = *amx_model_ops();
  Random random(11);
  for (const std::int64_t m : {1, 16, 17, 40}) {
    const std::int64_t rows = random.range(1, 70);
    const std::int64_t columns = random.range(1, 300);
    const Matrix w(DType::kBF16, rows, columns, random, true);
    const Floats x = random.normal(m * columns);
    Floats got(static_cast<std::size_t>(m * rows));
    Floats want = got;
    Floats scratch(static_cast<std::size_t>(pairs_scratch_floats(m, columns)));
    real.matmul_f(w.view, x.data(), columns, nullptr, Store::kSet, 0, w.view.panels(), 0, m,
                  got.data(), rows, scratch.data());
    model.matmul_f(w.view, x.data(), columns, nullptr, Store::kSet, 0, w.view.panels(), 0, m,
                   want.data(), rows, scratch.data());
    EXPECT_EQ(std::memcmp(got.data(), want.data(), got.size() * 4), 0) << m;
  }
}

}  // namespace
}  // namespace hearth::kernels
#else
namespace hearth::kernels {
const Ops* amx_model_ops() { return nullptr; }
}  // namespace hearth::kernels
#endif

#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tensor/blocks.h"

namespace hearth {
namespace {

std::vector<char> golden(const std::string& name) {
  std::ifstream in(std::string(HEARTH_TEST_DATA "/quant/") + name, std::ios::binary);
  EXPECT_TRUE(in) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<float> golden_floats(const std::string& name) {
  const auto bytes = golden(name);
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), values.size() * 4);
  return values;
}

class EveryKind : public testing::TestWithParam<int> {
 protected:
  DType type() const { return static_cast<DType>(GetParam()); }
  std::string name() const { return info(type()).name; }
};

std::string kind_name(const testing::TestParamInfo<int>& kind) {
  return info(static_cast<DType>(kind.param)).name;
}

INSTANTIATE_TEST_SUITE_P(DType, EveryKind, testing::Range(0, kDTypeCount), kind_name);

// The reference quantizes neither the *_K kinds nor, trivially, float32.
class KindOfTheReferenceQuantizer : public EveryKind {};
INSTANTIATE_TEST_SUITE_P(DType, KindOfTheReferenceQuantizer,
                         testing::Range(static_cast<int>(DType::kF16),
                                        static_cast<int>(DType::kQ8_0) + 1),
                         kind_name);

TEST_P(EveryKind, DequantizesAsTheReferenceDoes) {
  const auto stored = golden(name() + ".bin");
  const auto expected = golden_floats(name() + ".f32");
  const auto elems = static_cast<std::int64_t>(expected.size());
  ASSERT_EQ(elems, 512);
  ASSERT_EQ(row_bytes(type(), elems), static_cast<std::int64_t>(stored.size()));
  std::vector<char> shifted(stored.size() + 1);  // an odd address must do as well
  std::memcpy(shifted.data() + 1, stored.data(), stored.size());
  std::vector<float> out(expected.size() + 1, 7.f);
  dequantize(type(), shifted.data() + 1, out.data(), elems);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(out[i]), std::bit_cast<std::uint32_t>(expected[i]))
        << i << ": " << out[i] << " instead of " << expected[i];
  }
  EXPECT_EQ(out.back(), 7.f);
}

TEST_P(KindOfTheReferenceQuantizer, GivesTheSameBlocks) {
  const auto values = golden_floats("input.f32");
  const auto expected = golden(name() + ".plain");
  std::vector<char> out(expected.size());
  quantize(type(), values.data(), out.data(), static_cast<std::int64_t>(values.size()));
  EXPECT_TRUE(out == expected);
}

// Root mean square error of a round trip over normal noise, relative to its deviation: the steps of
// each kind follow from its bits. Two-sided, so that a suspiciously good result fails as well.
TEST_P(EveryKind, RoundTripErrorIsThatOfItsBits) {
  struct Bound {
    DType type;
    double low, high;
  };
  const Bound bounds[] = {
      {DType::kF32, 0, 0},         {DType::kF16, 1e-5, 3e-4},    {DType::kBF16, 5e-4, 3e-3},
      {DType::kQ4_0, 0.06, 0.12},  {DType::kQ4_1, 0.05, 0.10},   {DType::kQ5_0, 0.03, 0.06},
      {DType::kQ5_1, 0.025, 0.05}, {DType::kQ8_0, 0.003, 0.008}, {DType::kQ4_K, 0.05, 0.10},
      {DType::kQ5_K, 0.025, 0.05}, {DType::kQ6_K, 0.01, 0.025},
  };
  const Bound bound = bounds[GetParam()];
  ASSERT_EQ(bound.type, type());
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.f, 0.02f);
  std::vector<float> in(1 << 14), out(in.size());
  for (auto& x : in) x = normal(random);
  const auto elems = static_cast<std::int64_t>(in.size());
  std::vector<char> stored(static_cast<std::size_t>(*row_bytes(type(), elems)));
  quantize(type(), in.data(), stored.data(), elems);
  dequantize(type(), stored.data(), out.data(), elems);
  double error = 0;
  for (std::size_t i = 0; i < in.size(); ++i) error += std::pow(out[i] - in[i], 2.0);
  const double relative = std::sqrt(error / static_cast<double>(in.size())) / 0.02;
  EXPECT_GE(relative, bound.low);
  EXPECT_LE(relative, bound.high);
}

TEST_P(EveryKind, SurvivesOddInput) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const float odd : {inf, -inf, std::nanf(""), 1e38f, 1e-44f, 0.f}) {
    std::vector<float> in(256, 0.5f), out(256);
    in[3] = odd;
    std::vector<char> stored(static_cast<std::size_t>(*row_bytes(type(), 256)));
    quantize(type(), in.data(), stored.data(), 256);  // the sanitizers watch
    dequantize(type(), stored.data(), out.data(), 256);
  }
  std::vector<float> zeros(256, 0.f), out(256, 1.f);
  std::vector<char> stored(static_cast<std::size_t>(*row_bytes(type(), 256)));
  quantize(type(), zeros.data(), stored.data(), 256);
  dequantize(type(), stored.data(), out.data(), 256);
  EXPECT_EQ(out, zeros);
}

// The largest value sets the scale wherever it stands in its block or group.
TEST_P(EveryKind, FindsTheExtremeAtEveryPlace) {
  for (std::size_t at = 0; at < 256; ++at) {
    std::vector<float> in(256), out(256);
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = i % 2 == 0 ? 0.1f : -0.1f;
    in[at] = -2.f;
    std::vector<char> stored(static_cast<std::size_t>(*row_bytes(type(), 256)));
    quantize(type(), in.data(), stored.data(), 256);
    dequantize(type(), stored.data(), out.data(), 256);
    ASSERT_NEAR(out[at], -2.f, 0.02f) << at;
  }
}

TEST_P(EveryKind, NamesGoBothWays) {
  std::string lower = name();
  for (auto& c : lower) c = static_cast<char>(std::tolower(c));
  EXPECT_EQ(dtype_from_name(name()), type());
  EXPECT_EQ(dtype_from_name(lower), type());
}

TEST(DType, UnknownNames) {
  for (const char* name : {"", "Q4", "Q4_0x", "IQ4_XS", "f", "Q4-0"}) {
    EXPECT_EQ(dtype_from_name(name), std::nullopt) << name;
  }
}

TEST(DType, RowBytes) {
  EXPECT_EQ(row_bytes(DType::kQ4_0, 64), 36);
  EXPECT_EQ(row_bytes(DType::kQ4_0, 0), 0);
  EXPECT_EQ(row_bytes(DType::kQ4_0, 33), std::nullopt);
  EXPECT_EQ(row_bytes(DType::kQ6_K, 128), std::nullopt);
  EXPECT_EQ(row_bytes(DType::kF16, -2), std::nullopt);
  const auto most = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(row_bytes(DType::kF32, most), std::nullopt);
  EXPECT_EQ(row_bytes(DType::kF32, most / 4), most / 4 * 4);
  EXPECT_EQ(row_bytes(DType::kQ8_0, most / 32 * 32), std::nullopt);
}

// Every half survives the way to float and back; every float between two halves rounds to the
// nearer.
TEST(Half, AllValuesRoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = half_to_float(half);
    const int exponent = (half >> 10) & 31, mantissa = half & 1023;
    if (exponent == 31 && mantissa != 0) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_TRUE(std::isnan(half_to_float(float_to_half(value))));
      continue;
    }
    const double magnitude = exponent == 31  ? std::numeric_limits<double>::infinity()
                             : exponent == 0 ? std::ldexp(mantissa, -24)
                                             : std::ldexp(1024 + mantissa, exponent - 25);
    ASSERT_EQ(static_cast<double>(value), half & 0x8000 ? -magnitude : magnitude) << bits;
    ASSERT_EQ(std::signbit(value), (half & 0x8000) != 0);
    ASSERT_EQ(float_to_half(value), half);
  }
}

TEST(Half, RoundsToNearestEven) {
  for (std::uint32_t bits = 0; bits < 0x7bff; ++bits) {  // up to the largest finite half
    const auto low = static_cast<std::uint16_t>(bits), high = static_cast<std::uint16_t>(bits + 1);
    const float middle = (half_to_float(low) + half_to_float(high)) / 2;  // exact in float
    ASSERT_EQ(float_to_half(middle), bits % 2 == 0 ? low : high) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 0.f)), low) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 1e9f)), high) << bits;
  }
  EXPECT_EQ(float_to_half(65519.99f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.f), 0x7c00);
  EXPECT_EQ(float_to_half(-1e30f), 0xfc00);
  EXPECT_EQ(float_to_half(1e-30f), 0);
  EXPECT_EQ(float_to_half(-1e-30f), 0x8000);
}

TEST(BFloat16, RoundsToNearestEven) {
  EXPECT_EQ(float_to_bf16(1.f), 0x3f80);
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x7f7fffffu)), 0x7f80);
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_EQ(bf16_to_float(0xc000), -2.f);
}

TEST(Blocks, ScalesUnpack) {
  // Groups 0..7: scales 1,2,3,4,33,34,51,63; minimums 10,20,30,40,21,42,5,63.
  const std::uint8_t packed[12] = {1 | 2 << 6,  2 | 2 << 6,  3 | 3 << 6,  4 | 3 << 6,
                                   10 | 1 << 6, 20 | 2 << 6, 30 | 0 << 6, 40 | 3 << 6,
                                   1 | 5 << 4,  2 | 10 << 4, 3 | 5 << 4,  15 | 15 << 4};
  std::uint8_t scale[8], min[8];
  unpack_scales_k4(packed, scale, min);
  const std::uint8_t want_scale[] = {1, 2, 3, 4, 33, 34, 51, 63};
  const std::uint8_t want_min[] = {10, 20, 30, 40, 21, 42, 5, 63};
  EXPECT_EQ(std::memcmp(scale, want_scale, 8), 0);
  EXPECT_EQ(std::memcmp(min, want_min, 8), 0);
}

}  // namespace
}  // namespace hearth

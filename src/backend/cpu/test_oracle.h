// The backend's operations computed again in double, each value with a bound on how far float32
// arithmetic may take it: n roundings of the unit u = 2^-24 to an operand or a partial sum move a
// result by at most about n u times the sum of its terms' magnitudes (Higham, "Accuracy and
// Stability of Numerical Algorithms", section 3.1).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "backend/cpu/rig_fixture.h"
#include "kernels/ops.h"
#include "tensor/blocks.h"

namespace hearth::backend {

inline constexpr double kUnit = 0x1p-24;
// The kernels promise e^x with a relative error under 2e-7.
inline constexpr double kExpError = 2e-7;

struct Approx {
  double value = 0;
  double error = 0;
};
using ApproxRow = std::vector<Approx>;

// A rounded number, and how far off it may be: rounding is monotone, so the
// stored value of anything within [x - e, x + e] lies between the stored ends.
template <class Round>
Approx rounded(Approx x, Round round) {
  const double value = round(x.value);
  return {value, std::max(round(x.value + x.error) - value, value - round(x.value - x.error))};
}
inline double to_bf16(double x) { return bf16_to_float(float_to_bf16(static_cast<float>(x))); }

inline ApproxRow exact_row(std::span<const float> x) {
  ApproxRow out;
  for (float v : x) out.push_back({v, 0});
  return out;
}

// x / sqrt(mean(x^2) + eps) * w: the sum of squares has up to n roundings (all terms positive), of
// which the root halves the weight; mean, eps, root, quotient and two products make six more.
inline ApproxRow norm_row(std::span<const float> x, const Floats& weight, float eps) {
  double squares = 0;
  for (float v : x) squares += static_cast<double>(v) * v;
  const auto n = static_cast<double>(x.size());
  const double scale = 1 / std::sqrt(squares / n + eps);
  ApproxRow out;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double y = x[i] * scale * weight[i];
    out.push_back({y, (n / 2 + 6) * kUnit * std::fabs(y)});
  }
  return out;
}

// A matrix as the backend keeps it.
struct OracleMatrix {
  std::int64_t rows = 0, columns = 0;
  std::vector<double> value;
  std::vector<double> size;  // |scale * code| + |offset|: what a rounding is relative to
  bool eight_bits = false;   // its activations are rounded to 8 bits
  bool pairs = false;        // weights and activations are rounded to bfloat16
};

// The K kinds' products of scales, and of minimums, are rounded to float16 in the packed form.
inline double to_half(double x) { return half_to_float(float_to_half(static_cast<float>(x))); }

inline void take_k_scales(const TensorView& view, OracleMatrix& m) {
  const DTypeInfo kind = info(view.dtype);
  // Q4_K keeps its scales and offsets as they are, the others their products as f16.
  const auto kept = [&](double x) { return view.dtype == DType::kQ4_K ? x : to_half(x); };
  for (std::size_t i = 0; i < m.value.size(); ++i) {
    const std::byte* bytes = view.data.data() + i / 256 * at(kind.block_bytes);
    double scale = 0;
    double offset = 0;
    if (view.dtype == DType::kQ6_K) {
      BlockQ6_K block;
      std::memcpy(&block, bytes, sizeof block);
      const auto group = i % 256 / 16;
      scale = static_cast<double>(half_to_float(block.d)) * block.scales[group];
    } else {  // Q4_K and Q5_K begin alike
      BlockQ4_K block;
      std::memcpy(&block, bytes, sizeof block);
      std::uint8_t scales[8];
      std::uint8_t minimums[8];
      unpack_scales_k4(block.scales, scales, minimums);
      const auto group = i % 256 / 32;
      scale = static_cast<double>(half_to_float(block.d)) * scales[group];
      offset = -static_cast<double>(half_to_float(block.dmin)) * minimums[group];
    }
    const double code = scale == 0 ? 0 : std::round((m.value[i] - offset) / scale);
    m.value[i] = kept(scale) * code + kept(offset);
    m.size[i] = std::fabs(kept(scale) * code) + std::fabs(kept(offset));
  }
}

inline OracleMatrix oracle_matrix(const Stored& stored, Precision precision, Isa isa) {
  const DType type = stored.view().dtype;
  const bool floats = type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
  OracleMatrix m{stored.rows(), stored.columns(), {}, {}, false, false};
  for (float v : stored.values()) {
    m.value.push_back(v);
    m.size.push_back(std::fabs(v));
  }
  if (kernels::ops_for(isa).pairs && precision == Precision::kDefault && floats &&
      type != DType::kF32) {
    m.pairs = true;
    for (std::size_t i = 0; i < m.value.size(); ++i) {
      m.value[i] = to_bf16(m.value[i]);
      m.size[i] = std::fabs(m.value[i]);
    }
  }
  if (floats || precision == Precision::kF32) return m;
  m.eight_bits = true;
  if (type == DType::kQ4_K || type == DType::kQ5_K || type == DType::kQ6_K) {
    take_k_scales(stored.view(), m);
    return m;
  }
  // The offset is the group's extreme value or its smallest: with M = max|w|, |offset| <= M and
  // |scale * code| <= |w| + |offset| <= 2 M.
  for (std::size_t g = 0; g < m.size.size(); g += 32)
    std::fill_n(m.size.begin() + static_cast<std::ptrdiff_t>(g), 32,
                3 * *std::max_element(m.size.begin() + static_cast<std::ptrdiff_t>(g),
                                      m.size.begin() + static_cast<std::ptrdiff_t>(g) + 32));
  return m;
}

// Activations in 8 bits: groups of 32, scale = max|x| / 127, codes to the nearest. A code that
// float32 may round the other way makes its error a whole step.
inline ApproxRow eight_bit_row(const ApproxRow& x) {
  ApproxRow out(x.size());
  for (std::size_t g = 0; g < x.size(); g += 32) {
    double largest = 0;
    double largest_error = 0;
    for (std::size_t i = g; i < g + 32; ++i) {
      largest = std::max(largest, std::fabs(x[i].value));
      largest_error = std::max(largest_error, x[i].error);
    }
    if (largest == 0) continue;
    const double step = largest / 127;
    const double relative = largest_error / largest + 3 * kUnit;
    for (std::size_t i = g; i < g + 32; ++i) {
      const double slack = x[i].error / step + std::fabs(x[i].value / step) * relative;
      const double code = std::nearbyint(x[i].value / step);
      const double low = std::nearbyint(x[i].value / step - slack);
      const double high = std::nearbyint(x[i].value / step + slack);
      out[i] = {code * step,
                std::max(high - code, code - low) * step + std::fabs(code) * step * relative};
    }
  }
  return out;
}

// w x + bias, added to `before`. Float kinds: one rounding per column in a chain. 8-bit kinds sum
// integers exactly and round per group of 32: at most two sums a group, or, in the scalar oracle,
// 32 within the group and one after it.
inline ApproxRow linear_row(const OracleMatrix& w, const ApproxRow& x, const Floats* bias = nullptr,
                            std::span<const float> before = {}) {
  ApproxRow in = w.eight_bits ? eight_bit_row(x) : x;
  if (w.pairs)
    for (Approx& v : in) v = rounded(v, to_bf16);
  const double roundings =
      static_cast<double>(w.eight_bits ? 2 * (w.columns / 32) + 32 : w.columns) + 8;
  ApproxRow out;
  for (std::int64_t r = 0; r < w.rows; ++r) {
    double sum = 0;
    double size = 0;
    double moved = 0;
    for (std::int64_t k = 0; k < w.columns; ++k) {
      const std::size_t i = at(r * w.columns + k);
      sum += w.value[i] * in[at(k)].value;
      size += w.size[i] * std::fabs(in[at(k)].value);
      moved += std::fabs(w.value[i]) * in[at(k)].error;
    }
    for (const double more : {bias ? static_cast<double>((*bias)[at(r)]) : 0.0,
                              before.empty() ? 0.0 : static_cast<double>(before[at(r)])}) {
      sum += more;
      size += std::fabs(more);
    }
    out.push_back({sum, moved + roundings * kUnit * size});
  }
  return out;
}

// One row of results against the oracle's.
inline testing::AssertionResult close(std::span<const float> got, std::span<const Approx> want) {
  if (got.size() != want.size())
    return testing::AssertionFailure() << got.size() << " values, not " << want.size();
  for (std::size_t i = 0; i < got.size(); ++i)
    // Also false for NaN.
    if (!(std::fabs(got[i] - want[i].value) <= want[i].error))
      return testing::AssertionFailure() << "at " << i << ": " << got[i] << ", not "
                                         << want[i].value << " +- " << want[i].error;
  return testing::AssertionSuccess();
}

inline std::span<const float> row_of(const Floats& x, std::int64_t row, std::int64_t columns) {
  return std::span(x).subspan(at(row * columns), at(columns));
}

}  // namespace hearth::backend

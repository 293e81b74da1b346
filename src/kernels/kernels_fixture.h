// Random matrices and activations for tests of the kernels.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "kernels/ops.h"
#include "kernels/packed.h"
#include "tensor/dtype.h"
#include "testing/random_floats.h"

namespace hearth::kernels {

struct Free {
  void operator()(std::byte* p) const { std::free(p); }
};

// A random matrix: as stored, and packed.
struct Matrix {
  std::vector<std::byte> stored;
  std::unique_ptr<std::byte, Free> packed;
  PackedMatrix view;
  DType type;

  Matrix(DType kind, std::int64_t rows, std::int64_t columns, Random& random, bool pairs = false)
      : type(kind) {
    const std::int64_t bytes = *row_bytes(kind, columns);
    stored.resize(static_cast<std::size_t>(bytes * rows));
    for (std::int64_t r = 0; r < rows; ++r) {
      const Floats row = random.normal(columns, 0.05f);
      quantize(kind, row.data(), stored.data() + r * bytes, columns);
    }
    view = {form_of(kind, pairs), rows, columns, nullptr};
    const auto size = static_cast<std::size_t>((view.bytes() + 63) / 64 * 64);
    packed.reset(static_cast<std::byte*>(std::aligned_alloc(64, size)));
    view.data = packed.get();
    for (std::int64_t p = 0; p < view.panels(); ++p) {
      const void* pointers[kPanelRows] = {};
      for (std::int64_t r = p * 16; r < std::min(rows, p * 16 + 16); ++r)
        pointers[r - p * 16] = stored.data() + r * bytes;
      pack_panel(kind, pointers, columns, packed.get() + p * panel_bytes(view.form, columns),
                 pairs);
    }
  }
  Floats row(std::int64_t r) const {
    Floats out(static_cast<std::size_t>(view.columns));
    dequantize(type, stored.data() + r * *row_bytes(type, view.columns), out.data(), view.columns);
    return out;
  }
};

struct Activations {
  std::vector<std::int8_t> codes;
  Floats scales, sums;
  std::vector<std::int32_t> halves;
  QuantizedRows view;
  Activations(std::int64_t rows, std::int64_t columns) {
    const auto groups = static_cast<std::size_t>(rows * columns / 32);
    codes.resize(static_cast<std::size_t>(rows * columns));
    scales.resize(groups);
    sums.resize(groups);
    halves.resize(groups * 2);
    view = {codes.data(), scales.data(), sums.data(), halves.data(), columns};
  }
};

// The kernels for matrix tiles on a model of the tiles (amx_test.cc); null where the processor
// lacks the vectors beside them.
const Ops* amx_model_ops();

inline constexpr DType kAllTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ4_0,
                                      DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                                      DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};
inline constexpr DType kQuantized[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                       DType::kQ8_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

}  // namespace hearth::kernels

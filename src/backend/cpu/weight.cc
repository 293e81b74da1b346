#include "backend/cpu/weight.h"

#include <algorithm>

namespace hearth::backend {
namespace {

using kernels::Form;
using kernels::kPanelRows;
using kernels::PackedMatrix;

Form packed_form(DType type, Packing packing) {
  return packing == Packing::kExact ? Form::kF32
                                    : kernels::form_of(type, packing == Packing::kPairs);
}

// Where stored row `row` of a part stands once rotary pairs are put in halves: output row i of a
// head takes stored row 2i (first half) or 2(i - half) + 1.
std::int64_t source_row(const WeightPart& part, std::int64_t row) {
  const std::int64_t dim = part.unpair_head_dim;
  if (dim == 0) return row;
  const std::int64_t i = row % dim;
  const std::int64_t half = dim / 2;
  return row - i + (i < half ? 2 * i : 2 * (i - half) + 1);
}

// The parts that make one segment, addressed by row of the segment.
struct Stack {
  std::span<const WeightPart> parts;
  std::vector<std::int64_t> first_rows;

  const void* row_data(std::int64_t row) const {
    const auto next = std::upper_bound(first_rows.begin(), first_rows.end(), row);
    const auto index = static_cast<std::size_t>(next - first_rows.begin() - 1);
    const WeightPart& part = parts[index];
    const std::int64_t bytes = *row_bytes(part.matrix->dtype, part.matrix->shape[1]);
    return part.matrix->data.data() + source_row(part, row - first_rows[index]) * bytes;
  }
};

Status pack_segment(const Stack& stack, Packing packing, Arena& arena, ThreadPool& pool,
                    PackedMatrix& matrix) {
  HEARTH_TRY(std::byte* const data, arena.allocate(matrix.bytes()));
  matrix.data = data;
  const DType type = stack.parts[0].matrix->dtype;
  const std::int64_t bytes = kernels::panel_bytes(matrix.form, matrix.columns);
  pool.parallel_for(matrix.panels(), [&](std::int64_t panel, int) {
    const void* rows[kPanelRows] = {};
    for (std::int64_t r = 0; r < kPanelRows && panel * kPanelRows + r < matrix.rows; ++r)
      rows[r] = stack.row_data(panel * kPanelRows + r);
    if (packing == Packing::kExact)
      kernels::pack_panel_f32(type, rows, matrix.columns, data + panel * bytes);
    else
      kernels::pack_panel(type, rows, matrix.columns, data + panel * bytes,
                          packing == Packing::kPairs);
  });
  return {};
}

Status pack_bias(std::span<const WeightPart> parts, std::int64_t rows, Arena& arena,
                 const float*& bias) {
  if (std::none_of(parts.begin(), parts.end(), [](const WeightPart& p) { return p.bias; }))
    return {};
  HEARTH_TRY(std::byte* const data, arena.allocate(rows * 4));
  auto* out = static_cast<float*>(static_cast<void*>(data));
  bias = out;
  for (const WeightPart& part : parts) {
    const std::int64_t n = part.matrix->shape[0];
    if (part.bias) {
      std::vector<float> stored(static_cast<std::size_t>(n));
      dequantize(part.bias->dtype, part.bias->data.data(), stored.data(), n);
      for (std::int64_t r = 0; r < n; ++r)
        out[r] = stored[static_cast<std::size_t>(source_row(part, r))];
    }
    out += n;
  }
  return {};
}

// Work for the pool: about four pieces a thread, an even number of panels each, as the register
// tiles take two. How it is cut does not show in the results.
void cut_ranges(CpuWeight& weight, int threads) {
  std::int64_t panels = 0;
  for (const auto& s : weight.segments) panels += s.matrix.panels();
  const std::int64_t pieces = threads == 1 ? 1 : 4 * threads;
  const std::int64_t size = std::max<std::int64_t>(2, (panels / pieces + 1) / 2 * 2);
  for (std::size_t s = 0; s < weight.segments.size(); ++s) {
    const std::int64_t end = weight.segments[s].matrix.panels();
    for (std::int64_t p = 0; p < end; p += size)
      weight.ranges.push_back({s, p, std::min(p + size, end)});
  }
}

}  // namespace

Result<std::shared_ptr<CpuWeight>> pack_weight(std::span<const WeightPart> parts, Packing packing,
                                               Arena& arena, ThreadPool& pool) {
  HEARTH_CHECK(!parts.empty());
  auto weight = std::make_shared<CpuWeight>();
  weight->columns = parts[0].matrix->shape[1];
  for (std::size_t begin = 0; begin < parts.size();) {
    const DType type = parts[begin].matrix->dtype;
    Stack stack;
    CpuWeight::Segment segment;
    segment.first_row = weight->rows;
    segment.matrix.form = packed_form(type, packing);
    segment.matrix.columns = weight->columns;
    std::size_t end = begin;
    for (; end < parts.size() && parts[end].matrix->dtype == type; ++end) {
      HEARTH_CHECK(parts[end].matrix->shape[1] == weight->columns);
      stack.first_rows.push_back(segment.matrix.rows);
      segment.matrix.rows += parts[end].matrix->shape[0];
    }
    stack.parts = parts.subspan(begin, end - begin);
    HEARTH_TRY_VOID(pack_segment(stack, packing, arena, pool, segment.matrix));
    weight->rows += segment.matrix.rows;
    (kernels::is_quantized(segment.matrix.form) ? weight->any_quantized : weight->any_float) = true;
    weight->segments.push_back(segment);
    begin = end;
  }
  HEARTH_TRY_VOID(pack_bias(parts, weight->rows, arena, weight->bias));
  cut_ranges(*weight, pool.threads());
  return weight;
}

}  // namespace hearth::backend

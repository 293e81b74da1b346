#include "backend/cpu/step.h"

#include <algorithm>
#include <cmath>

namespace hearth::backend {
namespace {

using kernels::Store;

const CpuWeight& as_cpu(const Weight& w) { return static_cast<const CpuWeight&>(w); }

// A multiplication's rows in blocks: their codes should stay in a core's second-level cache. Whole
// tiles of every kernel, and of nearly one size, so that as many lie on either side of the middle.
struct RowBlocks {
  RowBlocks(std::int64_t rows, std::int64_t columns) : rows(rows) {
    constexpr std::int64_t kCacheBytes = 192 << 10;
    most = std::clamp<std::int64_t>(kCacheBytes / columns / 24 * 24, 24, 96);
    unit = most % 48 == 0 ? 48 : 24;
    units = (rows + unit - 1) / unit;
    count = (rows + most - 1) / most;
  }
  std::int64_t begin(std::int64_t block) const {
    return std::min(rows, units * block / count * unit);
  }
  std::int64_t end(std::int64_t block) const { return begin(block + 1); }

  std::int64_t rows, most, unit, units, count;
};

}  // namespace

CpuStep::CpuStep(const kernels::Ops& ops, const Batch& batch, CpuStepMemory& memory,
                 const std::vector<RopeTable>& ropes, int threads)
    : ops_(ops),
      batch_(batch),
      memory_(memory),
      ropes_(ropes),
      threads_(threads),
      rows_(static_cast<std::int64_t>(batch.tokens.size())),
      rope_made_(ropes.size(), false) {
  auto& cache = static_cast<CpuKvCache&>(*batch.cache);
  for (std::size_t s = 0; s < batch.sequences.size(); ++s) {
    const BatchSequence& sequence = batch.sequences[s];
    HEARTH_CHECK(sequence.first_row == static_cast<std::int64_t>(positions_.size()));
    spans_max_ =
        std::max(spans_max_, (sequence.position + sequence.rows + kernels::kSpanTokens - 1) /
                                 kernels::kSpanTokens);
    for (std::int64_t r = 0; r < sequence.rows; ++r) {
      positions_.push_back(static_cast<std::int32_t>(sequence.position + r));
      row_sequence_.push_back(static_cast<std::int32_t>(s));
    }
    auto& groups = pages_.emplace_back();
    for (std::size_t g = 0; g < sequence.page_tables.size(); ++g) {
      auto& pointers = groups.emplace_back();
      CpuKvCache::Group& group = cache.group(g);
      for (std::int32_t page : sequence.page_tables[g]) {
        pointers.push_back(page < 0 ? nullptr : group.page(page));
        if (page >= 0) group.written[static_cast<std::size_t>(page)] = true;
      }
    }
  }
  HEARTH_CHECK(static_cast<std::int64_t>(positions_.size()) == rows_);
}

void CpuStep::add(const OpCost& cost, std::int64_t chunks, ThreadPool::ChunkFn fn) {
  steps_.push_back({chunks, std::move(fn)});
  costs_.push_back(cost);
  linear_weight_ = nullptr;
}

// Rows in equal stretches, a few per thread.
void CpuStep::add_rows(const OpCost& cost, std::int64_t rows,
                       std::function<void(std::int64_t begin, std::int64_t end)> fn) {
  const std::int64_t size = std::max<std::int64_t>(1, rows / (threads_ * 4));
  add(cost, (rows + size - 1) / size, [rows, size, fn = std::move(fn)](std::int64_t chunk, int) {
    fn(chunk * size, std::min(rows, (chunk + 1) * size));
  });
}

const float* CpuStep::floats(CpuBuffer& b) {
  make_late_norm(b);
  if (b.wanted) b.wanted->floats = true;
  return b.values.data();
}

void CpuStep::made_by(CpuBuffer& b, Wanted* wanted) {
  b.has_codes = false;
  b.wanted = wanted;
  b.late_norm.reset();
  b.gone = false;
}

CpuStep::OwnCodes CpuStep::own_codes(CpuBuffer& b) {
  HEARTH_CHECK(!b.gone);
  for (OwnRow& row : memory_.own_rows) {
    row.normed.ensure(b.columns);
    row.codes.ensure(b.columns);
    row.scales.ensure(b.columns / kernels::kGroup);
    row.scaled_sums.ensure(b.columns / kernels::kGroup);
    row.minus_sums.ensure(b.columns / 16);
  }
  const std::int64_t serial = ++memory_.serials;
  if (b.late_norm) {
    b.late_norm->used = true;
    return {b.late_norm->in, b.late_norm->weight, b.late_norm->eps, serial};
  }
  return {&b, nullptr, 0.f, serial};
}

kernels::QuantizedRows CpuStep::make_own_codes(const OwnCodes& own, int thread) const {
  OwnRow& row = memory_.own_rows[static_cast<std::size_t>(thread)];
  const std::int64_t columns = own.source->columns;
  const kernels::QuantizedRows codes = {row.codes.data(), row.scales.data(), row.scaled_sums.data(),
                                        row.minus_sums.data(), columns};
  if (row.serial == own.serial) return codes;
  row.serial = own.serial;
  const float* values = own.source->values.data();
  if (own.norm) {
    ops_.rms_norm(values, own.norm, own.eps, columns, Store::kSet, row.normed.data());
    values = row.normed.data();
  }
  ops_.quantize_rows(values, columns, 0, 1, codes);
  return codes;
}

void CpuStep::make_late_norm(CpuBuffer& b) {
  HEARTH_CHECK(!b.gone);
  if (!b.late_norm) return;
  const LateNorm norm = *b.late_norm;
  b.late_norm.reset();
  add_norm(b, norm, false);
}

void CpuStep::will_write(CpuBuffer& b) {
  for (std::size_t i = 0; i < next_buffer_; ++i) {
    CpuBuffer& other = memory_.buffers[i];
    if (!other.late_norm || other.late_norm->in != &b) continue;
    if (other.late_norm->used) {
      other.late_norm.reset();
      other.gone = true;
    } else {
      make_late_norm(other);
    }
  }
}

void CpuStep::size_buffer(CpuBuffer& b, std::int64_t rows, std::int64_t columns) {
  b.columns = columns;
  b.values.ensure(rows * columns);
  made_by(b, nullptr);
}

Tensor CpuStep::tensor(std::int64_t columns) {
  if (next_buffer_ == memory_.buffers.size()) memory_.buffers.emplace_back();
  size_buffer(memory_.buffers[next_buffer_], rows_, columns);
  return {static_cast<int>(next_buffer_++), columns};
}

// Makes sure that 8-bit codes of the newest values exist when the next op runs: made by the op that
// makes the values where that op can, else by one of their own.
void CpuStep::ensure_codes(CpuBuffer& b, std::int64_t rows) {
  if (b.has_codes) return;
  make_late_norm(b);
  b.quantized.columns = b.columns;
  b.quantized.codes = b.codes.ensure(rows * b.columns);
  b.quantized.scales = b.scales.ensure(rows * b.columns / kernels::kGroup);
  b.quantized.scaled_sums = b.scaled_sums.ensure(rows * b.columns / kernels::kGroup);
  b.quantized.minus_sums = b.minus_sums.ensure(rows * b.columns / 16);
  b.has_codes = true;
  if (b.wanted) {
    b.wanted->codes = true;
    return;
  }
  add_rows({"quantize"}, rows, [this, &b](std::int64_t begin, std::int64_t end) {
    ops_.quantize_rows(b.values.data(), b.columns, begin, end, b.quantized);
  });
}

void CpuStep::embed(Tensor out, const Weight& embedding, float scale) {
  CpuBuffer& o = buffer(out);
  will_write(o);
  made_by(o, nullptr);
  const TensorView* stored = &as_cpu(embedding).stored;
  add_rows({"embed"}, rows_, [this, &o, stored, scale](std::int64_t begin, std::int64_t end) {
    const std::int64_t bytes = *row_bytes(stored->dtype, o.columns);
    for (std::int64_t r = begin; r < end; ++r) {
      float* row = o.values.data() + r * o.columns;
      dequantize(stored->dtype,
                 stored->data.data() + batch_.tokens[static_cast<std::size_t>(r)] * bytes, row,
                 o.columns);
      if (scale != 1.f)
        for (std::int64_t c = 0; c < o.columns; ++c) row[c] *= scale;
    }
  });
}

void CpuStep::rms_norm(Tensor out, Tensor x, const Vector& weight, float eps, bool add_to) {
  CpuBuffer& o = buffer(out);
  CpuBuffer& in = buffer(x);
  const LateNorm norm = {&in, values_of(weight), eps};
  make_late_norm(in);
  if (add_to) make_late_norm(o);
  will_write(o);
  if (rows_ == 1 && !add_to && &o != &in) {
    made_by(o, nullptr);
    o.late_norm = norm;
    return;
  }
  add_norm(o, norm, add_to);
}

void CpuStep::add_norm(CpuBuffer& o, const LateNorm& norm, bool add_to) {
  floats(*norm.in);
  Wanted* const wanted = &wanted_.emplace_back();
  made_by(o, wanted);
  // All rows, then all codes: row by row, norms and roundings would wait for each other's results.
  add_rows({"norm"}, rows_, [this, &o, norm, wanted, add_to](std::int64_t begin, std::int64_t end) {
    const CpuBuffer& in = *norm.in;
    for (std::int64_t r = begin; r < end; ++r)
      ops_.rms_norm(in.values.data() + r * in.columns, norm.weight, norm.eps, in.columns,
                    add_to ? Store::kAdd : Store::kSet, o.values.data() + r * o.columns);
    if (wanted->codes) ops_.quantize_rows(o.values.data(), o.columns, begin, end, o.quantized);
  });
}

// `width` columns, whole groups, from `column` on of row `row`: a piece of a row is a row of its
// own, further along in the same arrays.
void CpuStep::quantize_piece(const CpuBuffer& b, const float* values, std::int64_t row,
                             std::int64_t column, std::int64_t width) const {
  const std::int64_t at = row * b.columns + column;
  const kernels::QuantizedRows piece = {
      b.quantized.codes + at, b.quantized.scales + at / kernels::kGroup,
      b.quantized.scaled_sums + at / kernels::kGroup, b.quantized.minus_sums + at / 16, width};
  ops_.quantize_rows(values, width, 0, 1, piece);
}

// A gate right behind the product that makes its input, of one quantised form: both at once, block
// by block. The product's rows never leave a core's first-level cache. In prefill that saves
// 12 bytes to and from memory for each of the 2 n columns; the sums are the same, to the bit.
bool CpuStep::fuse_gate(CpuBuffer& o, CpuBuffer& in, kernels::GateKind kind) {
  if (linear_weight_ == nullptr || linear_out_ != &in) return false;
  const CpuWeight& weight = *linear_weight_;
  CpuBuffer& x = *linear_in_;
  const std::int64_t n = o.columns;
  if (weight.segments.size() != 1 || n % kernels::kGroup != 0) return false;
  const kernels::PackedMatrix& matrix = weight.segments[0].matrix;
  if (!kernels::is_quantized(matrix.form)) return false;
  const OpCost cost = {"linear, gate", costs_.back().rows, costs_.back().columns,
                       costs_.back().operations, costs_.back().bytes};
  steps_.pop_back();
  costs_.pop_back();
  std::optional<OwnCodes> own;
  if (codes_are_own(x, rows_, weight)) own = own_codes(x);
  Wanted* const wanted = &wanted_.emplace_back();
  will_write(o);
  made_by(o, wanted);
  const RowBlocks blocks(rows_, weight.columns);
  const std::int64_t groups = n / kernels::kGroup;
  const std::int64_t pieces = std::min(groups, threads_ == 1 ? 1 : std::int64_t{4} * threads_);
  for (auto& scratch : memory_.thread_scratch) scratch.ensure(blocks.most * 2 * kernels::kGroup);
  add(cost, pieces * blocks.count,
      [this, &o, &x, &matrix, bias = weight.bias, wanted, kind, n, blocks, groups, pieces, own](
          std::int64_t chunk, int thread) {
        const kernels::QuantizedRows codes = own ? make_own_codes(*own, thread) : x.quantized;
        constexpr std::int64_t kPanels = kernels::kGroup / kernels::kPanelRows;
        constexpr std::int64_t kLd = 2 * kernels::kGroup;
        float* const both = memory_.thread_scratch[static_cast<std::size_t>(thread)].data();
        const std::int64_t begin = blocks.begin(chunk / pieces);
        const std::int64_t end = blocks.end(chunk / pieces);
        const std::int64_t piece = chunk % pieces;
        const std::int64_t panel_size = kernels::panel_bytes(matrix.form, matrix.columns);
        for (std::int64_t g = groups * piece / pieces; g < groups * (piece + 1) / pieces; ++g) {
          for (std::int64_t half = 0; half < 2; ++half) {  // the gate's columns, then the others
            const std::int64_t row = half * n + g * kernels::kGroup;
            kernels::PackedMatrix part = matrix;
            part.rows = kernels::kGroup;
            part.data += row / kernels::kPanelRows * panel_size;
            kernels::QuantizedRows rows = codes;
            rows.codes += begin * rows.columns;
            rows.scales += begin * rows.columns / kernels::kGroup;
            rows.scaled_sums += begin * rows.columns / kernels::kGroup;
            rows.minus_sums += begin * rows.columns / 16;
            ops_.matmul_q(part, rows, bias ? bias + row : nullptr, Store::kSet, 0, kPanels, 0,
                          end - begin, both + half * kernels::kGroup, kLd);
          }
          if (wanted->codes) ops_.gate_quantize(kind, both, end - begin, o.quantized, begin, g);
          if (wanted->floats)
            for (std::int64_t r = 0; r < end - begin; ++r)
              ops_.gate(kind, both + r * kLd, both + r * kLd + kernels::kGroup, kernels::kGroup,
                        o.values.data() + (begin + r) * n + g * kernels::kGroup);
        }
      });
  return true;
}

void CpuStep::gated(Tensor out, Tensor x, Activation activation) {
  CpuBuffer& o = buffer(out);
  CpuBuffer& in = buffer(x);
  const auto kind =
      activation == Activation::kSilu ? kernels::GateKind::kSilu : kernels::GateKind::kGeluTanh;
  if (fuse_gate(o, in, kind)) return;
  floats(in);
  Wanted* const wanted = &wanted_.emplace_back();
  will_write(o);
  made_by(o, wanted);
  // With one row the columns are shared out, in whole groups of 32 for the codes.
  const std::int64_t n = o.columns;
  const std::int64_t cut = rows_ >= threads_ * 2 || n % kernels::kGroup != 0
                               ? n
                               : std::max<std::int64_t>(256, n / (threads_ * 2) / 32 * 32);
  const std::int64_t pieces = (n + cut - 1) / cut;
  add({"gate"}, rows_ * pieces,
      [this, &o, &in, wanted, kind, n, cut, pieces](std::int64_t chunk, int) {
        const std::int64_t r = chunk / pieces;
        const std::int64_t c = chunk % pieces * cut;
        const std::int64_t width = std::min(cut, n - c);
        const float* row = in.values.data() + r * in.columns;
        ops_.gate(kind, row + c, row + n + c, width, o.values.data() + r * n + c);
        if (!wanted->codes) return;
        quantize_piece(o, o.values.data() + r * n + c, r, c, width);
      });
}

void CpuStep::multiply(const char* name, CpuBuffer& x, std::int64_t rows, const CpuWeight& weight,
                       float* out, std::int64_t ld, bool add_to) {
  std::optional<OwnCodes> own;
  if (codes_are_own(x, rows, weight))
    own = own_codes(x);
  else if (weight.any_quantized)
    ensure_codes(x, rows);
  const RowBlocks blocks(rows, weight.columns);
  if (weight.any_float) {
    floats(x);
    if (ops_.pairs)
      for (auto& scratch : memory_.thread_scratch)
        scratch.ensure(kernels::pairs_scratch_floats(blocks.most, weight.columns));
  }
  const auto ranges = static_cast<std::int64_t>(weight.ranges.size());
  const Store mode = add_to ? Store::kAdd : Store::kSet;
  const OpCost cost = {name, weight.rows, weight.columns,
                       2.0 * static_cast<double>(rows * weight.rows * weight.columns),
                       static_cast<double>(weight.bytes())};
  add(cost, ranges * blocks.count,
      [this, &x, &weight, out, ld, mode, blocks, ranges, own](std::int64_t chunk, int thread) {
        const CpuWeight::Range& range = weight.ranges[static_cast<std::size_t>(chunk % ranges)];
        const CpuWeight::Segment& segment = weight.segments[range.segment];
        const std::int64_t begin = blocks.begin(chunk / ranges);
        const std::int64_t end = blocks.end(chunk / ranges);
        const float* bias = weight.bias ? weight.bias + segment.first_row : nullptr;
        if (kernels::is_quantized(segment.matrix.form))
          ops_.matmul_q(segment.matrix, own ? make_own_codes(*own, thread) : x.quantized, bias,
                        mode, range.panel_begin, range.panel_end, begin, end,
                        out + segment.first_row, ld);
        else
          ops_.matmul_f(segment.matrix, x.values.data(), x.columns, bias, mode, range.panel_begin,
                        range.panel_end, begin, end, out + segment.first_row, ld,
                        memory_.thread_scratch[static_cast<std::size_t>(thread)].data());
      });
}

void CpuStep::linear(Tensor out, Tensor x, const Weight& weight, bool add_to) {
  CpuBuffer& o = buffer(out);
  HEARTH_CHECK(x.columns == weight.columns && out.columns == weight.rows);
  if (add_to) make_late_norm(o);
  will_write(o);
  multiply("linear", buffer(x), rows_, as_cpu(weight), o.values.data(), o.columns, add_to);
  made_by(o, nullptr);
  if (add_to) return;
  linear_weight_ = &as_cpu(weight);
  linear_in_ = &buffer(x);
  linear_out_ = &o;
}

void CpuStep::head(Tensor x, const Vector& norm, float eps, const Weight& weight, float softcap) {
  const auto wanted = static_cast<std::int64_t>(batch_.logit_rows.size());
  if (wanted == 0) return;
  CpuBuffer& in = buffer(x);
  floats(in);
  CpuBuffer& normed = memory_.head_input;
  size_buffer(normed, wanted, in.columns);
  Wanted* const codes = &wanted_.emplace_back();
  made_by(normed, codes);
  add_rows(
      {"norm"}, wanted,
      [this, &in, &normed, codes, eps, w = values_of(norm)](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
          ops_.rms_norm(
              in.values.data() + batch_.logit_rows[static_cast<std::size_t>(i)] * in.columns, w,
              eps, in.columns, Store::kSet, normed.values.data() + i * in.columns);
        if (codes->codes)
          ops_.quantize_rows(normed.values.data(), in.columns, begin, end, normed.quantized);
      });
  vocabulary_ = weight.rows;
  const std::int64_t stride = logits_stride(weight.rows);
  float* const logits = memory_.logits.ensure(wanted * stride);
  multiply("head", normed, wanted, as_cpu(weight), logits, stride, false);
  if (softcap > 0.f) {
    constexpr std::int64_t kPiece = 8192;
    const std::int64_t n = weight.rows;
    const std::int64_t pieces = (n + kPiece - 1) / kPiece;
    add({"softcap"}, wanted * pieces,
        [logits, n, stride, pieces, softcap](std::int64_t chunk, int) {
          float* const row = logits + chunk / pieces * stride;
          const std::int64_t begin = chunk % pieces * kPiece;
          for (std::int64_t i = begin; i < std::min(n, begin + kPiece); ++i)
            row[i] = softcap * std::tanh(row[i] / softcap);
        });
  }
}

}  // namespace hearth::backend

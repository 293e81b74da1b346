// The oracle: each operation as its definition reads, in plain loops. Every other ISA is tested
// against it, and HEARTH_ISA=scalar runs the whole engine on it. Kept simple rather than fast.
#include "kernels/ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/result.h"

namespace hearth::kernels {
namespace {

void quantize_rows(const float* x, std::int64_t ld, std::int64_t m_begin, std::int64_t m_end,
                   const QuantizedRows& out) {
  const std::int64_t groups = out.columns / kGroup;
  for (std::int64_t m = m_begin; m < m_end; ++m) {
    for (std::int64_t g = 0; g < groups; ++g) {
      const float* in = x + m * ld + g * kGroup;
      std::int8_t* codes = out.codes + m * out.columns + g * kGroup;
      float largest = 0.f;
      bool finite = true;
      for (int k = 0; k < kGroup; ++k) {
        largest = std::max(largest, std::fabs(in[k]));
        finite = finite && std::isfinite(in[k]);
      }
      const float inverse = finite && largest > kSmallestScaled ? 127.f / largest : 0.f;
      std::int32_t sums[2] = {0, 0};
      for (int k = 0; k < kGroup; ++k) {
        codes[k] =
            finite ? static_cast<std::int8_t>(std::nearbyint(in[k] * inverse)) : std::int8_t{0};
        sums[k / 16] += codes[k];
      }
      const float scale = finite ? largest / 127.f : std::numeric_limits<float>::quiet_NaN();
      const std::int64_t at = m * groups + g;
      out.scales[at] = scale;
      out.scaled_sums[at] = scale * static_cast<float>(sums[0] + sums[1]);
      out.minus_sums[at * 2] = -sums[0];
      out.minus_sums[at * 2 + 1] = -sums[0] - sums[1];
    }
  }
}

void emit(float y, const float* bias, Store mode, float& out) {
  if (bias) y += *bias;
  out = mode == Store::kAdd ? out + y : y;
}

void matmul_q(const PackedMatrix& w, const QuantizedRows& x, const float* bias, Store mode,
              std::int64_t panel_begin, std::int64_t panel_end, std::int64_t m_begin,
              std::int64_t m_end, float* out, std::int64_t ld) {
  const std::int64_t groups = w.columns / kGroup;
  const std::int64_t last = std::min(panel_end * kPanelRows, w.rows);
  std::vector<float> weights(static_cast<std::size_t>(w.columns));
  for (std::int64_t row = panel_begin * kPanelRows; row < last; ++row) {
    for (std::int64_t k = 0; k < w.columns; ++k)
      weights[static_cast<std::size_t>(k)] = packed_value(w, row, k);
    for (std::int64_t m = m_begin; m < m_end; ++m) {
      float total = 0.f;
      for (std::int64_t g = 0; g < groups; ++g) {
        float part = 0.f;
        for (std::int64_t k = g * kGroup; k < (g + 1) * kGroup; ++k)
          part +=
              weights[static_cast<std::size_t>(k)] * static_cast<float>(x.codes[m * x.columns + k]);
        total += part * x.scales[m * groups + g];
      }
      emit(total, bias ? bias + row : nullptr, mode, out[m * ld + row]);
    }
  }
}

void matmul_f(const PackedMatrix& w, const float* x, std::int64_t x_ld, const float* bias,
              Store mode, std::int64_t panel_begin, std::int64_t panel_end, std::int64_t m_begin,
              std::int64_t m_end, float* out, std::int64_t ld, float* /*scratch*/) {
  const std::int64_t last = std::min(panel_end * kPanelRows, w.rows);
  const auto activation = [&w](float v) {
    return w.form == Form::kPairs ? bf16_to_float(float_to_bf16(v)) : v;
  };
  std::vector<float> weights(static_cast<std::size_t>(w.columns));
  for (std::int64_t row = panel_begin * kPanelRows; row < last; ++row) {
    for (std::int64_t k = 0; k < w.columns; ++k)
      weights[static_cast<std::size_t>(k)] = packed_value(w, row, k);
    for (std::int64_t m = m_begin; m < m_end; ++m) {
      float total = 0.f;
      for (std::int64_t k = 0; k < w.columns; ++k)
        total += weights[static_cast<std::size_t>(k)] * activation(x[m * x_ld + k]);
      emit(total, bias ? bias + row : nullptr, mode, out[m * ld + row]);
    }
  }
}

void rms_norm(const float* x, const float* weight, float eps, std::int64_t columns, Store mode,
              float* out) {
  float squares = 0.f;
  for (std::int64_t i = 0; i < columns; ++i) squares += x[i] * x[i];
  const float scale = 1.f / std::sqrt(squares / static_cast<float>(columns) + eps);
  for (std::int64_t i = 0; i < columns; ++i) emit(x[i] * scale * weight[i], nullptr, mode, out[i]);
}

void gate(GateKind kind, const float* gates, const float* up, std::int64_t columns, float* out) {
  for (std::int64_t i = 0; i < columns; ++i) {
    const float x = gates[i];
    const float act =
        kind == GateKind::kSilu
            ? x / (1.f + std::exp(-x))
            : 0.5f * x * (1.f + std::tanh(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    out[i] = act * up[i];
  }
}

void gate_quantize(GateKind kind, const float* x, std::int64_t rows, const QuantizedRows& out,
                   std::int64_t m, std::int64_t group) {
  for (std::int64_t r = 0; r < rows; ++r, x += 2 * kGroup) {
    float y[kGroup];
    gate(kind, x, x + kGroup, kGroup, y);
    const std::int64_t at = (m + r) * (out.columns / kGroup) + group;
    quantize_rows(y, kGroup, 0, 1,
                  {out.codes + at * kGroup, out.scales + at, out.scaled_sums + at,
                   out.minus_sums + at * 2, kGroup});
  }
}

void rope(float* x, const float* cosines, const float* sines, std::int64_t dims, float scale) {
  const std::int64_t half = dims / 2;
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[half + i];
    x[i] = (a * cosines[i] - b * sines[i]) * scale;
    x[half + i] = (b * cosines[i] + a * sines[i]) * scale;
  }
}

// How one element of a page is kept.
void put(KvType type, float value, float inverse, std::byte* at) {
  switch (type) {
    case KvType::kF32:
      std::memcpy(at, &value, 4);
      return;
    case KvType::kF16: {
      const std::uint16_t bits = float_to_half(value);
      std::memcpy(at, &bits, 2);
      return;
    }
    case KvType::kBF16: {
      const std::uint16_t bits = float_to_bf16(value);
      std::memcpy(at, &bits, 2);
      return;
    }
    case KvType::kI8: {
      const float code = std::nearbyint(value * inverse);
      const auto byte = static_cast<std::int8_t>(std::isfinite(code) ? code : 0.f);
      std::memcpy(at, &byte, 1);
      return;
    }
  }
}
float get(KvType type, const std::byte* at) {
  std::uint16_t bits = 0;
  switch (type) {
    case KvType::kF32: {
      float value;
      std::memcpy(&value, at, 4);
      return value;
    }
    case KvType::kF16:
      std::memcpy(&bits, at, 2);
      return half_to_float(bits);
    case KvType::kBF16:
      std::memcpy(&bits, at, 2);
      return bf16_to_float(bits);
    case KvType::kI8:
      return static_cast<float>(std::to_integer<std::int8_t>(*at));
  }
  HEARTH_CHECK(false);
}

float head_scale(const float* x, std::int64_t dim) {
  float largest = 0.f;
  for (std::int64_t d = 0; d < dim; ++d) {
    if (!std::isfinite(x[d])) return std::numeric_limits<float>::quiet_NaN();
    largest = std::max(largest, std::fabs(x[d]));
  }
  return largest / 127.f;
}

void kv_store(const KvLayout& layout, const float* key, const float* value, std::byte* head,
              std::int64_t slot) {
  float scales[2] = {0.f, 0.f};
  if (layout.type == KvType::kI8) {
    scales[0] = head_scale(key, layout.head_dim);
    scales[1] = head_scale(value, layout.head_dim);
    std::memcpy(head + layout.scale_offset() + slot * 4, &scales[0], 4);
    std::memcpy(head + layout.scale_offset() + (kPageTokens + slot) * 4, &scales[1], 4);
  }
  const auto inverse = [](float s) { return s > 0.f ? 1.f / s : 0.f; };
  for (std::int64_t d = 0; d < layout.head_dim; ++d) {
    put(layout.type, key[d], inverse(scales[0]), head + layout.key_at(slot, d));
    put(layout.type, value[d], inverse(scales[1]), head + layout.value_at(slot, d));
  }
}

float kv_scale(const KvLayout& layout, const std::byte* head, std::int64_t index) {
  if (layout.type != KvType::kI8) return 1.f;
  float scale;
  std::memcpy(&scale, head + layout.scale_offset() + index * 4, 4);
  return scale;
}

// The plain definition over the positions [begin, end): (max, sum, head_dim sums).
void attend(const AttentionTile& tile, std::int64_t row, std::int64_t begin, std::int64_t end,
            float* partial) {
  const KvLayout& layout = tile.layout;
  const std::int64_t dim = layout.head_dim;
  const std::int64_t position = tile.position + row / tile.heads;
  if (tile.window > 0) begin = std::max(begin, position - tile.window + 1);
  end = std::min(end, position + 1);
  std::fill_n(partial, partial_floats(dim), 0.f);
  partial[0] = -1e30f;
  if (begin >= end) return;
  const float* q = tile.queries + (row / tile.heads) * tile.query_stride + (row % tile.heads) * dim;
  const auto head_of = [&](std::int64_t p) {
    return tile.pages[p / kPageTokens] + tile.head_offset;
  };
  std::vector<float> scores(static_cast<std::size_t>(end - begin));
  for (std::int64_t p = begin; p < end; ++p) {
    const std::byte* head = head_of(p);
    const std::int64_t slot = p % kPageTokens;
    float s = 0.f;
    for (std::int64_t d = 0; d < dim; ++d)
      s += q[d] * get(layout.type, head + layout.key_at(slot, d));
    s *= kv_scale(layout, head, slot);
    if (tile.softcap > 0.f) s = tile.softcap * std::tanh(s / tile.softcap);
    scores[static_cast<std::size_t>(p - begin)] = s;
    partial[0] = s > partial[0] || std::isnan(s) ? s : partial[0];
  }
  for (std::int64_t p = begin; p < end; ++p) {
    const std::byte* head = head_of(p);
    const std::int64_t slot = p % kPageTokens;
    const float weight = std::exp(scores[static_cast<std::size_t>(p - begin)] - partial[0]);
    partial[1] += weight;
    const float scaled = weight * kv_scale(layout, head, kPageTokens + slot);
    for (std::int64_t d = 0; d < dim; ++d)
      partial[2 + d] += scaled * get(layout.type, head + layout.value_at(slot, d));
  }
}

void attention_merge(const float* partials, std::int64_t stride, std::int64_t spans,
                     std::int64_t head_dim, float* out) {
  float largest = partials[0];
  for (std::int64_t s = 1; s < spans; ++s) largest = std::max(largest, partials[s * stride]);
  float total = 0.f;
  std::fill_n(out, head_dim, 0.f);
  for (std::int64_t s = 0; s < spans; ++s) {
    const float* part = partials + s * stride;
    const float share = std::exp(part[0] - largest);
    total += part[1] * share;
    for (std::int64_t d = 0; d < head_dim; ++d) out[d] += part[2 + d] * share;
  }
  for (std::int64_t d = 0; d < head_dim; ++d) out[d] /= total;
}

void attention(const AttentionTile& tile, std::int64_t span_begin, std::int64_t span_end,
               float* partials, float* /*scratch*/) {
  const std::int64_t dim = tile.layout.head_dim;
  const std::int64_t stride = partial_floats(dim);
  const std::int64_t rows = tile.tokens * tile.heads;
  const std::int64_t spans = span_end - span_begin;
  std::vector<float> own;
  float* all = partials;
  if (!all) {
    own.resize(static_cast<std::size_t>(spans * rows * stride));
    all = own.data();
  }
  for (std::int64_t s = 0; s < spans; ++s)
    for (std::int64_t r = 0; r < rows; ++r)
      attend(tile, r, (span_begin + s) * kSpanTokens, (span_begin + s + 1) * kSpanTokens,
             all + (s * rows + r) * stride);
  if (partials) return;
  for (std::int64_t r = 0; r < rows; ++r)
    attention_merge(all + r * stride, rows * stride, spans, dim,
                    tile.out + (r / tile.heads) * tile.out_stride + (r % tile.heads) * dim);
}

std::int64_t argmax(const float* x, std::int64_t n) {
  std::int64_t best = -1;
  for (std::int64_t i = 0; i < n; ++i) {
    if (std::isnan(x[i])) return -1;
    if (x[i] > (best < 0 ? -std::numeric_limits<float>::infinity() : x[best])) best = i;
  }
  return best;
}

float logsumexp(const float* x, std::int64_t n) {
  const float largest = *std::max_element(x, x + n);
  double total = 0;
  for (std::int64_t i = 0; i < n; ++i) total += std::exp(static_cast<double>(x[i]) - largest);
  return static_cast<float>(largest + std::log(total));
}

void exponentials(const float* x, std::int64_t n, float largest, float scale, float* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    const double y = std::exp((static_cast<double>(x[i]) - largest) * scale);
    out[i] = y < 1e-38 ? 0.f : static_cast<float>(y);
  }
}

double int8_peak_loop(std::int64_t rounds, std::int32_t* sink) {
  std::int8_t x[64];
  std::memset(x, 2, sizeof x);
  std::int32_t sums[64] = {};
  for (std::int64_t i = 0; i < rounds; ++i)
    for (int k = 0; k < 64; ++k) sums[k] += x[k] * static_cast<std::int32_t>(i & 3);
  *sink = 0;
  for (std::int32_t s : sums) *sink += s;
  return 128.0 * static_cast<double>(rounds);
}

double float_peak_loop(std::int64_t rounds, std::int32_t* sink) {
  float sums[64] = {};
  for (std::int64_t i = 0; i < rounds; ++i)
    for (float& s : sums) s = s * 0.5f + 1.f;
  float total = 0;
  for (float s : sums) total += s;
  *sink = static_cast<std::int32_t>(total);
  return 128.0 * static_cast<double>(rounds);
}

void read_loop(const std::byte* p, std::int64_t n, std::int32_t* sink) {
  std::uint64_t total = 0;  // may wrap round
  for (std::int64_t i = 0; i < n; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, p + i, 8);
    total += word;
  }
  *sink = static_cast<std::int32_t>(total);
}

const Ops kOps = {
    Isa::kScalar, false,         quantize_rows, matmul_q,       matmul_f,        rms_norm,
    gate,         gate_quantize, rope,          kv_store,       attention,       attention_merge,
    argmax,       logsumexp,     exponentials,  int8_peak_loop, float_peak_loop, read_loop};

}  // namespace

const Ops& reference_ops() { return kOps; }

}  // namespace hearth::kernels

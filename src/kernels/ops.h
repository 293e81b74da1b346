// The CPU operations, one table per instruction-set family, chosen once at start.
//
// Batch invariance: every function computes a row of its output from that row's inputs alone, in an
// order of sums that depends on shapes and on the ISA only. How callers cut the work never shows.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "base/result.h"
#include "kernels/packed.h"

namespace hearth::kernels {

// A group of activations whose largest is not above this counts as zeros: 127 / max|x| would
// overflow.
inline constexpr float kSmallestScaled = 1e-36f;

// Activations rounded to 8 bits, in groups of 32 columns: x ~ scale * code, |code| <= 127,
// scale = max|x| / 127. The sums serve weights that have an offset.
struct QuantizedRows {
  std::int8_t* codes = nullptr;  // (rows, columns)
  float* scales = nullptr;       // (rows, columns / 32)
  float* scaled_sums = nullptr;  // (rows, columns / 32): scale * sum of the group's codes
  // (rows, columns / 32, 2): minus the sum of the codes of a group's first half; of the whole group
  std::int32_t* minus_sums = nullptr;
  std::int64_t columns = 0;
};

enum class Store : std::uint8_t { kSet, kAdd };  // out = y, or out += y (a residual)
enum class GateKind : std::uint8_t { kSilu, kGeluTanh };

// How keys and values are kept in a page. kF32 only for --precision f32.
enum class KvType : std::uint8_t { kF16, kBF16, kI8, kF32 };

inline constexpr std::int64_t kPageTokens = 32;
// Attention is summed up in spans of this many positions, which are merged in order: a long context
// can be spread over threads and still gives the same bits.
inline constexpr std::int64_t kSpanTokens = 512;

// One layer's share of a page, per KV head:
//   keys    (head_dim, kPageTokens)   transposed: 16 keys are scored by one fused multiply-add
//   values  (kPageTokens, padded_dim)    zero behind head_dim
//   kBF16: in pairs, as dot products of two take them: keys (head_dim / 2, kPageTokens, 2), values
//          (kPageTokens / 2, padded_dim, 2)
//   kI8 only: key scales (kPageTokens) f32, value scales (kPageTokens) f32
inline constexpr std::int64_t kHeadDimMax = 512;
struct KvLayout {
  KvType type = KvType::kF16;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;  // even, at most kHeadDimMax
  std::int64_t elem_bytes() const { return type == KvType::kF32 ? 4 : type == KvType::kI8 ? 1 : 2; }
  std::int64_t padded_dim() const { return (head_dim + 15) / 16 * 16; }
  // Where a token's dimension d is, in bytes from the head's begin.
  std::int64_t key_at(std::int64_t slot, std::int64_t d) const {
    if (type == KvType::kBF16) return ((d / 2 * kPageTokens + slot) * 2 + d % 2) * 2;
    return (d * kPageTokens + slot) * elem_bytes();
  }
  std::int64_t value_at(std::int64_t slot, std::int64_t d) const {
    if (type == KvType::kBF16)
      return value_offset() + ((slot / 2 * padded_dim() + d) * 2 + slot % 2) * 2;
    return value_offset() + (slot * padded_dim() + d) * elem_bytes();
  }
  std::int64_t value_offset() const { return head_dim * kPageTokens * elem_bytes(); }
  std::int64_t scale_offset() const {
    return value_offset() + padded_dim() * kPageTokens * elem_bytes();
  }
  std::int64_t head_bytes() const {
    return scale_offset() +
           (type == KvType::kI8 ? 2 * kPageTokens * std::int64_t{sizeof(float)} : 0);
  }
  std::int64_t layer_bytes() const { return kv_heads * head_bytes(); }
};

// A tile of queries that look at the same KV head of one sequence.
struct AttentionTile {
  const float* queries = nullptr;  // first row; row stride query_stride; already scaled
  std::int64_t query_stride = 0;   // floats between tokens
  float* out = nullptr;            // (tokens, heads, head_dim) with the stride below
  std::int64_t out_stride = 0;
  std::int64_t tokens = 0;    // consecutive positions from `position`
  std::int64_t heads = 0;     // query heads that share the KV head, adjacent in memory
  std::int64_t position = 0;  // of the first token
  std::int64_t window = 0;    // 0: all; else a token sees itself and window-1 before it
  float softcap = 0.f;        // 0: none
  const std::byte* const* pages =
      nullptr;                   // by position / kPageTokens: this layer's share, this KV head
  std::int64_t head_offset = 0;  // bytes from pages[i] to this layer's KV head
  KvLayout layout;
};
inline constexpr std::int64_t kTileRowsMax = 48;  // tokens * heads of one tile
// Floats of scratch memory that attention() needs.
std::int64_t attention_scratch_floats(std::int64_t head_dim);
// Floats of one row's partial result: max, sum, head_dim values padded to whole vectors.
inline std::int64_t partial_floats(std::int64_t head_dim) { return (head_dim + 15) / 16 * 16 + 2; }

// Floats of scratch memory that matmul_f() needs for kPairs: rows and columns in whole tiles.
inline std::int64_t pairs_scratch_floats(std::int64_t rows, std::int64_t columns) {
  return (rows + 15) / 16 * 16 * ((columns + 31) / 32 * 16);
}

struct Ops {
  Isa isa;
  bool pairs;  // multiplies bfloat16: wants F16 and BF16 weights as kPairs

  // (m_end - m_begin) rows from x + m_begin * ld. columns % 32 == 0.
  void (*quantize_rows)(const float* x, std::int64_t ld, std::int64_t m_begin, std::int64_t m_end,
                        const QuantizedRows& out);

  // out[m][r] (=, +=) sum_k x[m][k] w[r][k] + bias[r] for panels [panel_begin, panel_end) and rows
  // [m_begin, m_end); out has row stride ld and starts at the matrix's row 0. bias may be null.
  void (*matmul_q)(const PackedMatrix& w, const QuantizedRows& x, const float* bias, Store store,
                   std::int64_t panel_begin, std::int64_t panel_end, std::int64_t m_begin,
                   std::int64_t m_end, float* out, std::int64_t ld);
  // The same for kF32, kF16 and kBF16 weights, with float32 activations (rows, columns); and for
  // kPairs, with the same rounded to bfloat16, which takes a scratch of pairs_scratch_floats()
  // (null for the others).
  void (*matmul_f)(const PackedMatrix& w, const float* x, std::int64_t x_ld, const float* bias,
                   Store store, std::int64_t panel_begin, std::int64_t panel_end,
                   std::int64_t m_begin, std::int64_t m_end, float* out, std::int64_t ld,
                   float* scratch);

  // out = x / sqrt(mean(x^2) + eps) * weight (arXiv 1910.07467); kAdd adds that to out.
  void (*rms_norm)(const float* x, const float* weight, float eps, std::int64_t columns,
                   Store store, float* out);
  // out[i] = act(gate[i]) * up[i]
  void (*gate)(GateKind kind, const float* gate, const float* up, std::int64_t columns, float* out);
  // One group of 32 columns of `rows` rows: y = act(x[r][0..31]) * x[r][32..63], rounded to 8 bits
  // into group `group` of rows m, m + 1, ... of `out`. x has row stride 64. The same numbers as
  // gate() and quantize_rows() give.
  void (*gate_quantize)(GateKind kind, const float* x, std::int64_t rows, const QuantizedRows& out,
                        std::int64_t m, std::int64_t group);
  // x (dims) rotated in halves: (x[i], x[i + dims/2]) by the angle with cosines/sines [i]; then
  // times `scale`. dims is even.
  void (*rope)(float* x, const float* cosines, const float* sines, std::int64_t dims, float scale);
  // Writes one token's key and value (head_dim floats each) into slot `slot` of a page's KV head.
  void (*kv_store)(const KvLayout& layout, const float* key, const float* value, std::byte* head,
                   std::int64_t slot);
  // Softmax attention of the tile over spans [span_begin, span_end) (of kSpanTokens positions).
  // partials == null: out gets the finished rows, all spans must be asked for. Else
  // partials[(span - span_begin) * tokens * heads + row] gets each span's partial_floats().
  void (*attention)(const AttentionTile& tile, std::int64_t span_begin, std::int64_t span_end,
                    float* partials, float* scratch);
  // Merges a row's partials of `spans` spans (stride floats apart), in order, into out (head_dim).
  void (*attention_merge)(const float* partials, std::int64_t stride, std::int64_t spans,
                          std::int64_t head_dim, float* out);

  // The first index of the largest value; -1 if any value is NaN or all are -inf.
  std::int64_t (*argmax)(const float* x, std::int64_t n);
  // log(sum(exp(x))), with the maximum taken out.
  float (*logsumexp)(const float* x, std::int64_t n);
  // out[i] = e^((x[i] - largest) * scale), for x[i] <= largest and a finite scale > 0; relative
  // error 2e-7 above 1e-31, and 0 for what is below 1e-38.
  void (*exponentials)(const float* x, std::int64_t n, float largest, float scale, float* out);

  // The machine's limits. 8-bit multiply-adds in registers; returns operations, two each. `sink`
  // keeps the compiler from leaving the work out.
  double (*int8_peak_loop)(std::int64_t rounds, std::int32_t* sink);
  // The same for what matmul_f multiplies with: pairs of bfloat16 where `pairs`, else float32.
  double (*float_peak_loop)(std::int64_t rounds, std::int32_t* sink);
  // Reads n bytes, a multiple of 256, once.
  void (*read_loop)(const std::byte* p, std::int64_t n, std::int32_t* sink);
};

const Ops& reference_ops();   // plain loops: the oracle
const Ops& ops_for(Isa isa);  // isa must be supported here
// The best table, or that of the family HEARTH_ISA names; an unknown or unsupported name is an
// error. The best one is the last of supported_isas(), but without bfloat16 where its dot products
// are not faster than float32's multiply-adds, which is measured (Xeons of the fourth generation
// whose tiles are hidden: half as fast; EPYCs: twice).
Result<const Ops*> choose_ops();

}  // namespace hearth::kernels

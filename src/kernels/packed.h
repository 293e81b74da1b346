// Weights as the CPU kernels want them: repacked once at load, never unpacked again.
//
// A matrix is cut into panels of 16 rows (output features). Within a panel, one 64-byte vector
// holds 16 rows x 4 consecutive columns ("quad"), so that a dot-product instruction (vpdpbusd and
// its like) yields one 32-bit sum per row without any shuffle. Eight quads make a group of 32
// columns that shares scales. The layout is the same for every x86 ISA: a 256-bit kernel takes a
// vector in two halves.
//
// Per group of 32 columns x 16 rows (512 weights), in bytes:
//   form   codes             high bits        scales                 offsets     total bits/weight
//   kQ4S   256 (nibbles)     -                32 (16 x f16)          -           288     4.5
//   kQ4    256               -                32                     32 (f16)    320     5
//   kQ4K   256               -                16 (+ 4)               16 (+ 4)    296     4.625
//   kQ5    256               64 (1 bit)       32                     32          384     6
//   kQ6    256               128 (2 bits)     64 (2 x 16 x f16)      -           448     7
//   kQ8    512               -                32                     -           544     8.5
// kQ4K keeps 6-bit scales and offsets as bytes, and for 8 groups two f16 a row that multiply them.
// A weight is  scale * code + offset  (kQ4, kQ4K, kQ5),  scale * (code - 8) (kQ4S), scale * (code -
// 32) (kQ6; a scale per 16 columns), scale * (code - 128) (kQ8). Stored kinds and their forms:
//   Q4_0 -> kQ4S   Q4_1 -> kQ4   Q4_K -> kQ4K   Q5_0 Q5_1 Q5_K -> kQ5   Q6_K -> kQ6   Q8_0 -> kQ8
// All keep their values exactly but Q5_K and Q6_K, whose scale products are rounded to f16
// (relative error 2^-11, far under the step of the code itself). Sizes against the file:
// Q4_K 1.03, Q4_0 and Q4_1 1.00, Q5_0 and Q5_K 1.09, Q5_1 1.00, Q6_K 1.07, Q8_0 1.00. kF32,
// kF16, kBF16: [columns][16 rows], no padding of columns. kPairs: bfloat16, [columns / 2][16
// rows][2], an odd last column beside zeros; what F16 and BF16 become where the processor
// multiplies bfloat16 (F16 loses 3 of its 11 bits, which is less than activations of 8 bits lose).
// Rows are padded with zero weights to whole panels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace hearth::kernels {

inline constexpr std::int64_t kPanelRows = 16;
inline constexpr std::int64_t kGroup = 32;  // columns that share a scale; activations likewise
inline constexpr std::int64_t kQuadsPerGroup = 8;

enum class Form : std::uint8_t { kF32, kF16, kBF16, kPairs, kQ4S, kQ4, kQ4K, kQ5, kQ6, kQ8 };

inline bool is_quantized(Form form) { return form >= Form::kQ4S; }

// Byte offsets within a panel. A group's codes, with their high bits, are `code_bytes` from
// codes_at() on; its scales, f16 unless kQ4K, lie at scales_at(), its offsets kOffsetsAfterScales
// behind them. kQ4, kQ5 and kQ6 keep scales right behind the codes; kQ4S and kQ8, whose groups are
// no multiples of a cache line, behind those of two groups; of kQ4K see below. So a core reads a
// panel nearly in the order in which it lies: a second stream for scales cost Q8_0 8 % (Zen 5).
inline constexpr std::int64_t kQ5HighOffset = 256;
inline constexpr std::int64_t kQ6HighOffset = 256;
inline constexpr std::int64_t kOffsetsAfterScales = 32;

constexpr std::int64_t code_bytes(Form form) {
  switch (form) {
    case Form::kQ4S:
    case Form::kQ4:
    case Form::kQ4K:
      return 256;
    case Form::kQ5:
      return 320;
    case Form::kQ6:
      return 384;
    case Form::kQ8:
      return 512;
    default:
      return 0;
  }
}
// Two groups and 32 bytes of scales for each: kQ4S, kQ8.
constexpr std::int64_t pair_bytes(Form form) { return 2 * (code_bytes(form) + 32); }
// kQ4K: for 8 groups (a block of Q4_K) 16 f16 for scales and 16 f16, negative, for offsets; then
// the groups as in kQ4S, with 16 bytes of scales and 16 of offsets in place of 16 f16.
inline constexpr std::int64_t kSuperGroups = 8;
inline constexpr std::int64_t kSuperHeadBytes = 64;
inline constexpr std::int64_t kSuperBytes =
    kSuperHeadBytes + kSuperGroups / 2 * pair_bytes(Form::kQ4S);
constexpr std::int64_t super_at(std::int64_t g) { return g / kSuperGroups * kSuperBytes; }
constexpr std::int64_t codes_at(Form form, std::int64_t g) {
  switch (form) {
    case Form::kQ4:
    case Form::kQ5:
    case Form::kQ6:
      return g * (code_bytes(form) + 64);
    case Form::kQ4K:
      return super_at(g) + kSuperHeadBytes + codes_at(Form::kQ4S, g % kSuperGroups);
    default:
      return g / 2 * pair_bytes(form) + g % 2 * code_bytes(form);
  }
}
// kQ4K: what the group shares with seven others.
constexpr std::int64_t scales_at(Form form, std::int64_t g) {
  switch (form) {
    case Form::kQ4S:
    case Form::kQ8:
      return g / 2 * pair_bytes(form) + 2 * code_bytes(form) + g % 2 * 32;
    case Form::kQ4K:
      return super_at(g);
    default:
      return codes_at(form, g) + code_bytes(form);
  }
}
// kQ4K: the group's own bytes, offsets kOffsetBytesAfterScaleBytes behind scales.
constexpr std::int64_t scale_bytes_at(std::int64_t g) {
  return super_at(g) + kSuperHeadBytes + scales_at(Form::kQ4S, g % kSuperGroups);
}
inline constexpr std::int64_t kOffsetBytesAfterScaleBytes = 16;

std::int64_t panel_bytes(Form form, std::int64_t columns);

struct PackedMatrix {
  Form form = Form::kF32;
  std::int64_t rows = 0;            // without padding
  std::int64_t columns = 0;         // quantised forms: a multiple of kGroup
  const std::byte* data = nullptr;  // panels() * panel_bytes(form, columns), 64-byte aligned
  std::int64_t panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  std::int64_t bytes() const { return panels() * panel_bytes(form, columns); }
};

Form form_of(DType type, bool pairs = false);

// Repacks up to 16 rows into one panel. row_data[i] points at stored row i of kind `type`
// (null: a padding row); any alignment. `out` gets panel_bytes(form_of(type, pairs), columns)
// bytes.
void pack_panel(DType type, const void* const row_data[kPanelRows], std::int64_t columns,
                std::byte* out, bool pairs = false);
// The same into kF32, whatever the kind: for --precision f32.
void pack_panel_f32(DType type, const void* const row_data[kPanelRows], std::int64_t columns,
                    std::byte* out);

// The value of one weight, for tests and for the scalar oracle.
float packed_value(const PackedMatrix& matrix, std::int64_t row, std::int64_t column);

}  // namespace hearth::kernels

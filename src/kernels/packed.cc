#include "kernels/packed.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/result.h"
#include "tensor/blocks.h"

namespace hearth::kernels {
namespace {

// One row's group of 32 columns on its way into a panel.
struct Group {
  std::uint8_t codes[kGroup];
  HalfBits scale = 0;
  HalfBits second = 0;  // kQ4, kQ5: the offset; kQ6: the scale of columns 16..31
  // kQ4K: what `scale` and `second` are to be multiplied with.
  std::uint8_t scale_byte = 0;
  std::uint8_t second_byte = 0;
};

template <class Block>
Block block_at(const void* row, std::int64_t index) {
  Block block;
  std::memcpy(&block, static_cast<const std::byte*>(row) + index * std::int64_t{sizeof(Block)},
              sizeof(Block));
  return block;
}

void nibbles_16(const std::uint8_t* qs, std::uint8_t* codes) {
  for (int j = 0; j < 16; ++j) {
    codes[j] = qs[j] & 15;
    codes[j + 16] = static_cast<std::uint8_t>(qs[j] >> 4);
  }
}

void fifth_bits_32(const std::uint8_t* qh, std::uint8_t* codes) {
  for (int j = 0; j < 32; ++j)
    codes[j] = static_cast<std::uint8_t>(codes[j] | (((qh[j / 8] >> (j % 8)) & 1) << 4));
}

HalfBits times(HalfBits half, float factor) { return float_to_half(half_to_float(half) * factor); }

void read_k4(const void* row, std::int64_t g, Group& out, bool fifth_bit) {
  // Q4_K and Q5_K differ in the high bits that lie between the scales and the nibbles.
  const std::int64_t block_bytes = fifth_bit ? sizeof(BlockQ5_K) : sizeof(BlockQ4_K);
  const auto* block = static_cast<const std::uint8_t*>(row) + (g / 8) * block_bytes;
  const auto* qs = block + (fifth_bit ? offsetof(BlockQ5_K, qs) : offsetof(BlockQ4_K, qs));
  const int sub = static_cast<int>(g % 8);
  HalfBits d[2];
  std::memcpy(d, block, sizeof d);
  std::uint8_t scale[8];
  std::uint8_t min[8];
  unpack_scales_k4(block + 4, scale, min);
  for (int j = 0; j < 32; ++j) {
    const int code = qs[32 * (sub / 2) + j] >> (4 * (sub % 2)) & 15;
    const int high = fifth_bit ? (block[offsetof(BlockQ5_K, qh) + j] >> sub & 1) << 4 : 0;
    out.codes[j] = static_cast<std::uint8_t>(code | high);
  }
  if (fifth_bit) {
    out.scale = times(d[0], scale[sub]);
    out.second = times(d[1], -static_cast<float>(min[sub]));
  } else {
    out.scale = d[0];
    out.second = times(d[1], -1.f);
    out.scale_byte = scale[sub];
    out.second_byte = min[sub];
  }
}

void read_q6(const void* row, std::int64_t g, Group& out) {
  const auto block = block_at<BlockQ6_K>(row, g / 8);
  const int half = static_cast<int>(g % 8) / 4;
  const int k = static_cast<int>(g % 4);
  for (int j = 0; j < 32; ++j) {
    const int low = block.ql[64 * half + 32 * (k % 2) + j] >> (4 * (k / 2)) & 15;
    const int high = block.qh[32 * half + j] >> (2 * k) & 3;
    out.codes[j] = static_cast<std::uint8_t>(low | high << 4);
  }
  const int scale = static_cast<int>(g % 8) * 2;
  out.scale = times(block.d, block.scales[scale]);
  out.second = times(block.d, block.scales[scale + 1]);
}

void read_group(DType type, const void* row, std::int64_t g, Group& out) {
  switch (type) {
    case DType::kQ4_0: {
      const auto b = block_at<BlockQ4_0>(row, g);
      nibbles_16(b.qs, out.codes);
      out.scale = b.d;
      return;
    }
    case DType::kQ4_1: {
      const auto b = block_at<BlockQ4_1>(row, g);
      nibbles_16(b.qs, out.codes);
      out.scale = b.d;
      out.second = b.m;
      return;
    }
    case DType::kQ5_0: {
      const auto b = block_at<BlockQ5_0>(row, g);
      nibbles_16(b.qs, out.codes);
      fifth_bits_32(b.qh, out.codes);
      out.scale = b.d;
      out.second = times(b.d, -16.f);
      return;
    }
    case DType::kQ5_1: {
      const auto b = block_at<BlockQ5_1>(row, g);
      nibbles_16(b.qs, out.codes);
      fifth_bits_32(b.qh, out.codes);
      out.scale = b.d;
      out.second = b.m;
      return;
    }
    case DType::kQ8_0: {
      const auto b = block_at<BlockQ8_0>(row, g);
      for (int j = 0; j < 32; ++j) out.codes[j] = static_cast<std::uint8_t>(b.qs[j] + 128);
      out.scale = b.d;
      return;
    }
    case DType::kQ4_K:
      return read_k4(row, g, out, false);
    case DType::kQ5_K:
      return read_k4(row, g, out, true);
    case DType::kQ6_K:
      return read_q6(row, g, out);
    default:
      HEARTH_CHECK(false);
  }
}

std::uint32_t word_at(const std::uint8_t* p) {
  std::uint32_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

// 16 rows' codes of one group into vectors of 16 rows x 4 columns.
void interleave(Form form, const Group (&rows)[kPanelRows], std::byte* out) {
  for (int r = 0; r < kPanelRows; ++r) {
    const std::uint8_t* codes = rows[r].codes;
    std::byte* lane = out + r * 4;
    if (form == Form::kQ8) {
      for (int q = 0; q < kQuadsPerGroup; ++q) std::memcpy(lane + q * 64, codes + q * 4, 4);
      continue;
    }
    for (int pair = 0; pair < 4; ++pair) {
      const std::uint32_t low = word_at(codes + pair * 8) & 0x0f0f0f0fu;
      const std::uint32_t high = word_at(codes + pair * 8 + 4) & 0x0f0f0f0fu;
      const std::uint32_t both = low | high << 4;
      std::memcpy(lane + pair * 64, &both, 4);
    }
    if (form == Form::kQ6) {
      for (int half = 0; half < 2; ++half) {
        std::uint32_t bits = 0;
        for (int q = 0; q < 4; ++q)
          bits |= (word_at(codes + half * 16 + q * 4) >> 4 & 0x03030303u) << (2 * q);
        std::memcpy(lane + kQ6HighOffset + half * 64, &bits, 4);
      }
    }
  }
  if (form != Form::kQ5) return;
  for (int q = 0; q < kQuadsPerGroup; ++q) {
    std::uint64_t bits = 0;  // bit i belongs to byte i of the vector
    for (int r = 0; r < kPanelRows; ++r)
      for (int k = 0; k < 4; ++k)
        bits |= static_cast<std::uint64_t>(rows[r].codes[q * 4 + k] >> 4 & 1) << (r * 4 + k);
    std::memcpy(out + kQ5HighOffset + q * 8, &bits, 8);
  }
}

void pack_quantized(DType type, const void* const row_data[kPanelRows], std::int64_t columns,
                    std::byte* out) {
  const Form form = form_of(type);
  const std::int64_t groups = columns / kGroup;
  Group rows[kPanelRows];
  // A padding row: codes that mean zero under a scale of zero.
  for (auto& row : rows) std::memset(row.codes, 0, sizeof row.codes);
  for (std::int64_t g = 0; g < groups; ++g) {
    HalfBits first[kPanelRows];
    HalfBits second[kPanelRows];
    std::uint8_t bytes[2 * kPanelRows];
    for (int r = 0; r < kPanelRows; ++r) {
      if (row_data[r]) read_group(type, row_data[r], g, rows[r]);
      first[r] = rows[r].scale;
      second[r] = rows[r].second;
      bytes[r] = rows[r].scale_byte;
      bytes[r + kPanelRows] = rows[r].second_byte;
    }
    interleave(form, rows, out + codes_at(form, g));
    std::byte* const scales = out + scales_at(form, g);
    std::memcpy(scales, first, sizeof first);
    if (form == Form::kQ4S || form == Form::kQ8) continue;
    std::memcpy(scales + kOffsetsAfterScales, second, sizeof second);
    if (form == Form::kQ4K) std::memcpy(out + scale_bytes_at(g), bytes, sizeof bytes);
  }
}

void pack_pairs(DType type, const void* const row_data[kPanelRows], std::int64_t columns,
                std::byte* out) {
  for (std::int64_t r = 0; r < kPanelRows; ++r) {
    const auto* row = static_cast<const std::byte*>(row_data[r]);
    for (std::int64_t k = 0; k < columns + columns % 2; ++k) {
      std::uint16_t bits = 0;
      if (row && k < columns) std::memcpy(&bits, row + k * 2, 2);
      if (type == DType::kF16) bits = float_to_bf16(half_to_float(bits));
      std::memcpy(out + (k / 2 * kPanelRows + r) * 4 + k % 2 * 2, &bits, 2);
    }
  }
}

// One value of a quantised matrix, as packed.h defines it.
float quantized_value(Form form, const std::byte* panel, std::int64_t row, std::int64_t column) {
  const std::int64_t g = column / kGroup;
  const auto in_group = static_cast<int>(column % kGroup);
  const int quad = in_group / 4;
  const std::int64_t lane = row * 4 + in_group % 4;
  const std::byte* group = panel + codes_at(form, g);
  const std::byte* scales = panel + scales_at(form, g);
  const auto half_at = [&](std::int64_t offset) {
    HalfBits bits;
    std::memcpy(&bits, scales + offset + row * 2, sizeof bits);
    return half_to_float(bits);
  };
  if (form == Form::kQ8)
    return half_at(0) * static_cast<float>(std::to_integer<int>(group[quad * 64 + lane]) - 128);
  int code = std::to_integer<int>(group[(quad / 2) * 64 + lane]) >> (4 * (quad % 2)) & 15;
  if (form == Form::kQ5) {
    const auto byte = std::to_integer<int>(group[kQ5HighOffset + quad * 8 + lane / 8]);
    code |= (byte >> (lane % 8) & 1) << 4;
  }
  if (form == Form::kQ6) {
    const auto byte = std::to_integer<int>(group[kQ6HighOffset + (quad / 4) * 64 + lane]);
    code |= (byte >> (2 * (quad % 4)) & 3) << 4;
    return half_at(in_group < 16 ? 0 : 32) * static_cast<float>(code - 32);
  }
  if (form == Form::kQ4S) return half_at(0) * static_cast<float>(code - 8);
  if (form == Form::kQ4K) {
    const std::byte* bytes = panel + scale_bytes_at(g) + row;
    const auto byte_at = [bytes](std::int64_t offset) {
      return static_cast<float>(std::to_integer<int>(bytes[offset]));
    };
    return half_at(0) * byte_at(0) * static_cast<float>(code) +
           half_at(kOffsetsAfterScales) * byte_at(kOffsetBytesAfterScaleBytes);
  }
  return half_at(0) * static_cast<float>(code) + half_at(kOffsetsAfterScales);
}

}  // namespace

std::int64_t panel_bytes(Form form, std::int64_t columns) {
  const std::int64_t groups = columns / kGroup;
  switch (form) {
    case Form::kF32:
      return columns * kPanelRows * 4;
    case Form::kF16:
    case Form::kBF16:
      return columns * kPanelRows * 2;
    case Form::kPairs:
      return (columns + 1) / 2 * 64;
    case Form::kQ4:
    case Form::kQ5:
    case Form::kQ6:
      return codes_at(form, groups);
    case Form::kQ4K:
      return super_at(groups);
    case Form::kQ4S:
    case Form::kQ8:
      return codes_at(form, (groups + 1) / 2 * 2);
  }
  HEARTH_CHECK(false);
}

Form form_of(DType type, bool pairs) {
  if (pairs && (type == DType::kF16 || type == DType::kBF16)) return Form::kPairs;
  switch (type) {
    case DType::kF32:
      return Form::kF32;
    case DType::kF16:
      return Form::kF16;
    case DType::kBF16:
      return Form::kBF16;
    case DType::kQ4_0:
      return Form::kQ4S;
    case DType::kQ4_1:
      return Form::kQ4;
    case DType::kQ4_K:
      return Form::kQ4K;
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ5_K:
      return Form::kQ5;
    case DType::kQ6_K:
      return Form::kQ6;
    case DType::kQ8_0:
      return Form::kQ8;
  }
  HEARTH_CHECK(false);
}

void pack_panel(DType type, const void* const row_data[kPanelRows], std::int64_t columns,
                std::byte* out, bool pairs) {
  if (form_of(type, pairs) == Form::kPairs) return pack_pairs(type, row_data, columns, out);
  if (is_quantized(form_of(type))) return pack_quantized(type, row_data, columns, out);
  const std::int64_t bytes = type == DType::kF32 ? 4 : 2;
  for (std::int64_t r = 0; r < kPanelRows; ++r) {
    const auto* row = static_cast<const std::byte*>(row_data[r]);
    for (std::int64_t k = 0; k < columns; ++k) {
      std::byte* to = out + (k * kPanelRows + r) * bytes;
      if (row)
        std::memcpy(to, row + k * bytes, static_cast<std::size_t>(bytes));
      else
        std::memset(to, 0, static_cast<std::size_t>(bytes));
    }
  }
}

void pack_panel_f32(DType type, const void* const row_data[kPanelRows], std::int64_t columns,
                    std::byte* out) {
  // A stretch of columns at a time keeps both sides in the cache; 256 is every kind's block or
  // more.
  constexpr std::int64_t kStretch = 256;
  float values[kStretch];
  const DTypeInfo kind = info(type);
  for (std::int64_t r = 0; r < kPanelRows; ++r) {
    for (std::int64_t k0 = 0; k0 < columns; k0 += kStretch) {
      const std::int64_t n = std::min(kStretch, columns - k0);
      if (row_data[r])
        dequantize(
            type,
            static_cast<const std::byte*>(row_data[r]) + k0 / kind.block_elems * kind.block_bytes,
            values, n);
      else
        std::memset(values, 0, sizeof values);
      for (std::int64_t k = 0; k < n; ++k)
        std::memcpy(out + ((k0 + k) * kPanelRows + r) * 4, &values[k], 4);
    }
  }
}

float packed_value(const PackedMatrix& matrix, std::int64_t row, std::int64_t column) {
  const std::byte* panel =
      matrix.data + row / kPanelRows * panel_bytes(matrix.form, matrix.columns);
  const std::int64_t r = row % kPanelRows;
  const std::int64_t index = column * kPanelRows + r;
  if (is_quantized(matrix.form)) return quantized_value(matrix.form, panel, r, column);
  if (matrix.form == Form::kF32) {
    float value;
    std::memcpy(&value, panel + index * 4, 4);
    return value;
  }
  std::uint16_t bits;
  if (matrix.form == Form::kPairs) {
    std::memcpy(&bits, panel + (column / 2 * kPanelRows + r) * 4 + column % 2 * 2, 2);
    return bf16_to_float(bits);
  }
  std::memcpy(&bits, panel + index * 2, 2);
  return matrix.form == Form::kF16 ? half_to_float(bits) : bf16_to_float(bits);
}

}  // namespace hearth::kernels

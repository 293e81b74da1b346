// The stored kinds as float32. The order of operations is ggml's, so results are equal bit for bit:
// products of scales first, then one multiplication and one addition per element, never fused.
#include <cstddef>
#include <cstring>

#include "tensor/blocks.h"
#include "tensor/dtype.h"

#pragma clang fp contract(off)

namespace hearth {
namespace {

void expand(const BlockQ4_0& b, float* __restrict out) {
  const float d = half_to_float(b.d);
  for (int j = 0; j < 16; ++j) out[j] = static_cast<float>((b.qs[j] & 15) - 8) * d;
  for (int j = 0; j < 16; ++j) out[16 + j] = static_cast<float>((b.qs[j] >> 4) - 8) * d;
}

void expand(const BlockQ4_1& b, float* __restrict out) {
  const float d = half_to_float(b.d);
  const float m = half_to_float(b.m);
  for (int j = 0; j < 16; ++j) out[j] = static_cast<float>(b.qs[j] & 15) * d + m;
  for (int j = 0; j < 16; ++j) out[16 + j] = static_cast<float>(b.qs[j] >> 4) * d + m;
}

// The 5-bit codes of a Q5_0 or Q5_1 block, in element order.
template <class Block>
void codes_5bit(const Block& b, int* __restrict q) {
  std::uint32_t high = 0;
  std::memcpy(&high, b.qh, sizeof high);
  for (int j = 0; j < 16; ++j) {
    q[j] = (b.qs[j] & 15) | static_cast<int>(((high >> j) & 1u) << 4);
    q[16 + j] = (b.qs[j] >> 4) | static_cast<int>(((high >> (16 + j)) & 1u) << 4);
  }
}

void expand(const BlockQ5_0& b, float* __restrict out) {
  const float d = half_to_float(b.d);
  int q[32];
  codes_5bit(b, q);
  for (int j = 0; j < 32; ++j) out[j] = static_cast<float>(q[j] - 16) * d;
}

void expand(const BlockQ5_1& b, float* __restrict out) {
  const float d = half_to_float(b.d);
  const float m = half_to_float(b.m);
  int q[32];
  codes_5bit(b, q);
  for (int j = 0; j < 32; ++j) out[j] = static_cast<float>(q[j]) * d + m;
}

void expand(const BlockQ8_0& b, float* __restrict out) {
  const float d = half_to_float(b.d);
  for (int j = 0; j < 32; ++j) out[j] = static_cast<float>(b.qs[j]) * d;
}

void expand(const BlockQ4_K& b, float* __restrict out) {
  const float d = half_to_float(b.d);
  const float dmin = half_to_float(b.dmin);
  std::uint8_t scale[8], min[8];
  unpack_scales_k4(b.scales, scale, min);
  for (int g = 0; g < 8; g += 2) {
    const std::uint8_t* qs = b.qs + 16 * g;
    const float d0 = d * scale[g], m0 = dmin * min[g];
    const float d1 = d * scale[g + 1], m1 = dmin * min[g + 1];
    for (int j = 0; j < 32; ++j) out[32 * g + j] = d0 * static_cast<float>(qs[j] & 15) - m0;
    for (int j = 0; j < 32; ++j) out[32 * g + 32 + j] = d1 * static_cast<float>(qs[j] >> 4) - m1;
  }
}

void expand(const BlockQ5_K& b, float* __restrict out) {
  const float d = half_to_float(b.d);
  const float dmin = half_to_float(b.dmin);
  std::uint8_t scale[8], min[8];
  unpack_scales_k4(b.scales, scale, min);
  for (int g = 0; g < 8; ++g) {
    const std::uint8_t* qs = b.qs + 32 * (g / 2);
    const int shift = 4 * (g % 2);
    const float dg = d * scale[g], mg = dmin * min[g];
    for (int j = 0; j < 32; ++j) {
      const int q = ((qs[j] >> shift) & 15) | (((b.qh[j] >> g) & 1) << 4);
      out[32 * g + j] = dg * static_cast<float>(q) - mg;
    }
  }
}

void expand(const BlockQ6_K& b, float* __restrict out) {
  const float d = half_to_float(b.d);
  for (int k = 0; k < 8; ++k) {  // runs of 32 elements: two scales each
    const std::uint8_t* ql = b.ql + 64 * (k / 4) + 32 * (k % 2);
    const std::uint8_t* qh = b.qh + 32 * (k / 4);
    const int low_shift = 4 * ((k % 4) / 2);
    const int high_shift = 2 * (k % 4);
    for (int half = 0; half < 2; ++half) {
      const float dg = d * static_cast<float>(b.scales[2 * k + half]);
      for (int j = 16 * half; j < 16 * half + 16; ++j) {
        const int q = ((ql[j] >> low_shift) & 15) | (((qh[j] >> high_shift) & 3) << 4);
        out[32 * k + j] = dg * static_cast<float>(q - 32);
      }
    }
  }
}

template <class Block>
void expand_all(const void* data, float* out, std::int64_t elems, int block_elems) {
  const auto* bytes = static_cast<const std::byte*>(data);
  for (std::int64_t i = 0; i < elems / block_elems; ++i) {
    Block block;  // the mapping may have any alignment
    std::memcpy(&block, bytes + i * static_cast<std::int64_t>(sizeof block), sizeof block);
    expand(block, out + i * block_elems);
  }
}

template <class Widen>
void widen_all(const void* data, float* out, std::int64_t elems, Widen widen) {
  const auto* bytes = static_cast<const std::byte*>(data);
  for (std::int64_t i = 0; i < elems; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes + 2 * i, sizeof bits);
    out[i] = widen(bits);
  }
}

}  // namespace

void dequantize(DType type, const void* data, float* out, std::int64_t elems) {
  if (elems == 0) return;
  const int block = info(type).block_elems;
  switch (type) {
    case DType::kF32:
      std::memcpy(out, data, static_cast<std::size_t>(elems) * sizeof(float));
      return;
    case DType::kF16:
      return widen_all(data, out, elems, [](std::uint16_t b) { return half_to_float(b); });
    case DType::kBF16:
      return widen_all(data, out, elems, [](std::uint16_t b) { return bf16_to_float(b); });
    case DType::kQ4_0:
      return expand_all<BlockQ4_0>(data, out, elems, block);
    case DType::kQ4_1:
      return expand_all<BlockQ4_1>(data, out, elems, block);
    case DType::kQ5_0:
      return expand_all<BlockQ5_0>(data, out, elems, block);
    case DType::kQ5_1:
      return expand_all<BlockQ5_1>(data, out, elems, block);
    case DType::kQ8_0:
      return expand_all<BlockQ8_0>(data, out, elems, block);
    case DType::kQ4_K:
      return expand_all<BlockQ4_K>(data, out, elems, block);
    case DType::kQ5_K:
      return expand_all<BlockQ5_K>(data, out, elems, block);
    case DType::kQ6_K:
      return expand_all<BlockQ6_K>(data, out, elems, block);
  }
}

}  // namespace hearth

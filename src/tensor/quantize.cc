// float32 into the stored kinds by plain rounding. For the *_0 and *_1 kinds these are ggml's own
// reference rules, bit for bit; the *_K kinds take each group's range as it is, without a search.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "tensor/blocks.h"
#include "tensor/dtype.h"

#pragma clang fp contract(off)

namespace hearth {
namespace {

float inverse(float d) { return d == 0.f ? 0.f : 1.f / d; }

// Truncates to a code. Comparisons rather than std::clamp so that a NaN becomes `low`.
int code(float value, int low, int high) {
  if (!(value > static_cast<float>(low))) return low;
  if (value >= static_cast<float>(high)) return high;
  return static_cast<int>(value);
}

int nearest(float value, int low, int high) { return code(std::round(value), low, high); }

// The value of the largest magnitude, with its sign. The magnitude is kept beside it: clang 19 at
// -O3 miscompiles the shorter loop that compares |x[j]| with |best| (it may pass over the first
// element).
float extreme(const float* x, int n) {
  float best = 0.f;
  float magnitude = 0.f;
  for (int j = 0; j < n; ++j) {
    const float candidate = std::fabs(x[j]);
    if (candidate > magnitude) {
      magnitude = candidate;
      best = x[j];
    }
  }
  return best;
}

template <class Block>
void pack_4bit(Block& b, const int* q) {
  for (int j = 0; j < 16; ++j) {
    b.qs[j] = static_cast<std::uint8_t>((q[j] & 15) | ((q[j + 16] & 15) << 4));
  }
}

template <class Block>
void pack_5bit(Block& b, const int* q) {
  pack_4bit(b, q);
  std::uint32_t high = 0;
  for (int j = 0; j < 32; ++j) high |= static_cast<std::uint32_t>((q[j] >> 4) & 1) << j;
  std::memcpy(b.qh, &high, sizeof high);
}

// Codes 0..2*middle-1 around `middle`; the extreme value gets code 0.
float codes_symmetric(const float* x, int middle, int* q) {
  const float d = extreme(x, 32) / static_cast<float>(-middle);
  const float id = inverse(d);
  const float offset = static_cast<float>(middle) + 0.5f;
  for (int j = 0; j < 32; ++j) q[j] = code(x[j] * id + offset, 0, 2 * middle - 1);
  return d;
}

struct Affine {
  float d, m;
};

Affine codes_affine(const float* x, int top, int* q) {
  const auto [low, high] = std::minmax_element(x, x + 32);
  const float d = (*high - *low) / static_cast<float>(top);
  const float id = inverse(d);
  for (int j = 0; j < 32; ++j) q[j] = code((x[j] - *low) * id + 0.5f, 0, top);
  return {d, *low};
}

void compress(const float* x, BlockQ4_0& b) {
  int q[32];
  b.d = float_to_half(codes_symmetric(x, 8, q));
  pack_4bit(b, q);
}

void compress(const float* x, BlockQ5_0& b) {
  int q[32];
  b.d = float_to_half(codes_symmetric(x, 16, q));
  pack_5bit(b, q);
}

void compress(const float* x, BlockQ4_1& b) {
  int q[32];
  const Affine a = codes_affine(x, 15, q);
  b.d = float_to_half(a.d);
  b.m = float_to_half(a.m);
  pack_4bit(b, q);
}

void compress(const float* x, BlockQ5_1& b) {
  int q[32];
  const Affine a = codes_affine(x, 31, q);
  b.d = float_to_half(a.d);
  b.m = float_to_half(a.m);
  pack_5bit(b, q);
}

void compress(const float* x, BlockQ8_0& b) {
  const float d = std::fabs(extreme(x, 32)) / 127.f;
  const float id = inverse(d);
  for (int j = 0; j < 32; ++j) b.qs[j] = static_cast<std::int8_t>(nearest(x[j] * id, -127, 127));
  b.d = float_to_half(d);
}

void pack_scales_k4(const int* scale, const int* min, std::uint8_t* packed) {
  for (int i = 0; i < 4; ++i) {
    packed[i] = static_cast<std::uint8_t>(scale[i] | ((scale[i + 4] >> 4) << 6));
    packed[i + 4] = static_cast<std::uint8_t>(min[i] | ((min[i + 4] >> 4) << 6));
    packed[i + 8] = static_cast<std::uint8_t>((scale[i + 4] & 15) | ((min[i + 4] & 15) << 4));
  }
}

// The shared part of Q4_K and Q5_K: scales and minimums into `b`, codes 0..top into q[256]. Codes
// are taken against the scales as stored, so that their rounding is not paid twice.
template <class Block>
void codes_k4(const float* x, int top, Block& b, int* q) {
  float step[8], floor[8];  // floor >= 0: what is subtracted
  for (int g = 0; g < 8; ++g) {
    const auto [low, high] = std::minmax_element(x + 32 * g, x + 32 * g + 32);
    floor[g] = std::max(0.f, -*low);
    step[g] = std::max(0.f, *high + floor[g]) / static_cast<float>(top);
  }
  b.d = float_to_half(*std::max_element(step, step + 8) / 63.f);
  b.dmin = float_to_half(*std::max_element(floor, floor + 8) / 63.f);
  const float d = half_to_float(b.d), dmin = half_to_float(b.dmin);
  int scale[8], min[8];
  for (int g = 0; g < 8; ++g) {
    scale[g] = nearest(step[g] * inverse(d), 0, 63);
    min[g] = nearest(floor[g] * inverse(dmin), 0, 63);
    const float id = inverse(d * static_cast<float>(scale[g]));
    const float m = dmin * static_cast<float>(min[g]);
    for (int j = 32 * g; j < 32 * g + 32; ++j) q[j] = nearest((x[j] + m) * id, 0, top);
  }
  pack_scales_k4(scale, min, b.scales);
  for (int j = 0; j < 128; ++j) {
    const int low = 64 * (j / 32) + j % 32;
    b.qs[j] = static_cast<std::uint8_t>((q[low] & 15) | ((q[low + 32] & 15) << 4));
  }
}

void compress(const float* x, BlockQ4_K& b) {
  int q[256];
  codes_k4(x, 15, b, q);
}

void compress(const float* x, BlockQ5_K& b) {
  int q[256];
  codes_k4(x, 31, b, q);
  for (int j = 0; j < 32; ++j) {
    int bits = 0;
    for (int g = 0; g < 8; ++g) bits |= (q[32 * g + j] >> 4) << g;
    b.qh[j] = static_cast<std::uint8_t>(bits);
  }
}

void compress(const float* x, BlockQ6_K& b) {
  float step[16];
  for (int g = 0; g < 16; ++g) step[g] = extreme(x + 16 * g, 16) / -32.f;
  b.d = float_to_half(extreme(step, 16) / -128.f);
  const float d = half_to_float(b.d);
  std::memset(b.ql, 0, sizeof b.ql);
  std::memset(b.qh, 0, sizeof b.qh);
  for (int g = 0; g < 16; ++g) {
    const int scale = nearest(step[g] * inverse(d), -128, 127);
    b.scales[g] = static_cast<std::int8_t>(scale);
    const float id = inverse(d * static_cast<float>(scale));
    const int k = g / 2;  // run of 32, as in blocks.h
    for (int j = 0; j < 16; ++j) {
      const int at = 16 * (g % 2) + j;
      const int q = nearest(x[16 * g + j] * id + 32.f, 0, 63);
      auto& low = b.ql[64 * (k / 4) + 32 * (k % 2) + at];
      auto& high = b.qh[32 * (k / 4) + at];
      low = static_cast<std::uint8_t>(low | ((q & 15) << (4 * ((k % 4) / 2))));
      high = static_cast<std::uint8_t>(high | ((q >> 4) << (2 * (k % 4))));
    }
  }
}

template <class Block>
void compress_all(const float* in, void* data, std::int64_t elems, int block_elems) {
  auto* bytes = static_cast<std::byte*>(data);
  for (std::int64_t i = 0; i < elems / block_elems; ++i) {
    Block block;
    compress(in + i * block_elems, block);
    std::memcpy(bytes + i * static_cast<std::int64_t>(sizeof block), &block, sizeof block);
  }
}

template <class Narrow>
void narrow_all(const float* in, void* data, std::int64_t elems, Narrow narrow) {
  auto* bytes = static_cast<std::byte*>(data);
  for (std::int64_t i = 0; i < elems; ++i) {
    const std::uint16_t bits = narrow(in[i]);
    std::memcpy(bytes + 2 * i, &bits, sizeof bits);
  }
}

}  // namespace

void quantize(DType type, const float* in, void* data, std::int64_t elems) {
  if (elems == 0) return;
  const int block = info(type).block_elems;
  switch (type) {
    case DType::kF32:
      std::memcpy(data, in, static_cast<std::size_t>(elems) * sizeof(float));
      return;
    case DType::kF16:
      return narrow_all(in, data, elems, float_to_half);
    case DType::kBF16:
      return narrow_all(in, data, elems, float_to_bf16);
    case DType::kQ4_0:
      return compress_all<BlockQ4_0>(in, data, elems, block);
    case DType::kQ4_1:
      return compress_all<BlockQ4_1>(in, data, elems, block);
    case DType::kQ5_0:
      return compress_all<BlockQ5_0>(in, data, elems, block);
    case DType::kQ5_1:
      return compress_all<BlockQ5_1>(in, data, elems, block);
    case DType::kQ8_0:
      return compress_all<BlockQ8_0>(in, data, elems, block);
    case DType::kQ4_K:
      return compress_all<BlockQ4_K>(in, data, elems, block);
    case DType::kQ5_K:
      return compress_all<BlockQ5_K>(in, data, elems, block);
    case DType::kQ6_K:
      return compress_all<BlockQ6_K>(in, data, elems, block);
  }
}

}  // namespace hearth

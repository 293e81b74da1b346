// Blocks of the quantised kinds as they lie in a GGUF file (ggml-org/ggml, ggml-common.h): little
// endian, no padding, so kernels may repack straight from the mapping. Mappings need not be aligned
// for them: memcpy a block out, or read its bytes. `half` members are IEEE 754 half bit patterns.
#pragma once

#include <bit>
#include <cstdint>

namespace hearth {

static_assert(std::endian::native == std::endian::little, "stored tensors are little endian");

using HalfBits = std::uint16_t;

// Kinds *_0 and *_1: 32 elements. Element j < 16 is the low nibble of qs[j], element j + 16 the
// high one; bit j of qh is the fifth bit of element j.
struct BlockQ4_0 {  // (q - 8) * d
  HalfBits d;
  std::uint8_t qs[16];
};
struct BlockQ4_1 {  // q * d + m
  HalfBits d, m;
  std::uint8_t qs[16];
};
struct BlockQ5_0 {  // (q - 16) * d
  HalfBits d;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
struct BlockQ5_1 {  // q * d + m
  HalfBits d, m;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
struct BlockQ8_0 {  // q * d
  HalfBits d;
  std::int8_t qs[32];
};

// Kinds *_K: 256 elements. Q4_K and Q5_K: 8 groups of 32 with 6-bit scale and minimum packed into
// 12 bytes (unpack_scales_k4); value = q * (d * scale) - dmin * minimum. Elements 64 i + j are low
// nibbles of qs[32 i + j], 64 i + 32 + j the high ones; bit g of qh[j] is the fifth bit of element
// j of group g.
struct BlockQ4_K {
  HalfBits d, dmin;
  std::uint8_t scales[12];
  std::uint8_t qs[128];
};
struct BlockQ5_K {
  HalfBits d, dmin;
  std::uint8_t scales[12];
  std::uint8_t qh[32];
  std::uint8_t qs[128];
};
// 16 groups of 16 with 8-bit scales: (q - 32) * (d * scale). Per half h of 128 elements, element
// 32 k + j has its low 4 bits in ql[64 h + 32 (k % 2) + j] (high nibble for k >= 2) and its high 2
// bits in qh[32 h + j] >> 2 k.
struct BlockQ6_K {
  std::uint8_t ql[128];
  std::uint8_t qh[64];
  std::int8_t scales[16];
  HalfBits d;
};

static_assert(sizeof(BlockQ4_0) == 18);
static_assert(sizeof(BlockQ4_1) == 20);
static_assert(sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ8_0) == 34);
static_assert(sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176);
static_assert(sizeof(BlockQ6_K) == 210);

// scale[8] and min[8], each 0..63, out of the 12 bytes of a Q4_K or Q5_K block: bytes 0-3 and 4-7
// hold groups 0-3 in their low 6 bits and, in their top 2, the high bits of groups 4-7, whose low 4
// bits share bytes 8-11.
inline void unpack_scales_k4(const std::uint8_t* packed, std::uint8_t* scale, std::uint8_t* min) {
  for (int i = 0; i < 4; ++i) {
    scale[i] = static_cast<std::uint8_t>(packed[i] & 63);
    min[i] = static_cast<std::uint8_t>(packed[i + 4] & 63);
    scale[i + 4] = static_cast<std::uint8_t>((packed[i + 8] & 15) | ((packed[i] >> 6) << 4));
    min[i + 4] = static_cast<std::uint8_t>((packed[i + 8] >> 4) | ((packed[i + 4] >> 6) << 4));
  }
}

}  // namespace hearth

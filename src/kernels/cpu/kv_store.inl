// One token's key and value into a page (KvLayout): the key's dimensions go kPageTokens apart.

HEARTH_INLINE std::uint16_t round_to_bf16(float x) {
  auto bits = __builtin_bit_cast(std::uint32_t, x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40);
  bits += 0x7fffu + ((bits >> 16) & 1);
  return static_cast<std::uint16_t>(bits >> 16);
}

// n is a multiple of 16.
HEARTH_INLINE void round_to_bf16(const float* x, std::int64_t n, std::uint16_t* out) {
#if HEARTH_HAVE_BF16
  for (std::int64_t i = 0; i < n; i += 16)
    _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(out + i)),
                        __builtin_bit_cast(__m256i, _mm512_cvtneps_pbh(load(x + i).v)));
#else
  for (std::int64_t i = 0; i < n; ++i) out[i] = round_to_bf16(x[i]);
#endif
}

// |x| <= 127 * scale; NaN keeps its place in the scale.
HEARTH_INLINE float quantize_head(const float* x, std::int64_t dim, std::int8_t* codes) {
  Vf largest = zero();
  bool finite = true;
  for (std::int64_t d = 0; d < dim; d += 16) {
    const Vf v = load(x + d);
    largest = max(abs(v), largest);
    finite = finite && !any_nan(sub(v, v));
  }
  const float top = max_lane(largest);
  const float inverse = top > 0.f ? 127.f / top : 0.f;
  for (std::int64_t d = 0; d < dim; d += 16)
    store_i8(codes + d, round_to_int(mul(load(x + d), set1(inverse))));
  return finite ? top / 127.f : std::numeric_limits<float>::quiet_NaN();
}

void store_kv_token(const KvLayout& layout, const float* key, const float* value, std::byte* head,
                    std::int64_t slot) {
  // Whole vectors are read below: a head that is none gets a copy with zeros behind it.
  float padded[2][kHeadDimMax];
  const std::int64_t dim = layout.head_dim;
  const std::int64_t width = layout.padded_dim();
  if (width != dim) {
    const auto pad = [&](const float* from, float* to) {
      std::copy_n(from, dim, to);
      std::fill_n(to + dim, width - dim, 0.f);
      return to;
    };
    key = pad(key, padded[0]);
    value = pad(value, padded[1]);
  }
  std::byte* const values = head + layout.value_offset();
  const auto scatter = [&](const auto* from) {
    using T = std::remove_cvref_t<decltype(*from)>;
    auto* to = static_cast<T*>(static_cast<void*>(head)) + slot;
    for (std::int64_t d = 0; d < dim; ++d) to[d * kPageTokens] = from[d];
  };
  switch (layout.type) {
    case KvType::kF32: {
      scatter(key);
      std::memcpy(values + slot * width * 4, value, static_cast<std::size_t>(width) * 4);
      return;
    }
    case KvType::kF16: {
      alignas(64) std::uint16_t half[kHeadDimMax];
      for (std::int64_t d = 0; d < width; d += 16) {
        store_f16(half + d, load(key + d));
        store_f16(values + (slot * width + d) * 2, load(value + d));
      }
      scatter(half);
      return;
    }
    case KvType::kBF16: {
      alignas(64) std::uint16_t half[kHeadDimMax];
      round_to_bf16(key, width, half);
      for (std::int64_t d = 0; d < dim; d += 2)
        std::memcpy(head + (d / 2 * kPageTokens + slot) * 4, half + d, 4);
      round_to_bf16(value, width, half);
      // Half words: the other token of a pair may be stored by another thread meanwhile.
      auto* to = static_cast<std::uint16_t*>(static_cast<void*>(values)) + slot / 2 * width * 2;
      for (std::int64_t d = 0; d < width; ++d) to[d * 2 + slot % 2] = half[d];
      return;
    }
    case KvType::kI8: {
      alignas(64) std::int8_t codes[kHeadDimMax];
      auto* scales = static_cast<float*>(static_cast<void*>(head + layout.scale_offset()));
      scales[slot] = quantize_head(key, width, codes);
      scatter(codes);
      auto* to = static_cast<std::int8_t*>(static_cast<void*>(values)) + slot * width;
      scales[kPageTokens + slot] = quantize_head(value, width, to);
      return;
    }
  }
}

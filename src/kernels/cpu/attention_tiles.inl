// The two products of attention_bf16.inl on matrix tiles, for heads of a multiple of 32 dimensions:
// a page's keys are two tiles of weights, its values one for each 16 dimensions. Rows are padded to
// 16, with zeros. The exponentials, on one vector port while tiles work, are the limit for prompts.

inline constexpr std::int64_t kTileDims = 32;

// Zeros where rows are padding; what is behind them is never looked at.
inline void pad_rows(const PairState& s, std::int64_t rows, std::int64_t pairs) {
  const std::int64_t padded = (rows + kTileTokens - 1) / kTileTokens * kTileTokens;
  std::fill_n(s.queries + rows * pairs, (padded - rows) * pairs, 0u);
  std::fill_n(s.weights + rows * (kBlockKeys / 2), (padded - rows) * (kBlockKeys / 2), 0u);
}

template <class Tiles>
void score_page_tiles(const PairState& s, std::int64_t rows, std::int64_t pairs,
                      const std::byte* keys, float* scores) {
  by_tiles(rows, [&](auto r, std::int64_t row) {
    zero_tiles<Tiles, r.value, 2>();
    for (std::int64_t d = 0; d < pairs; d += kTileDims / 2) {
      const std::byte* const at = keys + d * kPageTokens * 4;
      multiply_tiles<Tiles, r.value, 2>(s.queries + row * pairs + d, pairs * 4, at, at + 64,
                                        kPageTokens * 4);
    }
    store_tiles<Tiles, r.value, 2>(scores + row * kBlockKeys, kBlockKeys);
  });
}

// The values of the page's first `tokens`, zeros behind them: a product with 0 must be 0.
inline void copy_seen(const std::byte* values, std::int64_t tokens, std::int64_t width,
                      std::uint32_t* to) {
  const std::int64_t words = tokens / 2 * width;
  std::memcpy(to, values, static_cast<std::size_t>(words) * 4);
  std::fill_n(to + words, kPageTokens / 2 * width - words, 0u);
  if (tokens % 2 == 0) return;
  for (std::int64_t d = 0; d < width; d += 16)
    _mm512_storeu_si512(to + words + d,
                        _mm512_maskz_loadu_epi16(0x55555555u, values + (words + d) * 4));
}

// values_of(page) of pages [page_begin, page_end) of a block.
template <class Tiles, class ValuesOf>
void add_values_tiles(const PairState& s, std::int64_t rows, std::int64_t width,
                      std::int64_t page_begin, std::int64_t page_end, ValuesOf values_of) {
  by_tiles(rows, [&](auto r, std::int64_t row) {
    for (std::int64_t d = 0; d < width; d += kTileDims) {
      float* const outputs = s.outputs + row * width + d;
      load_tiles<Tiles, r.value, 2>(outputs, width);
      for (std::int64_t p = page_begin; p < page_end; ++p) {
        const std::byte* const at = values_of(p) + d * 4;
        multiply_tiles<Tiles, r.value, 2>(
            s.weights + row * (kBlockKeys / 2) + p * (kPageTokens / 2), kBlockKeys * 2, at, at + 64,
            width * 4);
      }
      store_tiles<Tiles, r.value, 2>(outputs, width);
    }
  });
}

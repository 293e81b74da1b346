// bfloat16 products on matrix tiles (AMX: tdpbf16ps): 2 x 2 tiles of sums, so that four products
// share four loads. Sums are float32: within a tile's 32 columns the even and the odd ones apart,
// then both, then added to what there was. A row's bits do not depend on the other rows of a tile,
// so every number of rows comes this way, padded to 16.
//
// Tiles 0 to 3 are the sums [row tile][column tile], 4 and 5 the left side, 6 and 7 the right one.

template <class Tiles, int R, int N>
HEARTH_INLINE void zero_tiles() {
  static_assert(R >= 1 && R <= 2 && N >= 1 && N <= 2);
  Tiles::template zero<0>();
  if constexpr (N > 1) Tiles::template zero<1>();
  if constexpr (R > 1) Tiles::template zero<2>();
  if constexpr (R > 1 && N > 1) Tiles::template zero<3>();
}

// a: R x 16 rows of 32 columns, rows a_ld bytes apart; b: 16 pairs of rows x 16 columns each, pairs
// b_ld bytes apart.
template <class Tiles, int R, int N>
HEARTH_INLINE void multiply_tiles(const std::uint32_t* a, std::int64_t a_ld, const std::byte* b0,
                                  const std::byte* b1, std::int64_t b_ld) {
  Tiles::template load<4>(a, a_ld);
  Tiles::template load<6>(b0, b_ld);
  Tiles::template multiply_pairs<0, 4, 6>();
  if constexpr (N > 1) {
    Tiles::template load<7>(b1, b_ld);
    Tiles::template multiply_pairs<1, 4, 7>();
  }
  if constexpr (R > 1) {
    Tiles::template load<5>(a + kTileTokens * a_ld / 4, a_ld);
    Tiles::template multiply_pairs<2, 5, 6>();
    if constexpr (N > 1) Tiles::template multiply_pairs<3, 5, 7>();
  }
}

// R x 16 rows, N x 16 columns of sums; rows ld floats apart.
template <class Tiles, int R, int N>
HEARTH_INLINE void load_tiles(const float* from, std::int64_t ld) {
  Tiles::template load<0>(from, ld * 4);
  if constexpr (N > 1) Tiles::template load<1>(from + 16, ld * 4);
  if constexpr (R > 1) Tiles::template load<2>(from + kTileTokens * ld, ld * 4);
  if constexpr (R > 1 && N > 1) Tiles::template load<3>(from + kTileTokens * ld + 16, ld * 4);
}
template <class Tiles, int R, int N>
HEARTH_INLINE void store_tiles(float* to, std::int64_t ld) {
  Tiles::template store<0>(to, ld * 4);
  if constexpr (N > 1) Tiles::template store<1>(to + 16, ld * 4);
  if constexpr (R > 1) Tiles::template store<2>(to + kTileTokens * ld, ld * 4);
  if constexpr (R > 1 && N > 1) Tiles::template store<3>(to + kTileTokens * ld + 16, ld * 4);
}

// fn(std::integral_constant<int, R>, first row) for all rows, 32 or 16 at a time.
template <class Fn>
HEARTH_INLINE void by_tiles(std::int64_t rows, Fn fn) {
  std::int64_t r = 0;
  for (; r + kTileTokens < rows; r += 2 * kTileTokens) fn(std::integral_constant<int, 2>(), r);
  if (r < rows) fn(std::integral_constant<int, 1>(), r);
}

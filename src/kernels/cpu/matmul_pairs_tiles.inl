// bfloat16 weights in pairs of columns on matrix tiles: a panel's pair of columns is a row of the
// tile of weights. Prompts: arithmetic, at most 2 x 2 tile products (64 cycles) for four loads
// (32). One row alone reads each weight once: bandwidth.

inline constexpr std::int64_t kTilePairs = 16;

// Rows [m, m + R * 16) of x, those from m_end on are padding, x N panels.
template <class Tiles, int R, int N>
void tiles_pairs(const PackedMatrix& w, const std::uint32_t* x, std::int64_t x_pairs,
                 const float* bias, Store mode, std::int64_t panel, bool fetch_next,
                 std::int64_t rows, float* out, std::int64_t ld) {
  const std::int64_t pairs = (w.columns + 1) / 2;
  const std::int64_t whole = pairs / kTilePairs * kTilePairs;
  const std::byte* const b0 = w.data + panel * pairs * 64;
  const std::byte* const b1 = b0 + (N - 1) * pairs * 64;
  zero_tiles<Tiles, R, N>();
  for (std::int64_t k = 0; k < whole; k += kTilePairs) {
    if (fetch_next) fetch(b0 + (pairs + k) * N * 64, N * kTilePairs * 64);
    multiply_tiles<Tiles, R, N>(x + k, x_pairs * 4, b0 + k * 64, b1 + k * 64, 64);
  }
  if (whole < pairs) {  // what follows the last column is another panel, or not ours
    alignas(64) std::byte rest[N][kTilePairs * 64] = {};
    std::memcpy(rest[0], b0 + whole * 64, static_cast<std::size_t>(pairs - whole) * 64);
    if constexpr (N > 1)
      std::memcpy(rest[1], b1 + whole * 64, static_cast<std::size_t>(pairs - whole) * 64);
    multiply_tiles<Tiles, R, N>(x + whole, x_pairs * 4, rest[0], rest[N - 1], 64);
  }
  alignas(64) float sums[R * kTileTokens][N * kPanelRows];
  store_tiles<Tiles, R, N>(sums[0], N * kPanelRows);
  for (std::int64_t m = 0; m < rows; ++m)
    for (int p = 0; p < N; ++p) {
      const std::int64_t row = (panel + p) * kPanelRows;
      finish_row(load(sums[m] + p * kPanelRows), bias ? bias + row : nullptr, mode, w.rows - row,
                 out + m * ld + row);
    }
}

void matmul_pairs(const PackedMatrix& w, const float* x, std::int64_t x_ld, const float* bias,
                  Store mode, std::int64_t panel_begin, std::int64_t panel_end,
                  std::int64_t m_begin, std::int64_t m_end, float* out, std::int64_t ld,
                  float* scratch) {
  auto* const rounded = static_cast<std::uint32_t*>(static_cast<void*>(scratch));
  const std::int64_t rows = m_end - m_begin;
  const std::int64_t padded_rows = (rows + kTileTokens - 1) / kTileTokens * kTileTokens;
  const std::int64_t x_pairs = ((w.columns + 1) / 2 + kTilePairs - 1) / kTilePairs * kTilePairs;
  round_to_pairs(x, x_ld, m_begin, m_end, w.columns, x_pairs, rounded);
  std::fill_n(rounded + rows * x_pairs, (padded_rows - rows) * x_pairs, 0u);
  Tiles::configure(64);
  const auto panels = [&](auto n, std::int64_t panel) {
    by_tiles(rows, [&](auto r, std::int64_t m) {
      tiles_pairs<Tiles, r.value, n.value>(
          w, rounded + m * x_pairs, x_pairs, bias, mode, panel, m == 0,
          std::min<std::int64_t>(rows - m, r.value * kTileTokens), out + (m_begin + m) * ld, ld);
    });
  };
  std::int64_t panel = panel_begin;
  for (; panel + 2 <= panel_end; panel += 2) panels(std::integral_constant<int, 2>(), panel);
  if (panel < panel_end) panels(std::integral_constant<int, 1>(), panel);
  Tiles::release();
}

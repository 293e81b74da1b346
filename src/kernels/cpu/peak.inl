// The machine's own limits, as `hearth bench engine` prints them beside its figures.

#if HEARTH_HAVE_TILES
// Independent sums of tiles that never leave them; returns multiply-adds of full tiles.
template <class Multiply>
double tiles_peak(std::int64_t rounds, std::int32_t* sink, Multiply multiply) {
  alignas(64) std::byte zeros[1024] = {};
  alignas(64) std::int32_t sums[256];
  Tiles::configure(64);
  Tiles::load<kTileA>(zeros, 64);
  Tiles::load<kTileB>(zeros, 64);
  Tiles::zero<0>(), Tiles::zero<1>(), Tiles::zero<2>(), Tiles::zero<3>();
  for (std::int64_t i = 0; i < rounds; ++i) {
    multiply(std::integral_constant<int, 0>()), multiply(std::integral_constant<int, 1>());
    multiply(std::integral_constant<int, 2>()), multiply(std::integral_constant<int, 3>());
  }
  Tiles::store<0>(sums, 64);
  Tiles::release();
  *sink = sums[0];
  return 4.0 * 16 * 16 * static_cast<double>(rounds);
}

double int8_peak_loop(std::int64_t rounds, std::int32_t* sink) {
  return 64 * 2 * tiles_peak(rounds, sink, [](auto c) {
           Tiles::multiply_signed<c.value, kTileA, kTileB>();
         });
}
#elif HEARTH_HAVE_DOT
// Twelve independent chains of dot products that never leave the registers: 8-bit multiply-adds at
// the best rate there is. Returns operations (2 per multiply-add).
double int8_peak_loop(std::int64_t rounds, std::int32_t* sink) {
  Vi sums[12];
  for (Vi& s : sums) s = zero_i();
  alignas(64) std::byte codes[64];
  alignas(64) std::int8_t x[64];
  std::memset(codes, 3, sizeof codes);
  std::memset(x, 2, sizeof x);
  const Vb c = load_b(codes);
  for (std::int64_t i = 0; i < rounds; ++i) {
    // The compiler must neither merge the chains nor take them out of the loop.
    for (Vi& s : sums) dot(s, c, x + (i & 15) * 4);
  }
  std::uint32_t total = 0;  // may wrap round
  for (const Vi& s : sums) total += static_cast<std::uint32_t>(sum_i(s));
  *sink = static_cast<std::int32_t>(total);
  return 12. * 64 * 2 * static_cast<double>(rounds);
}
#else
// The same without such an instruction: products of 4-bit codes added in pairs, six independent
// chains of 16-bit sums, which eight of them fill (see matmul_q.inl).
double int8_peak_loop(std::int64_t rounds, std::int32_t* sink) {
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i codes = _mm256_set1_epi8(3);
  __m256i sums[6];
  for (__m256i& s : sums) s = _mm256_setzero_si256();
  for (std::int64_t i = 0; i < rounds; ++i) {
    __m256i x = _mm256_set1_epi32(static_cast<std::int32_t>(i & 0x01010101));
    __m256i words[6];
    for (__m256i& w : words) w = _mm256_setzero_si256();
    for (int quad = 0; quad < 8; ++quad)
      for (__m256i& w : words) {
        w = _mm256_add_epi16(w, _mm256_maddubs_epi16(codes, x));
        asm volatile("" : "+x"(w), "+x"(x));  // each is a product of its own
      }
    for (int c = 0; c < 6; ++c)
      sums[c] = _mm256_add_epi32(sums[c], _mm256_madd_epi16(words[c], ones));
  }
  std::uint32_t total = 0;  // may wrap round
  for (const __m256i& s : sums) total += static_cast<std::uint32_t>(sum_i({s, s}));
  *sink = static_cast<std::int32_t>(total);
  return 6. * 8 * 32 * 2 * static_cast<double>(rounds);
}
#endif

#if HEARTH_HAVE_TILES
double float_peak_loop(std::int64_t rounds, std::int32_t* sink) {
  return 32 * 2 *
         tiles_peak(rounds, sink, [](auto c) { Tiles::multiply_pairs<c.value, kTileA, kTileB>(); });
}
#else
// Twelve independent chains of float multiply-adds: bfloat16 in pairs, or float32.
double float_peak_loop(std::int64_t rounds, std::int32_t* sink) {
  Vf sums[12];
  for (Vf& s : sums) s = zero();
#if HEARTH_HAVE_BF16
  const __m512bh x = as_pairs(_mm512_set1_epi16(0x3c00));
  const __m512bh y = as_pairs(_mm512_set1_epi16(0x3c01));
  for (std::int64_t i = 0; i < rounds; ++i)
    for (Vf& s : sums) {
      s.v = _mm512_dpbf16_ps(s.v, x, y);
      asm volatile("" : "+v"(s.v));
    }
  const double per_round = 12 * 32 * 2;
#else
  const Vf x = set1(0.5f);
  for (std::int64_t i = 0; i < rounds; ++i)
    for (Vf& s : sums) s = fma(s, x, x);
  const double per_round = 12 * 16 * 2;
#endif
  Vf total = zero();
  for (const Vf& s : sums) total = add(total, s);
  *sink = static_cast<std::int32_t>(sum(total));
  return per_round * static_cast<double>(rounds);
}
#endif

// Reads n bytes (a multiple of 256) once.
void read_loop(const std::byte* p, std::int64_t n, std::int32_t* sink) {
  Vf a = zero(), b = zero(), c = zero(), d = zero();
  for (std::int64_t i = 0; i < n; i += 256) {
    const auto* f = static_cast<const float*>(static_cast<const void*>(p + i));
    a = add(a, load(f));
    b = add(b, load(f + 16));
    c = add(c, load(f + 32));
    d = add(d, load(f + 48));
  }
  *sink = static_cast<std::int32_t>(sum(add(add(a, b), add(c, d))));
}

// Every ISA that this machine can run against the scalar oracle: random shapes with odd sizes, one
// row, remainders. Bounds are two-sided where rounding must show: a result that is too good is
// wrong.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <ostream>
#include <random>
#include <vector>

#include "kernels/kernels_fixture.h"
#include "testing/isa_wish.h"

namespace hearth::kernels {
namespace {

// Of what this machine can run; and the kernels for matrix tiles, on a model of them.
struct Kernels {
  std::string name;
  const Ops* ops;
};
void PrintTo(const Kernels& kernels, std::ostream* out) { *out << kernels.name; }
std::vector<Kernels> all_kernels() {
  std::vector<Kernels> all;
  for (Isa isa : supported_isas()) all.push_back({isa_name(isa), &ops_for(isa)});
  if (const Ops* model = amx_model_ops()) all.push_back({"amx_model", model});
  return all;
}

class PerIsa : public testing::TestWithParam<Kernels> {
 protected:
  const Ops& ops = *GetParam().ops;
  const Ops& oracle = reference_ops();
  Random random{20240607};
};
INSTANTIATE_TEST_SUITE_P(Isas, PerIsa, testing::ValuesIn(all_kernels()),
                         [](const auto& p) { return p.param.name; });

TEST(Packed, KeepsEveryValue) {
  Random random(1);
  for (DType type : kAllTypes) {
    for (int trial = 0; trial < 4; ++trial) {
      const std::int64_t rows = random.range(1, 50);
      const std::int64_t columns = 256 * random.range(1, 3);
      const Matrix m(type, rows, columns, random);
      const bool rounded = type == DType::kQ5_K || type == DType::kQ6_K;
      for (std::int64_t r = 0; r < rows; ++r) {
        const Floats want = m.row(r);
        for (std::int64_t c = 0; c < columns; ++c) {
          const float got = packed_value(m.view, r, c);
          const float w = want[static_cast<std::size_t>(c)];
          // Q5_K, Q6_K: scale and offset are rounded to f16, and offset and code may nearly cancel.
          ASSERT_NEAR(got, w, rounded ? 5e-4f : 1e-9f) << info(type).name << " " << r << "," << c;
        }
      }
    }
  }
}

TEST(Packed, FormsTakeAtMostFifteenPercentMoreThanStored) {
  for (DType type : kAllTypes) {
    const double stored = static_cast<double>(*row_bytes(type, 4096)) * 16;
    const double packed = static_cast<double>(panel_bytes(form_of(type), 4096));
    EXPECT_LE(packed, 1.15 * stored) << info(type).name;
    EXPECT_GE(packed, 1.00 * stored) << info(type).name;
  }
}

TEST(Packed, PairsHoldWhatBfloat16Holds) {
  Random random(3);
  for (DType type : {DType::kF16, DType::kBF16}) {
    for (std::int64_t columns : {1, 2, 7, 64, 255}) {
      const std::int64_t rows = random.range(1, 40);
      const Matrix m(type, rows, columns, random, true);
      EXPECT_EQ(m.view.form, Form::kPairs);
      for (std::int64_t r = 0; r < rows; ++r) {
        const Floats want = m.row(r);
        for (std::int64_t c = 0; c < columns; ++c) {
          const float w = want[static_cast<std::size_t>(c)];
          EXPECT_EQ(packed_value(m.view, r, c), bf16_to_float(float_to_bf16(w)));
          if (type == DType::kBF16) EXPECT_EQ(packed_value(m.view, r, c), w);
        }
      }
    }
  }
}

TEST(Packed, F32PanelsHoldTheExactValues) {
  Random random(2);
  const Matrix m(DType::kQ4_K, 5, 512, random);
  const void* rows[kPanelRows] = {};
  for (int r = 0; r < 5; ++r) rows[r] = m.stored.data() + r * *row_bytes(DType::kQ4_K, 512);
  Floats panel(512 * 16);
  pack_panel_f32(DType::kQ4_K, rows, 512,
                 static_cast<std::byte*>(static_cast<void*>(panel.data())));
  for (int r = 0; r < 16; ++r) {
    const Floats want = r < 5 ? m.row(r) : Floats(512, 0.f);
    for (std::size_t k = 0; k < 512; ++k) ASSERT_EQ(panel[k * 16 + r], want[k]);
  }
}

TEST_P(PerIsa, QuantizedRowsAgreeWithTheOracle) {
  for (int trial = 0; trial < 30; ++trial) {
    const std::int64_t m = random.range(1, 7);
    const std::int64_t k = 32 * random.range(1, 20);
    Floats x = random.normal(m * k, 3.f);
    if (trial == 0) std::fill(x.begin(), x.end(), 0.f);
    Activations a(m, k);
    Activations b(m, k);
    ops.quantize_rows(x.data(), k, 0, m, a.view);
    oracle.quantize_rows(x.data(), k, 0, m, b.view);
    EXPECT_EQ(a.codes, b.codes);
    EXPECT_EQ(a.scales, b.scales);
    EXPECT_EQ(a.sums, b.sums);
    EXPECT_EQ(a.halves, b.halves);
  }
}

TEST_P(PerIsa, NaNAndInfinitySurviveQuantization) {
  for (float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    Floats x = random.normal(64);
    x[40] = bad;
    Activations a(1, 64);
    ops.quantize_rows(x.data(), 64, 0, 1, a.view);
    EXPECT_FALSE(std::isnan(a.scales[0]));
    EXPECT_TRUE(std::isnan(a.scales[1]));
  }
}

TEST_P(PerIsa, QuantizedMatmulAgreesWithTheOracle) {
  for (DType type : kQuantized) {
    for (int trial = 0; trial < 8; ++trial) {
      const std::int64_t rows = random.range(1, 90);
      const std::int64_t columns = info(type).block_elems * random.range(1, 5);
      const std::int64_t m = trial == 0 ? 53 : random.range(1, 15);
      const Matrix w(type, rows, columns, random);
      const Floats x = random.normal(m * columns);
      const Floats bias = random.normal(rows);
      const bool with_bias = trial % 2 == 0;
      const Store mode = trial % 3 == 0 ? Store::kAdd : Store::kSet;
      Activations a(m, columns);
      oracle.quantize_rows(x.data(), columns, 0, m, a.view);
      const std::int64_t ld = rows + 3;
      Floats got = random.normal(m * ld);
      Floats want = got;
      const float* b = with_bias ? bias.data() : nullptr;
      ops.matmul_q(w.view, a.view, b, mode, 0, w.view.panels(), 0, m, got.data(), ld);
      oracle.matmul_q(w.view, a.view, b, mode, 0, w.view.panels(), 0, m, want.data(), ld);
      // Sums of `columns` products of about 0.05; float32 rounding only.
      const float bound = 4e-6f * std::sqrt(static_cast<float>(columns));
      for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], want[i], bound) << info(type).name << " " << rows << "x" << columns;
    }
  }
}

TEST_P(PerIsa, QuantizedMatmulIsAsFarFromExactAsEightBitsAre) {
  const std::int64_t k = 1024;
  for (DType type : kQuantized) {
    const Matrix w(type, 64, k, random);
    const Floats x = random.normal(8 * k);
    Activations a(8, k);
    ops.quantize_rows(x.data(), k, 0, 8, a.view);
    Floats got(8 * 64);
    ops.matmul_q(w.view, a.view, nullptr, Store::kSet, 0, 4, 0, 8, got.data(), 64);
    double error = 0;
    double power = 0;
    for (std::int64_t r = 0; r < 64; ++r) {
      const Floats row = w.row(r);
      for (std::int64_t m = 0; m < 8; ++m) {
        double exact = 0;
        for (std::int64_t i = 0; i < k; ++i)
          exact += static_cast<double>(row[static_cast<std::size_t>(i)]) *
                   static_cast<double>(x[static_cast<std::size_t>(m * k + i)]);
        const double d = static_cast<double>(got[static_cast<std::size_t>(m * 64 + r)]) - exact;
        error += d * d;
        power += exact * exact;
      }
    }
    // A step of max/127 with max about 2.5 deviations: 2.5/127/sqrt(12) = 0.0057 of the signal.
    const double relative = std::sqrt(error / power);
    EXPECT_LT(relative, 0.009) << info(type).name;
    EXPECT_GT(relative, 0.003) << info(type).name;
  }
}

TEST_P(PerIsa, FloatMatmulAgreesWithTheOracle) {
  std::vector<std::pair<DType, bool>> kinds = {
      {DType::kF32, false}, {DType::kF16, false}, {DType::kBF16, false}};
  if (ops.pairs) kinds.insert(kinds.end(), {{DType::kF16, true}, {DType::kBF16, true}});
  for (const auto& [type, pairs] : kinds) {
    for (int trial = 0; trial < 10; ++trial) {
      const std::int64_t rows = random.range(1, 90);
      const std::int64_t columns = random.range(1, 300);
      const std::int64_t m = random.range(1, 20);
      const Matrix w(type, rows, columns, random, pairs);
      const Floats x = random.normal(m * columns);
      const Floats bias = random.normal(rows);
      Floats got = random.normal(m * rows);
      Floats want = got;
      const Store mode = trial % 3 == 0 ? Store::kAdd : Store::kSet;
      Floats scratch(static_cast<std::size_t>(pairs_scratch_floats(m, columns)));
      ops.matmul_f(w.view, x.data(), columns, bias.data(), mode, 0, w.view.panels(), 0, m,
                   got.data(), rows, scratch.data());
      oracle.matmul_f(w.view, x.data(), columns, bias.data(), mode, 0, w.view.panels(), 0, m,
                      want.data(), rows, nullptr);
      for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], want[i], 2e-6f * std::sqrt(static_cast<float>(columns)));
    }
  }
}

// Batch invariance: a row's result has the same bits however rows and panels are cut.
TEST_P(PerIsa, RowsDoNotDependOnTheirNeighbours) {
  for (DType type : kAllTypes) {
    const std::int64_t rows = 75;
    const std::int64_t columns = 512;
    const std::int64_t m = 37;
    const Matrix w(type, rows, columns, random, ops.pairs);
    Floats scratch(static_cast<std::size_t>(m * columns));
    const Floats x = random.normal(m * columns);
    Activations a(m, columns);
    ops.quantize_rows(x.data(), columns, 0, m, a.view);
    const auto run = [&](std::int64_t p0, std::int64_t p1, std::int64_t m0, std::int64_t m1,
                         Floats& out) {
      if (is_quantized(w.view.form))
        ops.matmul_q(w.view, a.view, nullptr, Store::kSet, p0, p1, m0, m1, out.data(), rows);
      else
        ops.matmul_f(w.view, x.data(), columns, nullptr, Store::kSet, p0, p1, m0, m1, out.data(),
                     rows, scratch.data());
    };
    Floats whole(static_cast<std::size_t>(m * rows));
    Floats cut(static_cast<std::size_t>(m * rows));
    run(0, w.view.panels(), 0, m, whole);
    for (std::int64_t p = 0; p < w.view.panels(); ++p)
      for (std::int64_t i = 0; i < m; i += 1 + p % 3)
        run(p, p + 1, i, std::min(i + 1 + p % 3, m), cut);
    EXPECT_EQ(std::memcmp(whole.data(), cut.data(), whole.size() * 4), 0) << info(type).name;
  }
}

TEST_P(PerIsa, ElementwiseAgreesWithTheOracle) {
  for (int trial = 0; trial < 40; ++trial) {
    const std::int64_t n = random.range(1, 700);
    const Floats x = random.normal(n, 4.f);
    const Floats y = random.normal(n, 4.f);
    Floats got = y;
    Floats want = y;
    const Store mode = trial % 2 ? Store::kAdd : Store::kSet;
    ops.rms_norm(x.data(), y.data(), 1e-5f, n, mode, got.data());
    oracle.rms_norm(x.data(), y.data(), 1e-5f, n, mode, want.data());
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 4e-5f);
    for (GateKind kind : {GateKind::kSilu, GateKind::kGeluTanh}) {
      ops.gate(kind, x.data(), y.data(), n, got.data());
      oracle.gate(kind, x.data(), y.data(), n, want.data());
      for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], want[i], 2e-5f + 1e-5f * std::fabs(want[i]));
    }
    EXPECT_EQ(ops.argmax(x.data(), n), oracle.argmax(x.data(), n));
    EXPECT_NEAR(ops.logsumexp(x.data(), n), oracle.logsumexp(x.data(), n), 2e-5f);
  }
}

TEST_P(PerIsa, LogsumexpOfMostlyNothing) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const std::int64_t n : {1, 15, 16, 17, 40, 100}) {
    for (const std::int64_t at : {std::int64_t{0}, n / 2, n - 1}) {
      Floats x(static_cast<std::size_t>(n), -infinity);
      x[static_cast<std::size_t>(at)] = 1.5f;
      EXPECT_EQ(ops.logsumexp(x.data(), n), 1.5f) << n << " " << at;
      x[static_cast<std::size_t>(at)] = std::numeric_limits<float>::quiet_NaN();
      EXPECT_TRUE(std::isnan(ops.logsumexp(x.data(), n))) << n << " " << at;
    }
  }
}

// Groups of activations so small that 127 / max|x| overflows count as zeros; NaN and infinity make
// every output of their row NaN and leave the codes in range.
TEST_P(PerIsa, QuantizedRowsAtTheEdges) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float value : {1e-44f, 1e-37f, 1e-30f, 3e38f, infinity, nan}) {
    Floats x(kGroup, 0.f);
    x[5] = value;
    x[6] = -value / 2;
    Activations a(1, kGroup);
    ops.quantize_rows(x.data(), kGroup, 0, 1, a.view);
    if (std::isfinite(value)) {
      EXPECT_NEAR(a.scales[0] * static_cast<float>(a.codes[5]), value, 1e-36f + value * 1e-5f);
    } else {
      EXPECT_TRUE(std::isnan(a.scales[0]));
      EXPECT_EQ(a.codes[5], 0);
    }
    EXPECT_EQ(a.halves[0], -a.codes[5] - a.codes[6]);
    EXPECT_EQ(a.halves[1], -a.codes[5] - a.codes[6]);
  }
}

TEST_P(PerIsa, ExtremesOfTheActivations) {
  const Floats x = {-1e30f, -200.f, -88.f, -1e-20f, 0.f, 1e-20f, 88.f, 200.f, 1e30f};
  const Floats up(9, 1.f);
  Floats got(9);
  ops.gate(GateKind::kSilu, x.data(), up.data(), 9, got.data());
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(got[static_cast<std::size_t>(i)], 0.f, 1e-6f);
  EXPECT_EQ(got[4], 0.f);
  EXPECT_EQ(got[7], 200.f);
  EXPECT_EQ(got[8], 1e30f);
}

TEST_P(PerIsa, NaNIsNeverSwallowed) {
  for (std::int64_t n : {1, 7, 16, 63, 64, 200}) {
    for (std::int64_t at : {std::int64_t{0}, n / 2, n - 1}) {
      Floats x = random.normal(n);
      x[static_cast<std::size_t>(at)] = std::nanf("");
      EXPECT_EQ(ops.argmax(x.data(), n), -1);
      Floats out(x.size());
      ops.rms_norm(x.data(), x.data(), 1e-5f, n, Store::kSet, out.data());
      EXPECT_TRUE(std::isnan(out[0]));
      for (GateKind kind : {GateKind::kSilu, GateKind::kGeluTanh}) {
        ops.gate(kind, x.data(), Floats(x.size(), 1.f).data(), n, out.data());
        EXPECT_TRUE(std::isnan(out[static_cast<std::size_t>(at)]));
      }
    }
  }
}

TEST_P(PerIsa, ArgmaxTakesTheFirstOfEqualsAndStandsInfinity) {
  Floats x(100, 1.f);
  x[70] = x[71] = 5.f;
  EXPECT_EQ(ops.argmax(x.data(), 100), 70);
  x[90] = INFINITY;
  EXPECT_EQ(ops.argmax(x.data(), 100), 90);
  x[90] = -INFINITY;
  EXPECT_EQ(ops.argmax(x.data(), 100), 70);
  EXPECT_EQ(ops.argmax(Floats(70, -INFINITY).data(), 70), -1);
}

TEST_P(PerIsa, RopeAgreesWithTheOracle) {
  for (std::int64_t dims : {2, 16, 48, 64, 96, 128, 256}) {
    Floats x = random.normal(dims);
    Floats want = x;
    const Floats c = random.normal(dims / 2);
    const Floats s = random.normal(dims / 2);
    ops.rope(x.data(), c.data(), s.data(), dims, 0.125f);
    oracle.rope(want.data(), c.data(), s.data(), dims, 0.125f);
    for (std::size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], want[i], 1e-6f);
  }
}

// A sequence of random keys and values in pages, and queries for its last tokens.
struct Sequence {
  KvLayout layout;
  std::vector<std::unique_ptr<std::byte, Free>> memory;
  std::vector<const std::byte*> pages;
  Floats queries;
  AttentionTile tile;
  Floats out;

  Sequence(const Ops& ops, KvType type, std::int64_t dim, std::int64_t heads, std::int64_t length,
           std::int64_t tokens, std::int64_t window, float softcap, unsigned seed) {
    Random random(seed);
    layout = {type, 2, dim};
    const Floats keys = random.normal(length * dim);
    const Floats values = random.normal(length * dim);
    for (std::int64_t p = 0; p * kPageTokens < length; ++p) {
      auto bytes = static_cast<std::size_t>((layout.layer_bytes() + 63) / 64 * 64);
      memory.emplace_back(static_cast<std::byte*>(std::aligned_alloc(64, bytes)));
      std::memset(memory.back().get(), 0xff, bytes);  // NaN in every slot that was not written
      pages.push_back(memory.back().get());
    }
    for (std::int64_t t = 0; t < length; ++t)
      ops.kv_store(layout, keys.data() + t * dim, values.data() + t * dim,
                   memory[static_cast<std::size_t>(t / kPageTokens)].get() + layout.head_bytes(),
                   t % kPageTokens);
    queries = random.normal(tokens * heads * dim, 0.3f);
    out.assign(queries.size(), 0.f);
    tile.queries = queries.data();
    tile.query_stride = tile.out_stride = heads * dim;
    tile.out = out.data();
    tile.tokens = tokens;
    tile.heads = heads;
    tile.position = length - tokens;
    tile.window = window;
    tile.softcap = softcap;
    tile.pages = pages.data();
    tile.head_offset = layout.head_bytes();
    tile.layout = layout;
  }
  std::int64_t spans() const {
    return (tile.position + tile.tokens + kSpanTokens - 1) / kSpanTokens;
  }
  Floats run(const Ops& ops) {
    Floats scratch(static_cast<std::size_t>(attention_scratch_floats(layout.head_dim)));
    ops.attention(tile, 0, spans(), nullptr, scratch.data());
    return out;
  }
};

TEST_P(PerIsa, AttentionAgreesWithTheOracle) {
  int trial = 0;
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kI8}) {
    for (std::int64_t length : {1, 5, 32, 33, 100, 511, 512, 513, 1300}) {
      // Matrix tiles take multiples of 32.
      const std::int64_t dim = length % 2 == 0 ? 32 * random.range(1, 8) : 2 * random.range(1, 64);
      const std::int64_t heads = random.range(1, 5);
      const std::int64_t tokens = std::min(length, random.range(1, kTileRowsMax / heads));
      const std::int64_t window = ++trial % 3 == 0 ? random.range(1, 200) : 0;
      const float softcap = trial % 4 == 0 ? 3.f : 0.f;
      Sequence mine(ops, type, dim, heads, length, tokens, window, softcap,
                    7u + static_cast<unsigned>(trial));
      Sequence theirs(oracle, type, dim, heads, length, tokens, window, softcap,
                      7u + static_cast<unsigned>(trial));
      const Floats got = mine.run(ops);
      const Floats want = theirs.run(oracle);
      // A code of kI8 may round the other way where x * (127/max) and x / (max/127) differ.
      // avx512bf16 rounds queries and probabilities to 8 bits (backend/cpu/attention_test.cc bounds
      // that exactly).
      const bool pairs = type == KvType::kBF16 && ops.pairs;
      const float bound = pairs ? 2e-2f : type == KvType::kI8 ? 4e-3f : 6e-6f;
      for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], want[i], bound) << "length " << length << " dim " << dim << " window "
                                            << window << " softcap " << softcap;
    }
  }
}

TEST_P(PerIsa, AttentionRowsDoNotDependOnTheTileNorOnTheSpans) {
  for (KvType type : {KvType::kF16, KvType::kBF16, KvType::kI8}) {
    for (std::int64_t window : {0, 90}) {
      Sequence all(ops, type, 64, 3, 1200, 16, window, 0.f, 5);
      const Floats want = all.run(ops);
      const std::int64_t row_floats = 3 * 64;
      Floats scratch(static_cast<std::size_t>(attention_scratch_floats(64)));
      for (std::int64_t t = 0; t < 16; ++t) {
        AttentionTile one = all.tile;
        one.tokens = 1;
        one.position += t;
        one.queries += t * row_floats;
        Floats got(static_cast<std::size_t>(row_floats));
        one.out = got.data();
        ops.attention(one, 0, all.spans(), nullptr, scratch.data());
        ASSERT_EQ(std::memcmp(got.data(), want.data() + t * row_floats, got.size() * 4), 0);
        // Span by span, as several threads would do it.
        const std::int64_t stride = partial_floats(64);
        Floats partials(static_cast<std::size_t>(all.spans() * 3 * stride));
        for (std::int64_t s = 0; s < all.spans(); ++s)
          ops.attention(one, s, s + 1, partials.data() + s * 3 * stride, scratch.data());
        for (std::int64_t h = 0; h < 3; ++h)
          ops.attention_merge(partials.data() + h * stride, 3 * stride, all.spans(), 64,
                              got.data() + h * 64);
        ASSERT_EQ(std::memcmp(got.data(), want.data() + t * row_floats, got.size() * 4), 0);
      }
    }
  }
}

TEST_P(PerIsa, AttentionPassesNaNOn) {
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kI8}) {
    Sequence s(ops, type, 64, 1, 40, 1, 0, 0.f, 9);
    const Floats nan(64, std::nanf(""));
    ops.kv_store(s.layout, nan.data(), nan.data(), s.memory[0].get() + s.layout.head_bytes(), 3);
    for (float x : s.run(ops)) EXPECT_TRUE(std::isnan(x));
  }
}

TEST(ChooseOps, TheNamedOneOrTheBest) {
  for (const Isa isa : supported_isas()) {
    const IsaWish wish(isa_name(isa));
    const auto ops = choose_ops();
    ASSERT_TRUE(ops);
    EXPECT_EQ((*ops)->isa, isa);
  }
  {
    const IsaWish wish("sse9");
    EXPECT_FALSE(choose_ops());
  }
  const IsaWish none(nullptr);
  const auto ops = choose_ops();
  ASSERT_TRUE(ops);
  const Isa best = supported_isas().back();
  if (best == Isa::kAvx512Bf16)
    EXPECT_TRUE((*ops)->isa == best || (*ops)->isa == Isa::kAvx512);
  else
    EXPECT_EQ((*ops)->isa, best);
  EXPECT_EQ(*choose_ops(), *ops);  // whatever else runs meanwhile
}

}  // namespace
}  // namespace hearth::kernels

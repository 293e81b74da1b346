// Embeddings, norms, gates, the head, and whether 8-bit codes always belong to the newest values.
#include "backend/cpu/test_oracle.h"

namespace hearth::backend {
namespace {

class StepOps : public PerIsa {};
INSTANTIATE_TEST_SUITE_P(Isas, StepOps, every_isa(), isa_and_precision);

TEST_P(StepOps, EmbedTakesRowsAsStoredTimesTheScale) {
  for (DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ8_0,
                     DType::kQ4_K, DType::kQ6_K}) {
    const std::int64_t block = info(type).block_elems;
    const std::int64_t columns = block == 1 ? random.range(1, 90) : block;
    const Stored matrix = Stored::matrix(type, 11, columns, random, 1.f);
    const Floats values = matrix.values();
    for (const float scale : {1.f, 25.25f}) {
      const std::vector<std::int32_t> tokens = {10, 0, 3, 3, 10, 7, 1};
      const Floats got = on_any_threads([&](Rig& rig) {
        const WeightRef embedding = rig.embedding(matrix);
        Batch batch = rig.plain_batch(7);
        batch.tokens = tokens;
        return rig.run(batch, [&](Step& step) {
          const Tensor out = step.tensor(columns);
          step.embed(out, *embedding, scale);
          rig.show(step, out);
        });
      });
      Floats want;  // one product: nothing to tolerate
      for (std::int32_t token : tokens)
        for (float x : row_of(values, token, columns)) want.push_back(x * scale);
      EXPECT_EQ(got, want) << info(type).name;
    }
  }
}

TEST_P(StepOps, PreparedVectorsMayBeStoredMinusOne) {
  for (DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Stored stored(type, {37}, random.normal(37, 0.1f));
    const Floats x(37, 1.f);
    for (bool plus_one : {false, true}) {
      Rig one = rig();
      const VectorRef weight = *one.backend().prepare_vector(stored.view(), plus_one);
      EXPECT_EQ(weight->size, 37);
      const Floats got = one.apply(x, 37, [&](Step& step, Tensor in) {
        const Tensor out = step.tensor(37);
        step.rms_norm(out, in, *weight, 0.f);
        return out;
      });
      // The mean of ones is one: the weights themselves.
      Floats want = stored.values();
      if (plus_one)
        for (float& w : want) w += 1.f;
      EXPECT_EQ(got, want);
    }
  }
}

TEST_P(StepOps, RmsNorm) {
  for (int trial = 0; trial < 12; ++trial) {
    const std::int64_t columns = random.range(1, 300);
    const std::int64_t rows = trial == 0 ? 1 : random.range(2, 15);
    const Floats x = random.normal(rows * columns, trial % 3 == 0 ? 1e-3f : 4.f);
    const Floats weight = random.normal(columns);
    const float eps = trial % 2 ? 1e-5f : 1e-6f;
    const bool add = trial % 4 >= 2;
    const Floats got = on_any_threads([&](Rig& rig) {
      const VectorRef w = rig.vector(weight);
      return rig.apply(x, columns, [&](Step& step, Tensor in) {
        if (add) step.rms_norm(in, in, *w, eps, true);  // a residual: x += norm(x)
        if (add) return in;
        const Tensor out = step.tensor(columns);
        step.rms_norm(out, in, *w, eps);
        return out;
      });
    });
    for (std::int64_t r = 0; r < rows; ++r) {
      ApproxRow want = norm_row(row_of(x, r, columns), weight, eps);
      if (add)
        for (std::size_t i = 0; i < want.size(); ++i) {
          const double sum = want[i].value + row_of(x, r, columns)[i];
          want[i] = {sum, want[i].error + kUnit * (std::fabs(sum) + want[i].error)};
        }
      ASSERT_TRUE(close(row_of(got, r, columns), want)) << "columns " << columns;
    }
  }
}

// x sigmoid(x): e^x, a sum, a quotient and two products.
Approx silu_times(double x, double up) {
  const double y = x / (1 + std::exp(-x)) * up;
  return {y, (kExpError + 4 * kUnit) * std::fabs(y)};
}
// x/2 (1 + tanh a/2) = x sigmoid(a), a = 2 sqrt(2/pi) (x + 0.044715 x^3). The argument has seven
// roundings (two of them its constants'), and an error of d in it changes the result by a share of
// at most d. As 1 + tanh, for negative x, the sum of two that cancel: 4 roundings of size |x|.
Approx gelu_times(double x, double up) {
  const double a = 2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
  const double y = x / (1 + std::exp(-a)) * up;
  return {y, (kExpError + 4 * kUnit + 7 * kUnit * std::fabs(a)) * std::fabs(y) +
                 4 * kUnit * std::fabs(x * up)};
}

TEST_P(StepOps, Gated) {
  for (const Activation activation : {Activation::kSilu, Activation::kGeluTanh}) {
    // The last: one row, shared out among threads in pieces of at least 256 columns.
    for (const auto& [rows, n] : std::vector<std::pair<std::int64_t, std::int64_t>>{
             {1, 1}, {3, 17}, {random.range(6, 20), random.range(2, 200)}, {1, 650}, {2, 832}}) {
      const Floats x = random.normal(rows * 2 * n, 3.f);
      const Floats got = on_any_threads([&](Rig& rig) {
        return rig.apply(x, 2 * n, [&](Step& step, Tensor in) {
          const Tensor out = step.tensor(n);
          step.gated(out, in, activation);
          return out;
        });
      });
      for (std::int64_t r = 0; r < rows; ++r) {
        const auto row = row_of(x, r, 2 * n);
        ApproxRow want;
        for (std::int64_t i = 0; i < n; ++i)
          want.push_back(activation == Activation::kSilu ? silu_times(row[at(i)], row[at(n + i)])
                                                         : gelu_times(row[at(i)], row[at(n + i)]));
        ASSERT_TRUE(close(row_of(got, r, n), want)) << rows << " x " << n;
      }
    }
  }
}

// A gate right behind the product that makes its input is computed with it, and is the same.
TEST_P(StepOps, AGateOfAProduct) {
  for (const DType type : {DType::kQ4_0, DType::kQ4_1, DType::kQ6_K, DType::kQ8_0, DType::kF16}) {
    for (const auto& [rows, n] : std::vector<std::pair<std::int64_t, std::int64_t>>{
             {1, 32}, {1, 416}, {7, 96}, {130, 64}, {3, 48}}) {
      const std::int64_t columns = 256;
      const Stored matrix = Stored::matrix(type, 2 * n, columns, random);
      const Stored bias = Stored::vector(random.normal(2 * n));
      const WeightPart part = {&matrix.view(), &bias.view(), 0};
      const Floats x = random.normal(rows * columns);
      const Floats fused = on_any_threads([&](Rig& rig) {
        const WeightRef w = rig.weight({&part, 1});
        return rig.apply(x, columns, [&](Step& step, Tensor in) {
          const Tensor both = step.tensor(2 * n);
          const Tensor out = step.tensor(n);
          step.linear(both, in, *w);
          step.gated(out, both, Activation::kSilu);
          return out;
        });
      });
      Rig one = rig(2);
      const WeightRef w = one.weight({&part, 1});
      const Floats product = one.apply(x, columns, [&](Step& step, Tensor in) {
        const Tensor both = step.tensor(2 * n);
        step.linear(both, in, *w);
        return both;
      });
      const Floats want = one.apply(product, 2 * n, [&](Step& step, Tensor both) {
        const Tensor out = step.tensor(n);
        step.gated(out, both, Activation::kSilu);
        return out;
      });
      EXPECT_TRUE(same_bits(fused, want)) << info(type).name << " " << rows << " x " << n;
    }
  }
}

// Only the rows asked for, in order; the norm, the product (in 8 bits for quantised kinds), the
// cap.
TEST_P(StepOps, Head) {
  for (DType type : {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ6_K}) {
    const std::int64_t columns = 256;
    const std::int64_t vocabulary = random.range(30, 80);
    const Stored matrix = Stored::matrix(type, vocabulary, columns, random, 0.3f);
    const Floats x = random.normal(9 * columns);
    const Floats weight = random.normal(columns);
    const Stored input(DType::kF32, {9, columns}, x);
    for (const auto& wanted : {std::vector<std::int32_t>{8}, {0, 2, 3, 7}, {4, 5, 6, 7, 8}}) {
      const float cap = wanted.size() == 4 ? 5.f : 0.f;
      const Floats got = on_any_threads([&](Rig& rig) {
        // As tied embeddings are: one matrix for both ends.
        const WeightRef head = *rig.backend().prepare_embedding(matrix.view(), true);
        const WeightRef rows = rig.embedding(input);
        const VectorRef norm = rig.vector(weight);
        Batch batch = rig.plain_batch(9);
        batch.logit_rows = wanted;
        return rig.run(batch, [&](Step& step) {
          const Tensor in = step.tensor(columns);
          step.embed(in, *rows, 1.f);
          step.head(in, *norm, 1e-5f, *head, cap);
        });
      });
      ASSERT_EQ(got.size(), wanted.size() * at(vocabulary));
      const OracleMatrix oracle = oracle_matrix(matrix, precision(), isa());
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        ApproxRow want = linear_row(oracle, norm_row(row_of(x, wanted[i], columns), weight, 1e-5f));
        if (cap > 0)  // the slope of the cap is 1 at most; quotient, tanh and product round
          for (Approx& y : want) {
            const double capped = cap * std::tanh(y.value / cap);
            y = {capped, y.error + 2 * kUnit * std::fabs(y.value) + 4 * kUnit * std::fabs(capped)};
          }
        ASSERT_TRUE(close(row_of(got, static_cast<std::int64_t>(i), vocabulary), want))
            << info(type).name << " row " << wanted[i];
      }
    }
  }
}

TEST_P(StepOps, NoLogitsWhereNoneAreWanted) {
  Rig one = rig();
  const Stored matrix = Stored::matrix(DType::kF32, 4, 8, random);
  const WeightRef w = *one.backend().prepare_embedding(matrix.view(), true);
  const VectorRef norm = one.vector(Floats(8, 1.f));
  Batch batch = one.plain_batch(4);
  const auto record = [&](Step& step) {
    const Tensor x = step.tensor(8);
    step.embed(x, *w, 1.f);
    step.head(x, *norm, 1e-5f, *w, 0.f);
  };
  EXPECT_EQ(one.run(batch, record).size(), 16u);
  batch.logit_rows.clear();
  EXPECT_TRUE(one.run(batch, record).empty());
}

// A quantised layer reads 8-bit codes that the op before it may have made on the side. Whatever op
// wrote the tensor, once or again after a layer has read it, with one row (pieces of a row are
// quantised apart) or more: the layer gives what it gives for the same values fed to it alone.
TEST_P(StepOps, QuantisedLayersSeeTheNewestValues) {
  constexpr std::int64_t kColumns = 640;
  const Stored square = Stored::matrix(DType::kF32, kColumns, kColumns, random);
  const Stored narrow = Stored::matrix(DType::kQ4_1, 21, kColumns, random);
  const Stored other = Stored::matrix(DType::kF32, 9, kColumns, random, 1.f);
  const Floats norm_weight = random.normal(kColumns);
  for (const std::int64_t rows : {std::int64_t{1}, std::int64_t{7}}) {
    const Floats x = random.normal(rows * kColumns);
    for (int producer = 0; producer < 6; ++producer) {
      for (int threads : {1, 3}) {
        Rig one = rig(threads);
        const WeightRef full = one.weight(square);
        const WeightRef layer = one.weight(narrow);
        const std::vector<WeightPart> both(2, {&square.view(), nullptr, 0});
        const WeightRef twice = one.weight(both);
        const WeightRef others = one.embedding(other);
        const VectorRef norm = one.vector(norm_weight);
        const auto through = [&](bool want_values) {
          return one.apply(x, kColumns, [&](Step& step, Tensor t) {
            const Tensor y = step.tensor(21);
            const Tensor two = step.tensor(2 * kColumns);
            const Tensor in = step.tensor(kColumns);
            step.embed(in, *others, 1.f);
            step.linear(y, t, *layer);  // codes of the old values
            if (producer == 0) step.embed(t, *others, 3.f);
            if (producer == 1) step.rms_norm(t, in, *norm, 1e-5f);
            if (producer == 2) step.rms_norm(t, in, *norm, 1e-5f, true);
            if (producer == 3) step.linear(t, in, *full);
            if (producer == 4) step.linear(t, in, *full, true);
            if (producer == 5) {
              step.linear(two, in, *twice);
              step.gated(t, two, Activation::kSilu);
            }
            step.linear(y, t, *layer);
            return want_values ? t : y;
          });
        };
        const Floats values = through(true);
        const Floats want = one.apply(values, kColumns, [&](Step& step, Tensor t) {
          const Tensor y = step.tensor(21);
          step.linear(y, t, *layer);
          return y;
        });
        EXPECT_FALSE(same_bits(values, x));
        EXPECT_TRUE(same_bits(through(false), want))
            << "producer " << producer << ", " << rows << " rows, " << threads << " threads";
      }
    }
  }
}

}  // namespace
}  // namespace hearth::backend

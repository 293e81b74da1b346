// Linear layers of the CPU backend against the oracle: all kinds, stacked parts, biases, orders of
// rows, one row to many.
#include "backend/cpu/test_oracle.h"

namespace hearth::backend {
namespace {

const DType kAllTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ4_0,
                           DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                           DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

class Linear : public PerIsa {
 protected:
  // Runs rows x through the parts and holds each row against the oracle.
  void check(const std::vector<WeightPart>& parts, const OracleMatrix& oracle, const Floats* bias,
             const Floats& x, bool add) {
    const Floats got = on_any_threads([&](Rig& rig) {
      const WeightRef w = rig.weight(parts);
      EXPECT_EQ(w->rows, oracle.rows);
      EXPECT_EQ(w->columns, oracle.columns);
      return rig.apply(x, oracle.columns, [&](Step& step, Tensor in) {
        const Tensor out = step.tensor(w->rows);
        step.linear(out, in, *w);
        if (add) step.linear(out, in, *w, true);  // y, then y + y
        return out;
      });
    });
    const auto rows = static_cast<std::int64_t>(x.size()) / oracle.columns;
    ASSERT_EQ(got.size(), at(rows * oracle.rows));
    for (std::int64_t r = 0; r < rows; ++r) {
      ApproxRow want = linear_row(oracle, exact_row(row_of(x, r, oracle.columns)), bias);
      if (add)
        for (Approx& y : want)
          y = {2 * y.value, 2 * y.error + kUnit * std::fabs(2 * y.value) + 2 * kUnit * y.error};
      ASSERT_TRUE(close(row_of(got, r, oracle.rows), want)) << "row " << r << " of " << rows;
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Isas, Linear, every_isa(), isa_and_precision);

// The oracle of stacked parts: their rows under each other.
OracleMatrix stacked(const std::vector<OracleMatrix>& parts) {
  OracleMatrix all = parts[0];
  for (std::size_t i = 1; i < parts.size(); ++i) {
    all.rows += parts[i].rows;
    all.value.insert(all.value.end(), parts[i].value.begin(), parts[i].value.end());
    all.size.insert(all.size.end(), parts[i].size.begin(), parts[i].size.end());
  }
  return all;
}

TEST_P(Linear, EveryKindWithOddSizes) {
  for (DType type : kAllTypes) {
    SCOPED_TRACE(info(type).name);
    const std::int64_t block = info(type).block_elems;
    for (const std::int64_t tokens : {std::int64_t{1}, random.range(2, 5), random.range(9, 21)}) {
      const std::int64_t columns =
          block == 1 ? random.range(1, 150) : block * random.range(1, 256 / block);
      const Stored matrix = Stored::matrix(type, random.range(1, 70), columns, random);
      const Floats bias = random.normal(matrix.rows());
      const Stored stored_bias = Stored::vector(bias);
      const bool with_bias = random.range(0, 1) == 1;
      check({{&matrix.view(), with_bias ? &stored_bias.view() : nullptr, 0}},
            oracle_matrix(matrix, precision(), isa()), with_bias ? &bias : nullptr,
            random.normal(tokens * columns), random.range(0, 2) == 0);
    }
  }
}

// Several blocks of tokens (96 at most), the last of them odd, and several ranges of panels.
TEST_P(Linear, ManyRows) {
  for (DType type : {DType::kF32, DType::kF16, DType::kQ8_0, DType::kQ4_0}) {
    SCOPED_TRACE(info(type).name);
    const Stored matrix = Stored::matrix(type, 37, 32, random);
    check({{&matrix.view(), nullptr, 0}}, oracle_matrix(matrix, precision(), isa()), nullptr,
          random.normal(521 * 32), false);
  }
}

// More columns than a block of 96 tokens may have: blocks get shorter, down to 24 tokens.
TEST_P(Linear, WideRows) {
  const Stored matrix = Stored::matrix(DType::kQ4_1, 5, 8192, random, 0.01f);
  check({{&matrix.view(), nullptr, 0}}, oracle_matrix(matrix, precision(), isa()), nullptr,
        random.normal(26 * 8192), false);
}

TEST_P(Linear, StackedPartsOfOneKind) {
  for (DType type : {DType::kF16, DType::kQ5_1, DType::kQ8_0}) {
    const Stored a = Stored::matrix(type, 17, 96, random);
    const Stored b = Stored::matrix(type, 3, 96, random);
    const Stored c = Stored::matrix(type, 30, 96, random);
    // Of the three only the second has a bias: the others' is zero.
    const Floats bias = random.normal(3);
    Floats all(50, 0.f);
    std::copy(bias.begin(), bias.end(), all.begin() + 17);
    const Stored stored_bias(DType::kF32, {3}, bias);
    check({{&a.view(), nullptr, 0}, {&b.view(), &stored_bias.view(), 0}, {&c.view(), nullptr, 0}},
          stacked({oracle_matrix(a, precision(), isa()), oracle_matrix(b, precision(), isa()),
                   oracle_matrix(c, precision(), isa())}),
          &all, random.normal(4 * 96), false);
  }
}

// A Q6_K value matrix beside Q4_K queries and F16 keys, as files have it: one weight, whose parts
// differ in whether the activations are rounded.
TEST_P(Linear, StackedPartsOfDifferentKinds) {
  const Stored a = Stored::matrix(DType::kQ4_K, 33, 256, random);
  const Stored b = Stored::matrix(DType::kF16, 18, 256, random);
  const Stored c = Stored::matrix(DType::kQ6_K, 7, 256, random);
  const Floats bias = random.normal(58);
  const Stored bias_a = Stored::vector({bias.begin(), bias.begin() + 33});
  const Stored bias_b = Stored::vector({bias.begin() + 33, bias.begin() + 51});
  const Stored bias_c = Stored::vector({bias.begin() + 51, bias.end()});
  const std::vector<WeightPart> parts = {{&a.view(), &bias_a.view(), 0},
                                         {&b.view(), &bias_b.view(), 0},
                                         {&c.view(), &bias_c.view(), 0}};
  const Floats x = random.normal(5 * 256);
  for (bool add : {false, true}) {
    const Floats got = on_any_threads([&](Rig& rig) {
      const WeightRef w = rig.weight(parts);
      return rig.apply(x, 256, [&](Step& step, Tensor in) {
        const Tensor out = step.tensor(58);
        if (add) step.linear(out, in, *w);
        step.linear(out, in, *w, add);
        return out;
      });
    });
    for (std::int64_t r = 0; r < 5; ++r) {
      std::int64_t row = 0;
      for (const Stored* part : {&a, &b, &c}) {
        const Floats own(bias.begin() + row, bias.begin() + row + part->rows());
        ApproxRow want = linear_row(oracle_matrix(*part, precision(), isa()),
                                    exact_row(row_of(x, r, 256)), &own);
        if (add)
          for (Approx& y : want)
            y = {2 * y.value, 2 * y.error + kUnit * std::fabs(2 * y.value) + 2 * kUnit * y.error};
        EXPECT_TRUE(close(row_of(got, r, 58).subspan(at(row), want.size()), want));
        row += part->rows();
      }
    }
  }
}

// Rotary pairs (2i, 2i+1) become halves (i, i + dim/2), in the bias too; other parts stay.
TEST_P(Linear, UnpairsHeads) {
  for (const std::int64_t dim : {std::int64_t{2}, std::int64_t{6}, std::int64_t{16}}) {
    for (DType type : {DType::kF32, DType::kQ4_0}) {
      const std::int64_t heads = random.range(1, 5);
      const Stored paired = Stored::matrix(type, heads * dim, 64, random);
      const Stored plain = Stored::matrix(type, 5, 64, random);
      const Floats stored_values = random.normal(heads * dim);
      const Stored stored_bias = Stored::vector(stored_values);
      const OracleMatrix from = oracle_matrix(paired, precision(), isa());
      OracleMatrix turned = from;
      Floats bias(at(heads * dim + 5), 0.f);
      for (std::int64_t h = 0; h < heads; ++h) {
        for (std::int64_t i = 0; i < dim; ++i) {
          const std::int64_t source = h * dim + i;
          const std::int64_t target = h * dim + i / 2 + (i % 2) * (dim / 2);
          for (std::int64_t k = 0; k < 64; ++k) {
            turned.value[at(target * 64 + k)] = from.value[at(source * 64 + k)];
            turned.size[at(target * 64 + k)] = from.size[at(source * 64 + k)];
          }
          bias[at(target)] = stored_values[at(source)];
        }
      }
      check({{&paired.view(), &stored_bias.view(), dim}, {&plain.view(), nullptr, 0}},
            stacked({turned, oracle_matrix(plain, precision(), isa())}), &bias,
            random.normal(3 * 64), false);
    }
  }
}

// In 8 bits the result must be as far from the exact one as 8 bits are: a step of max/127 with max
// about 2.5 deviations has an error of 2.5/127/sqrt(12) = 0.0057 of the signal; in float32 there is
// no such step.
TEST_P(Linear, TheErrorIsThatOfThePrecision) {
  const Stored matrix = Stored::matrix(DType::kQ8_0, 64, 512, random);
  const OracleMatrix exact_matrix = oracle_matrix(matrix, Precision::kF32, isa());
  const Floats x = random.normal(8 * 512);
  Rig one = rig();
  const WeightRef w = one.weight(matrix);
  const Floats got = one.apply(x, 512, [&](Step& step, Tensor in) {
    const Tensor out = step.tensor(64);
    step.linear(out, in, *w);
    return out;
  });
  double error = 0;
  double power = 0;
  for (std::int64_t r = 0; r < 8; ++r) {
    const ApproxRow want = linear_row(exact_matrix, exact_row(row_of(x, r, 512)));
    for (std::int64_t i = 0; i < 64; ++i) {
      error += std::pow(got[at(r * 64 + i)] - want[at(i)].value, 2);
      power += std::pow(want[at(i)].value, 2);
    }
  }
  const double relative = std::sqrt(error / power);
  if (exact()) {
    EXPECT_LT(relative, 1e-6);
  } else {
    EXPECT_GT(relative, 0.003);
    EXPECT_LT(relative, 0.009);
  }
}

}  // namespace
}  // namespace hearth::backend

// What the backend's tests share: random stored matrices, a backend of a chosen ISA, and rows of
// numbers put in and taken out through Step alone.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "backend/backend.h"
#include "base/cpu.h"
#include "base/result.h"
#include "tensor/dtype.h"
#include "testing/random_floats.h"

namespace hearth::backend {

inline std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

// A tensor as a file holds it.
class Stored {
 public:
  Stored(DType type, std::vector<std::int64_t> shape, const Floats& values) {
    view_.dtype = type;
    view_.shape = std::move(shape);
    const std::int64_t bytes = *row_bytes(type, view_.elems());
    HEARTH_CHECK(view_.elems() == static_cast<std::int64_t>(values.size()));
    bytes_.resize(at(bytes));
    quantize(type, values.data(), bytes_.data(), view_.elems());
    view_.data = bytes_;
  }
  static Stored matrix(DType type, std::int64_t rows, std::int64_t columns, Random& random,
                       float deviation = 0.05f) {
    return {type, {rows, columns}, random.normal(rows * columns, deviation)};
  }
  static Stored vector(const Floats& values) {
    return {DType::kF32, {static_cast<std::int64_t>(values.size())}, values};
  }
  Stored(Stored&&) = default;  // the bytes stay where they are
  Stored(const Stored&) = delete;

  const TensorView& view() const { return view_; }
  std::int64_t rows() const { return view_.shape[0]; }
  std::int64_t columns() const { return view_.shape.back(); }
  Floats values() const {
    Floats out(at(view_.elems()));
    dequantize(view_.dtype, view_.data.data(), out.data(), view_.elems());
    return out;
  }

 private:
  std::vector<std::byte> bytes_;
  TensorView view_;
};

// A backend with what it takes to feed it numbers and to read them.
class Rig {
 public:
  Rig(Isa isa, int threads, Precision precision, KvCacheType kv = KvCacheType::kF16) {
    setenv("HEARTH_ISA", isa_name(isa), 1);
    auto made = make_cpu_backend({threads, precision, kv});
    unsetenv("HEARTH_ISA");
    HEARTH_CHECK(made.has_value());
    backend_ = std::move(*made);
    const KvGroupSpec group = {1, 1, 2, 0};
    const std::int64_t pages = 1;
    no_cache_ = std::move(*backend_->make_cache({&group, 1}, {&pages, 1}));
  }

  Backend& backend() { return *backend_; }

  WeightRef weight(std::span<const WeightPart> parts) {
    auto made = backend_->prepare(parts);
    HEARTH_CHECK(made.has_value());
    return *made;
  }
  WeightRef weight(const Stored& matrix) {
    const WeightPart part = {&matrix.view(), nullptr, 0};
    return weight({&part, 1});
  }
  VectorRef vector(const Floats& values) {
    return *backend_->prepare_vector(Stored::vector(values).view(), false);
  }
  WeightRef embedding(const Stored& matrix) {
    return *backend_->prepare_embedding(matrix.view(), false);
  }

  // Ends a recording so that logits() gives t's rows, to the bit: a norm whose eps (2^60) drowns
  // the mean divides by 2^30, its weights multiply with 2^30, and the head is the identity in
  // float32. A NaN anywhere makes its row NaN.
  void show(Step& step, Tensor t) {
    auto& [norm, identity] = shown_[t.columns];
    if (!norm) {
      Floats eye(at(t.columns * t.columns));
      for (std::int64_t i = 0; i < t.columns; ++i) eye[at(i * t.columns + i)] = 1.f;
      identity = weight(Stored(DType::kF32, {t.columns, t.columns}, eye));
      norm = vector(Floats(at(t.columns), 0x1p30f));
    }
    step.head(t, *norm, 0x1p60f, *identity, 0.f);
  }

  // The logit rows of the step.
  Floats run(const Batch& batch, const std::function<void(Step&)>& record) {
    backend_->run(batch, record);
    Floats out;
    for (std::size_t i = 0; i < batch.logit_rows.size(); ++i) {
      const auto row = backend_->logits(i);
      out.insert(out.end(), row.begin(), row.end());
    }
    return out;
  }

  using Record = std::function<Tensor(Step& step, Tensor x)>;

  // Rows x through the recorded operations: the rows of the tensor that `record` returns.
  Floats apply(const Floats& x, std::int64_t columns, const Record& record) {
    const Stored input(DType::kF32, {static_cast<std::int64_t>(x.size()) / columns, columns}, x);
    const WeightRef rows = embedding(input);
    return run(plain_batch(input.rows()), [&](Step& step) {
      const Tensor in = step.tensor(columns);
      step.embed(in, *rows, 1.f);
      show(step, record(step, in));
    });
  }

  // Rows 0, 1, ... of one sequence, all of them wanted; no attention.
  Batch plain_batch(std::int64_t rows) const {
    Batch batch;
    batch.cache = no_cache_.get();
    batch.sequences.push_back({0, rows, 0, {}});
    for (std::int32_t r = 0; r < rows; ++r) {
      batch.tokens.push_back(r);
      batch.logit_rows.push_back(r);
    }
    return batch;
  }

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<KvCache> no_cache_;
  std::map<std::int64_t, std::pair<VectorRef, WeightRef>> shown_;  // by columns
};

inline bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Every ISA of this machine in both precisions.
class PerIsa : public testing::TestWithParam<std::tuple<Isa, Precision>> {
 protected:
  Isa isa() const { return std::get<0>(GetParam()); }
  Precision precision() const { return std::get<1>(GetParam()); }
  bool exact() const { return precision() == Precision::kF32; }
  Rig rig(int threads = 1, KvCacheType kv = KvCacheType::kF16) const {
    return {isa(), threads, precision(), kv};
  }
  // What one thread makes of it. Two and three make the same, to the bit.
  Floats on_any_threads(const std::function<Floats(Rig&)>& fn,
                        KvCacheType kv = KvCacheType::kF16) const {
    Rig one = rig(1, kv);
    const Floats want = fn(one);
    for (int threads : {2, 3}) {
      Rig more = rig(threads, kv);
      EXPECT_TRUE(same_bits(fn(more), want)) << threads << " threads";
    }
    return want;
  }
  Random random{20260121};
};

inline auto every_isa() {
  return testing::Combine(testing::ValuesIn(supported_isas()),
                          testing::Values(Precision::kDefault, Precision::kF32));
}
inline std::string isa_and_precision(
    const testing::TestParamInfo<std::tuple<Isa, Precision>>& info) {
  return std::string(isa_name(std::get<0>(info.param))) +
         (std::get<1>(info.param) == Precision::kF32 ? "_f32" : "");
}

}  // namespace hearth::backend

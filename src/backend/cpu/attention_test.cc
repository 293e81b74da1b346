// Attention over pages against the oracle: several sequences a batch, scattered pages, windows,
// grouped heads, chunks, all kinds of cache.
#include <numeric>

#include "backend/cpu/test_oracle.h"

namespace hearth::backend {
namespace {

constexpr KvCacheType kCacheTypes[] = {KvCacheType::kF16, KvCacheType::kBF16, KvCacheType::kInt8};

struct Shape {
  std::int64_t kv_heads, shared, dim;  // shared: query heads per KV head
  std::int64_t window = 0;
  float softcap = 0.f;
  bool norms = false;
  std::int64_t heads() const { return kv_heads * shared; }
  std::int64_t columns() const { return (heads() + 2 * kv_heads) * dim; }
};

// One sequence: rows of queries, keys and values from position 0 on, and where its pages lie.
struct Sequence {
  Floats qkv;  // (length, columns)
  std::vector<std::int32_t> pages;
};

// A run of one sequence's rows within a batch.
struct Chunk {
  std::size_t sequence;
  std::int64_t position, rows;
};

// Keys and values as a page keeps them.
ApproxRow kept(const ApproxRow& x, Precision precision, KvCacheType type) {
  if (precision == Precision::kF32) return x;
  ApproxRow out;
  if (type != KvCacheType::kInt8) {
    for (const Approx& v : x)
      out.push_back(rounded(v, type == KvCacheType::kF16 ? to_half : to_bf16));
    return out;
  }
  double largest = 0;
  double error = 0;
  for (const Approx& v : x) {
    largest = std::max(largest, std::fabs(v.value));
    error = std::max(error, v.error);
  }
  const double step = largest / 127;
  const double relative = error / largest + 4 * kUnit;
  for (const Approx& v : x) {
    const Approx code =
        rounded({v.value / step, v.error / step + std::fabs(v.value / step) * relative},
                [](double c) { return std::nearbyint(c); });
    out.push_back({code.value * step, (code.error + std::fabs(code.value) * relative) * step});
  }
  return out;
}

// What a head's queries or keys become: norm, rotation of halves, scale. Cosine and sine round, and
// so do two products, a sum and the scale; 6 u in all, relative to |a c| + |b s| <= |a| + |b|.
ApproxRow rotated(std::span<const float> x, const Floats* norm, float eps, const RopeTable& rope,
                  std::int64_t position, float scale) {
  const ApproxRow in = norm ? norm_row(x, *norm, eps) : exact_row(x);
  const std::size_t half = x.size() / 2;
  ApproxRow out(x.size());
  for (std::size_t i = 0; i < half; ++i) {
    // The angle is the float32 product, as the reference implementations have it.
    const double angle = static_cast<float>(position) * rope.inverse_frequencies[i];
    const double c = std::cos(angle);
    const double s = std::sin(angle);
    const Approx a = in[i];
    const Approx b = in[half + i];
    const double error =
        (6 * kUnit * (std::fabs(a.value) + std::fabs(b.value)) + a.error + b.error) * scale;
    out[i] = {(a.value * c - b.value * s) * scale, error};
    out[half + i] = {(b.value * c + a.value * s) * scale, error};
  }
  return out;
}

class Attention : public PerIsa {
 protected:
  static constexpr float kEps = 1e-5f;
  // Group 0 only takes room; the layer under test is the second of group 1's three.
  static constexpr std::size_t kGroup = 1;
  static constexpr std::int64_t kLayer = 1;
  static constexpr std::int64_t kPages = 64;

  void make(const Shape& shape, const std::vector<std::int64_t>& lengths) {
    shape_ = shape;
    sequences_.clear();
    std::vector<std::int32_t> free(kPages);
    std::iota(free.begin(), free.end(), 0);
    std::shuffle(free.begin(), free.end(), random.engine);
    for (std::int64_t length : lengths) {
      Sequence& s = sequences_.emplace_back();
      s.qkv = random.normal(length * shape.columns());
      for (std::int64_t p = 0; p < (length + 31) / 32; ++p) {
        s.pages.push_back(free.back());
        free.pop_back();
      }
    }
    q_norm_ = random.normal(shape.dim);
    k_norm_ = random.normal(shape.dim);
    ropes_.assign(2, {});
    ropes_[0].inverse_frequencies.assign(at(shape.dim / 2), 0.5f);
    for (std::int64_t i = 0; i < shape.dim / 2; ++i)
      ropes_[1].inverse_frequencies.push_back(
          std::pow(1e4f, -2.f * static_cast<float>(i) / static_cast<float>(shape.dim)));
    scale_ = 1.f / std::sqrt(static_cast<float>(shape.dim));
  }

  struct Engine {
    Rig& rig;
    std::unique_ptr<KvCache> cache;
    VectorRef q_norm, k_norm;
  };
  Engine engine(Rig& rig) {
    const KvGroupSpec groups[] = {{2, 1, 10, 0}, {3, shape_.kv_heads, shape_.dim, shape_.window}};
    const std::int64_t pages[] = {3, kPages};
    rig.backend().set_rope_tables(ropes_);
    return {rig, std::move(*rig.backend().make_cache(groups, pages)), rig.vector(q_norm_),
            rig.vector(k_norm_)};
  }

  // Runs the chunks as one batch; the attention's rows. Pages that `window` has left are -1.
  Floats run(Engine& e, const std::vector<Chunk>& chunks, std::int64_t window, bool wanted = true) {
    Batch batch;
    batch.cache = e.cache.get();
    Floats x;
    std::vector<std::vector<std::int32_t>> tables;
    for (const Chunk& chunk : chunks) {
      const Sequence& s = sequences_[chunk.sequence];
      std::vector<std::int32_t>& table = tables.emplace_back(s.pages);
      for (std::size_t p = 0; window > 0 && p < table.size(); ++p)
        if (static_cast<std::int64_t>(p + 1) * 32 <= chunk.position - window + 1) table[p] = -1;
      const auto begin = s.qkv.begin() + chunk.position * shape_.columns();
      x.insert(x.end(), begin, begin + chunk.rows * shape_.columns());
    }
    const std::vector<std::int32_t> none;
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      const auto first = static_cast<std::int64_t>(batch.tokens.size());
      batch.sequences.push_back({first, chunks[i].rows, chunks[i].position, {none, tables[i]}});
      for (std::int64_t r = 0; r < chunks[i].rows; ++r) {
        const auto row = static_cast<std::int32_t>(first + r);
        batch.tokens.push_back(row);
        if (wanted) batch.logit_rows.push_back(row);
      }
    }
    const Stored input(DType::kF32,
                       {static_cast<std::int64_t>(batch.tokens.size()), shape_.columns()}, x);
    const WeightRef rows = e.rig.embedding(input);
    return e.rig.run(batch, [&](Step& step) {
      AttentionSpec spec;
      spec.kv_group = kGroup;
      spec.layer_in_group = kLayer;
      spec.heads = shape_.heads();
      spec.kv_heads = shape_.kv_heads;
      spec.head_dim = shape_.dim;
      spec.window = window;
      spec.scale = scale_;
      spec.softcap = shape_.softcap;
      spec.rope = 1;
      spec.q_norm = shape_.norms ? e.q_norm.get() : nullptr;
      spec.k_norm = shape_.norms ? e.k_norm.get() : nullptr;
      spec.norm_eps = kEps;
      const Tensor qkv = step.tensor(shape_.columns());
      const Tensor out = step.tensor(shape_.heads() * shape_.dim);
      step.embed(qkv, *rows, 1.f);
      step.attention(out, qkv, spec);
      e.rig.show(step, out);
    });
  }

  // Stores a sequence's first tokens. With a window of one each row looks at itself alone, which is
  // quick; what is stored is the same.
  void fill(Engine& e, std::size_t sequence, std::int64_t tokens) {
    if (tokens > 0) run(e, {{sequence, 0, tokens}}, 1, false);
  }

  ApproxRow oracle(const Sequence& s, std::int64_t position, KvCacheType type) const {
    const auto row = row_of(s.qkv, position, shape_.columns());
    const std::int64_t begin =
        shape_.window > 0 ? std::max<std::int64_t>(0, position - shape_.window + 1) : 0;
    ApproxRow out;
    for (std::int64_t kv = 0; kv < shape_.kv_heads; ++kv) {
      std::vector<ApproxRow> keys;
      std::vector<ApproxRow> values;
      for (std::int64_t p = begin; p <= position; ++p) {
        const auto other = row_of(s.qkv, p, shape_.columns());
        keys.push_back(
            kept(rotated(other.subspan(at((shape_.heads() + kv) * shape_.dim), at(shape_.dim)),
                         shape_.norms ? &k_norm_ : nullptr, kEps, ropes_[1], p, 1.f),
                 precision(), type));
        values.push_back(
            kept(exact_row(other.subspan(at((shape_.heads() + shape_.kv_heads + kv) * shape_.dim),
                                         at(shape_.dim))),
                 precision(), type));
      }
      for (std::int64_t h = kv * shape_.shared; h < (kv + 1) * shape_.shared; ++h) {
        ApproxRow query =
            rotated(row.subspan(at(h * shape_.dim), at(shape_.dim)),
                    shape_.norms ? &q_norm_ : nullptr, kEps, ropes_[1], position, scale_);
        const bool in_pairs = pairs(type);
        if (in_pairs) query = kept(query, precision(), type);
        const ApproxRow head = softmax(query, keys, values, in_pairs);
        out.insert(out.end(), head.begin(), head.end());
      }
    }
    return out;
  }

  // Where queries and probabilities are rounded to bfloat16 as well.
  bool pairs(KvCacheType type) const {
    return type == KvCacheType::kBF16 && !exact() && kernels::ops_for(isa()).pairs;
  }

  Shape shape_;
  std::vector<Sequence> sequences_;
  Floats q_norm_, k_norm_;
  std::vector<RopeTable> ropes_;
  float scale_ = 1.f;

 private:
  // A score off by d moves its weight by a share of e^d - 1, and so the sum of weights by no more:
  // 2 (e^d - 1) in all. e^x (twice where a maximum fades), its argument (u times the range of the
  // scores), and one rounding per position, page and span in both sums come on top. In pairs, the
  // exponential is good to 4e-6 and each probability is rounded to bfloat16.
  ApproxRow softmax(const ApproxRow& query, const std::vector<ApproxRow>& keys,
                    const std::vector<ApproxRow>& values, bool in_pairs) const {
    const auto dim = static_cast<double>(shape_.dim);
    std::vector<double> scores;
    double score_error = 0;
    for (const ApproxRow& key : keys) {
      double sum = 0;
      double size = 0;
      double error = 0;
      for (std::size_t d = 0; d < query.size(); ++d) {
        sum += query[d].value * key[d].value;
        size += std::fabs(query[d].value * key[d].value);
        error += query[d].error * (std::fabs(key[d].value) + key[d].error) +
                 std::fabs(query[d].value) * key[d].error;
      }
      error += (dim + 1) * kUnit * size;
      if (shape_.softcap > 0) {  // the kernels' tanh: an absolute error under 3e-7
        const double cap = shape_.softcap;
        error += 3 * kUnit * std::fabs(sum) + 3e-7 * cap;
        sum = cap * std::tanh(sum / cap);
      }
      scores.push_back(sum);
      score_error = std::max(score_error, error);
    }
    const double low = *std::min_element(scores.begin(), scores.end());
    const double high = *std::max_element(scores.begin(), scores.end());
    const auto length = static_cast<double>(scores.size());
    const double share = 2 * std::expm1(score_error) + (in_pairs ? 2 * 4e-6 + 0x1p-8 : 0.0) +
                         2 * (3 * kExpError + (length + length / 8 + 16 + high - low) * kUnit);
    double total = 0;
    for (double& s : scores) total += s = std::exp(s - high);
    ApproxRow out(query.size());
    for (std::size_t d = 0; d < out.size(); ++d) {
      double size = 0;
      for (std::size_t p = 0; p < scores.size(); ++p) {
        const double weight = scores[p] / total;
        out[d].value += weight * values[p][d].value;
        out[d].error += weight * values[p][d].error;
        size += weight * std::fabs(values[p][d].value);
      }
      out[d].error = (out[d].error + share * size) * (1 + share);
    }
    return out;
  }

 protected:
  void expect_close(const Floats& got, const std::vector<Chunk>& chunks, KvCacheType type) const {
    std::int64_t row = 0;
    for (const Chunk& chunk : chunks)
      for (std::int64_t r = 0; r < chunk.rows; ++r, ++row)
        ASSERT_TRUE(close(row_of(got, row, shape_.heads() * shape_.dim),
                          oracle(sequences_[chunk.sequence], chunk.position + r, type)))
            << "sequence " << chunk.sequence << " position " << chunk.position + r << " dim "
            << shape_.dim << " window " << shape_.window;
  }
};
INSTANTIATE_TEST_SUITE_P(Isas, Attention, every_isa(), isa_and_precision);

// A prompt, the next chunk of another and two decoding sequences in one batch.
TEST_P(Attention, SeveralSequencesInOneBatch) {
  const Shape shapes[] = {
      {1, 1, 6},
      {2, 3, 40, 0, 0.f, true},
      {1, 5, 80, 33, 2.f},
      {3, 2, 16, 5, 0.f, true},
      {1, 50, 6, 20},  // more heads on one key than a tile has rows
      {2, 1, 2, 0, 1.f, true},
      {1, 1, 144, 64, 0.f},
  };
  for (const Shape& shape : shapes) {
    for (KvCacheType type : kCacheTypes) {
      if (exact() && type != KvCacheType::kF16) continue;  // float32 has one kind of cache
      make(shape, {23, 61, 1, 100});
      const std::vector<Chunk> chunks = {{0, 0, 23}, {1, 44, 17}, {2, 0, 1}, {3, 99, 1}};
      const Floats got = on_any_threads(
          [&](Rig& rig) {
            Engine e = engine(rig);
            fill(e, 1, 44);
            fill(e, 3, 99);
            return run(e, chunks, shape.window);
          },
          type);
      expect_close(got, chunks, type);
      // Each alone, in a cache of its own: the same bits.
      Rig alone = rig(2, type);
      Floats apart;
      for (const Chunk& chunk : chunks) {
        Engine e = engine(alone);
        fill(e, chunk.sequence, chunk.position);
        const Floats one = run(e, {chunk}, shape.window);
        apart.insert(apart.end(), one.begin(), one.end());
      }
      EXPECT_TRUE(same_bits(apart, got));
    }
  }
}

// Contexts of several spans of 512 positions, which a lone sequence spreads over threads.
TEST_P(Attention, LongContexts) {
  for (const std::int64_t length : {511, 512, 513, 1100}) {
    for (const std::int64_t window : {0, 600}) {
      const KvCacheType type = kCacheTypes[length % 3];
      make({1, 2, 6, window}, {length, 40});
      const std::int64_t rows = length == 1100 ? 30 : 2;  // 30 x 2 heads: two tiles
      const std::vector<Chunk> chunks = {{0, length - rows, rows}};
      const Floats got = on_any_threads(
          [&](Rig& rig) {
            Engine e = engine(rig);
            fill(e, 0, length - rows);
            return run(e, chunks, window);
          },
          type);
      expect_close(got, chunks, type);
      // Beside another sequence there are tiles enough: none is spread, and nothing changes.
      Rig more = rig(2, type);
      Engine e = engine(more);
      fill(e, 0, length - rows);
      Floats beside = run(e, {chunks[0], {1, 0, 40}}, window);
      beside.resize(got.size());
      EXPECT_TRUE(same_bits(beside, got)) << length;
    }
  }
}

// However a prompt is cut, and while the window leaves pages behind: the same bits.
TEST_P(Attention, ChunksDoNotShow) {
  for (const std::int64_t window : {0, 37}) {
    for (KvCacheType type : kCacheTypes) {
      make({2, 2, 10, window, 0.f, true}, {131});
      const auto cut = [&](std::int64_t rows) {
        return [this, rows, window](Rig& rig) {
          Engine e = engine(rig);
          Floats out;
          for (std::int64_t p = 0; p < 131; p += rows) {
            const Floats part = run(e, {{0, p, std::min<std::int64_t>(rows, 131 - p)}}, window);
            out.insert(out.end(), part.begin(), part.end());
          }
          return out;
        };
      };
      Rig one = rig(1, type);
      const Floats whole = cut(131)(one);
      expect_close(whole, {{0, 0, 131}}, type);
      for (std::int64_t rows : {1, 19, 64}) {
        Rig two = rig(2, type);
        EXPECT_TRUE(same_bits(cut(rows)(two), whole)) << rows << " rows, window " << window;
      }
    }
  }
}

// The same prefix in shared pages, and a copied page that goes on differently.
TEST_P(Attention, CopiedPagesHoldTheSame) {
  for (KvCacheType type : kCacheTypes) {
    make({2, 1, 6}, {60, 60});
    Sequence& original = sequences_[0];
    Sequence& copy = sequences_[1];
    const std::int64_t half = 40 * shape_.columns();
    std::copy_n(original.qkv.begin(), half, copy.qkv.begin());
    Rig two = rig(2, type);
    Engine e = engine(two);
    fill(e, 0, 40);
    const std::int32_t to = copy.pages[1];
    copy.pages[0] = original.pages[0];
    e.cache->copy_page(kGroup, original.pages[1], to);
    const Floats got = run(e, {{1, 40, 20}}, 0);
    expect_close(got, {{1, 40, 20}}, type);
    const Floats first = run(e, {{0, 40, 20}}, 0);
    expect_close(first, {{0, 40, 20}}, type);
    EXPECT_FALSE(same_bits(got, first));
  }
}

// A zeroed page is like one that was never written, and its neighbours stay as they are.
TEST_P(Attention, ZeroedPagesAreAsFresh) {
  for (KvCacheType type : kCacheTypes) {
    make({2, 1, 6}, {33, 33, 33, 33});
    for (std::size_t s = 0; s < 4; ++s) sequences_[s].pages[0] = static_cast<std::int32_t>(10 + s);
    for (std::size_t s = 0; s < 4; ++s) sequences_[s].pages[1] = static_cast<std::int32_t>(20 + s);
    Rig two = rig(2, type);
    Engine e = engine(two);
    for (std::size_t s : {0u, 1u, 2u}) fill(e, s, 32);
    const Chunk left = {0, 32, 1};
    const Chunk middle = {1, 32, 1};
    const Chunk right = {2, 32, 1};
    const Floats before_left = run(e, {left}, 0);
    const Floats before_right = run(e, {right}, 0);
    const Floats before = run(e, {middle}, 0);
    e.cache->zero_page(kGroup, 11);
    e.cache->zero_page(kGroup, 21);
    EXPECT_TRUE(same_bits(run(e, {left}, 0), before_left));
    EXPECT_TRUE(same_bits(run(e, {right}, 0), before_right));
    const Floats zeroed = run(e, {middle}, 0);
    EXPECT_FALSE(same_bits(zeroed, before));
    // Sequence 3 has written nothing yet. Its last token is made the same.
    sequences_[3].qkv = sequences_[1].qkv;
    EXPECT_TRUE(same_bits(run(e, {{3, 32, 1}}, 0), zeroed));
    // Again, after it has been zeroed and written once more.
    fill(e, 1, 32);
    EXPECT_TRUE(same_bits(run(e, {middle}, 0), before));
    e.cache->zero_page(kGroup, 11);
    EXPECT_TRUE(same_bits(run(e, {middle}, 0), zeroed));
  }
}

// A page comes back with another request's keys in it: slots not written yet are not looked at.
TEST_P(Attention, StalePagesDoNotShow) {
  for (KvCacheType type : kCacheTypes) {
    make({1, 3, 6, 0, 0.f, true}, {50, 64});
    Rig two = rig(2, type);
    Engine fresh = engine(two);
    const Floats want = run(fresh, {{0, 0, 50}}, 0);
    for (const float stale : {1e4f, std::nanf(""), INFINITY}) {
      std::fill(sequences_[1].qkv.begin(), sequences_[1].qkv.end(), stale);
      sequences_[1].pages = sequences_[0].pages;
      Engine used = engine(two);
      fill(used, 1, 64);
      EXPECT_TRUE(same_bits(run(used, {{0, 0, 50}}, 0), want)) << stale;
      // And decoding, one token after the other.
      fill(used, 1, 64);
      Floats last;
      for (std::int64_t p = 0; p < 50; ++p) last = run(used, {{0, p, 1}}, 0);
      EXPECT_TRUE(same_bits(last, {want.end() - 18, want.end()})) << stale;
    }
  }
}

}  // namespace
}  // namespace hearth::backend

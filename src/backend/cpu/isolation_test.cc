// A request whose numbers have gone bad touches no other: a small transformer over batches with and
// without such a sequence gives every other row the same bits.
#include "backend/cpu/rig_fixture.h"

namespace hearth::backend {
namespace {

constexpr std::int64_t kWidth = 256;
constexpr std::int64_t kHeads = 4;
constexpr std::int64_t kKvHeads = 2;
constexpr std::int64_t kDim = 24;
constexpr std::int64_t kFeedForward = 256;
constexpr std::int64_t kVocabulary = 45;
constexpr std::int32_t kBadToken = kVocabulary - 1;

class Isolation : public PerIsa {
 protected:
  struct Layer {
    WeightRef qkv, out, up, down;
    VectorRef norm;
  };
  struct Model {
    Rig rig;
    std::vector<Layer> layers;
    WeightRef embedding, head;
    VectorRef q_norm;
    std::unique_ptr<KvCache> cache;
  };
  struct Part {  // of a batch
    std::vector<std::int32_t> tokens;
    std::int64_t position = 0;
    std::vector<std::int32_t> pages;
  };

  // `bad` stands in one place of the last token's embedding.
  std::unique_ptr<Model> model(int threads, KvCacheType kv, float bad) {
    auto m = std::make_unique<Model>(
        Model{Rig(isa(), threads, precision(), kv), {}, nullptr, nullptr, nullptr, nullptr});
    Random weights(7);
    Floats rows = weights.normal(kVocabulary * kWidth);
    rows[at(kBadToken * kWidth + 100)] = bad;
    embeddings_.push_back(
        std::make_unique<Stored>(DType::kF32, std::vector{kVocabulary, kWidth}, rows));
    m->embedding = m->rig.embedding(*embeddings_.back());
    // All packed forms take part.
    const DType kinds[2][5] = {
        {DType::kQ4_K, DType::kQ6_K, DType::kQ5_0, DType::kF16, DType::kQ8_0},
        {DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kF32, DType::kQ5_K}};
    for (const auto& kind : kinds) {
      Layer& layer = m->layers.emplace_back();
      const Stored q = Stored::matrix(kind[0], (kHeads + kKvHeads) * kDim, kWidth, weights);
      const Stored v = Stored::matrix(kind[1], kKvHeads * kDim, kWidth, weights);
      layer.qkv = m->rig.weight(
          std::vector<WeightPart>{{&q.view(), nullptr, kDim}, {&v.view(), nullptr, 0}});
      layer.out = m->rig.weight(Stored::matrix(kind[2], kWidth, kHeads * kDim, weights));
      layer.up = m->rig.weight(Stored::matrix(kind[3], 2 * kFeedForward, kWidth, weights));
      layer.down = m->rig.weight(Stored::matrix(kind[4], kWidth, kFeedForward, weights));
      layer.norm = m->rig.vector(weights.normal(kWidth));
    }
    m->head = m->rig.weight(Stored::matrix(DType::kQ6_K, kVocabulary, kWidth, weights));
    m->q_norm = m->rig.vector(weights.normal(kDim));
    m->rig.backend().set_rope_tables({{Floats(kDim / 2, 0.1f)}});
    const KvGroupSpec group = {2, kKvHeads, kDim, 0};
    const std::int64_t pages = 12;
    m->cache = std::move(*m->rig.backend().make_cache({&group, 1}, {&pages, 1}));
    return m;
  }

  // The logits of each part's rows.
  static std::vector<Floats> run(Model& m, const std::vector<Part>& parts) {
    Batch batch;
    batch.cache = m.cache.get();
    for (const Part& part : parts) {
      batch.sequences.push_back({static_cast<std::int64_t>(batch.tokens.size()),
                                 static_cast<std::int64_t>(part.tokens.size()),
                                 part.position,
                                 {part.pages}});
      batch.tokens.insert(batch.tokens.end(), part.tokens.begin(), part.tokens.end());
    }
    for (std::size_t r = 0; r < batch.tokens.size(); ++r)
      batch.logit_rows.push_back(static_cast<std::int32_t>(r));
    const Floats all = m.rig.run(batch, [&](Step& step) { record(m, step); });
    std::vector<Floats> out;
    auto from = all.begin();
    for (const Part& part : parts) {
      const auto to = from + static_cast<std::ptrdiff_t>(part.tokens.size()) * kVocabulary;
      out.emplace_back(from, to);
      from = to;
    }
    return out;
  }

  static void expect_bad(Model& m, const Floats& logits) {
    ASSERT_FALSE(logits.empty());
    for (std::size_t r = 0; r < logits.size(); r += at(kVocabulary))
      EXPECT_EQ(m.rig.backend().argmax(std::span(logits).subspan(r, at(kVocabulary))), -1);
  }
  static void expect_good(const Floats& logits) {
    ASSERT_FALSE(logits.empty());
    for (float x : logits) ASSERT_TRUE(std::isfinite(x));
  }

 private:
  static void record(Model& m, Step& step) {
    const Tensor x = step.tensor(kWidth);
    const Tensor normed = step.tensor(kWidth);
    const Tensor qkv = step.tensor((kHeads + 2 * kKvHeads) * kDim);
    const Tensor attended = step.tensor(kHeads * kDim);
    const Tensor up = step.tensor(2 * kFeedForward);
    const Tensor gated = step.tensor(kFeedForward);
    step.embed(x, *m.embedding, 1.f);
    for (std::size_t l = 0; l < m.layers.size(); ++l) {
      const Layer& layer = m.layers[l];
      step.rms_norm(normed, x, *layer.norm, 1e-5f);
      step.linear(qkv, normed, *layer.qkv);
      AttentionSpec spec;
      spec.layer_in_group = static_cast<std::int64_t>(l);
      spec.heads = kHeads;
      spec.kv_heads = kKvHeads;
      spec.head_dim = kDim;
      spec.scale = 0.2f;
      spec.q_norm = m.q_norm.get();
      spec.norm_eps = 1e-5f;
      step.attention(attended, qkv, spec);
      step.linear(x, attended, *layer.out, true);
      step.rms_norm(normed, x, *layer.norm, 1e-5f);
      step.linear(up, normed, *layer.up);
      step.gated(gated, up, l == 0 ? Activation::kSilu : Activation::kGeluTanh);
      step.linear(x, gated, *layer.down, true);
    }
    step.head(x, *m.layers[0].norm, 1e-5f, *m.head, 0.f);
  }

  std::vector<std::unique_ptr<Stored>> embeddings_;  // weights point into them
};
INSTANTIATE_TEST_SUITE_P(Isas, Isolation, every_isa(), isa_and_precision);

TEST_P(Isolation, ABadSequenceLeavesTheOthersTheirBits) {
  constexpr KvCacheType kTypes[] = {KvCacheType::kF16, KvCacheType::kBF16, KvCacheType::kInt8};
  int trial = 0;
  for (const float bad : {std::nanf(""), INFINITY}) {
    for (KvCacheType kv : kTypes) {
      if (exact() && kv != KvCacheType::kF16) continue;
      const int threads = 1 + trial++ % 3;
      const auto with = model(threads, kv, bad);
      const auto without = model(threads, kv, bad);
      // Five rows: one register tile takes them together (8 tokens, 6 or 3). The bad one stands in
      // the middle, then within longer stretches.
      const std::vector<std::vector<Part>> rounds = {
          {{{1, 2}, 0, {3}}, {{kBadToken}, 0, {7}}, {{5, 6}, 0, {1}}},
          {{{9}, 2, {3}}, {{4}, 1, {7}}, {{8}, 2, {1}}},  // bad through its cache alone
          {{{7, 7, 1, 0, 3, 2, 1, 9, 40}, 3, {3}},
           {{1, 2, kBadToken, 3, 4, 5, 6, 7}, 2, {7}},
           {{4, 4, 3, 2, 1, 0, 11, 12, 13, 14}, 3, {1}}}};
      for (const std::vector<Part>& parts : rounds) {
        const std::vector<Floats> got = run(*with, parts);
        const std::vector<Floats> want = run(*without, {parts[0], parts[2]});
        expect_good(want[0]);
        expect_good(want[1]);
        EXPECT_TRUE(same_bits(got[0], want[0]));
        EXPECT_TRUE(same_bits(got[2], want[1]));
        expect_bad(*with, got[1]);
      }
      // The bad sequence is gone; another takes its page as it is.
      const Part next = {{20, 21, 22}, 0, {7}};
      const Floats clean = run(*without, {next})[0];
      expect_good(clean);
      EXPECT_TRUE(same_bits(run(*with, {next})[0], clean));
    }
  }
}

// Neighbours do not show at all, good ones no more than bad ones.
TEST_P(Isolation, ARowDoesNotDependOnTheBatch) {
  const auto m = model(2, KvCacheType::kF16, 0.f);
  const Part a = {{1, 2, 3}, 0, {3}};
  const Part b = {{4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}, 0, {7}};
  const Part c = {{15}, 0, {1}};
  const std::vector<Floats> together = run(*m, {b, a, c});
  EXPECT_TRUE(same_bits(run(*m, {a})[0], together[1]));
  EXPECT_TRUE(same_bits(run(*m, {c, b})[0], together[2]));
  EXPECT_TRUE(same_bits(run(*m, {c, b})[1], together[0]));
}

}  // namespace
}  // namespace hearth::backend

// Output that is not a number ends the request it belongs to, and touches nothing else.
#include <gtest/gtest.h>

#include "engine/engine_core.h"
#include "engine/engine_fixture.h"
#include "engine/model_runner.h"
#include "engine/poisoned_model_fixture.h"
#include "testing/fake_clock.h"

namespace hearth::engine {
namespace {

// Prompts that know nothing of the poison, and never answer with it.
GenerateRequest sound_request(RequestId id) {
  std::mt19937 random(static_cast<unsigned>(id));
  std::vector<TokenId> prompt = random_prompt(random, 1 + random() % 60);
  for (TokenId& token : prompt)
    if (token == kPoison) ++token;
  GenerateRequest request = make_request(id, std::move(prompt), 24);
  request.sampling.logit_bias = {{kPoison, -1000.f}};
  request.sampling.top_logprobs = 2;
  return request;
}

class NotFinite : public ::testing::TestWithParam<backend::Precision> {};

TEST_P(NotFinite, OneRowEndsItsRequestAndNoOther) {
  const auto model = poisoned_llama(GetParam());
  EngineOptions options;
  options.context = 128;
  options.cache_bytes = 1;  // the least there can be, so that pages are used again and again
  constexpr RequestId kSound = 12;
  std::vector<Heard> expected;
  for (RequestId id = 1; id <= kSound; ++id) {
    expected.push_back(alone(model, options, sound_request(id)).front());
    ASSERT_EQ(expected.back().finish, FinishReason::kLength);
  }

  const auto engine = make_engine(model, options);
  for (int round = 0; round < 3; ++round) {  // the later ones on pages that have held NaN
    const auto sink = std::make_shared<Collector>();
    int ends = 0;
    for (RequestId id = 1; id <= kSound; ++id) {
      ASSERT_TRUE(engine->submit(sound_request(id), sink));
      // In the prompt, at different places of it; with several choices.
      GenerateRequest poisoned = make_request(100 + id, sound_request(id + 50).prompt, 24);
      poisoned.prompt[id % poisoned.prompt.size()] = kPoison;
      poisoned.choices = 1 + static_cast<std::int32_t>(id % 3);
      ends += 1 + poisoned.choices;
      ASSERT_TRUE(engine->submit(std::move(poisoned), sink));
    }
    GenerateRequest embedded = make_request(300, {3, kPoison, 5}, 1);
    embedded.embed = true;
    ASSERT_TRUE(engine->submit(std::move(embedded), sink));
    ++ends;
    // As the first token of the answer: the second cannot be computed.
    GenerateRequest late = make_request(200, {3, 4, 5}, 24);
    late.sampling.logit_bias = {{kPoison, 1000.f}};
    ASSERT_TRUE(engine->submit(std::move(late), sink));
    sink->wait(ends + 1);

    for (RequestId id = 1; id <= kSound; ++id) {
      EXPECT_TRUE(same_text(sink->of(id), expected[id - 1])) << "request " << id;
      for (std::int32_t choice = 0; choice <= static_cast<std::int32_t>(id % 3); ++choice) {
        const Heard heard = sink->of(100 + id, choice);
        EXPECT_EQ(heard.finish, FinishReason::kError);
        ASSERT_TRUE(heard.error);
        EXPECT_EQ(heard.error->code, "numeric_error");
        EXPECT_TRUE(heard.tokens.empty());
      }
    }
    EXPECT_EQ(sink->of(300).finish, FinishReason::kError);
    EXPECT_TRUE(sink->of(300).embedding.empty());
    const Heard heard = sink->of(200);
    EXPECT_EQ(heard.finish, FinishReason::kError);
    EXPECT_EQ(heard.tokens, std::vector<TokenId>{kPoison});
    expect_empty(*engine);
    sink->expect_single_ends(static_cast<std::size_t>(ends + 1));
  }
}

TEST_P(NotFinite, NothingOfItIsKeptForOthers) {
  const auto engine = make_engine(poisoned_llama(GetParam()), {});
  std::mt19937 random(3);
  std::vector<TokenId> prompt = random_prompt(random, 100);
  std::replace(prompt.begin(), prompt.end(), kPoison, kPoison + 1);
  std::vector<TokenId> poisoned = prompt;
  poisoned.back() = kPoison;  // after whole pages that are sound
  const auto sink = std::make_shared<Collector>();
  for (RequestId id : {1, 2}) {
    ASSERT_TRUE(engine->submit(make_request(id, poisoned, 4), sink));
    sink->wait(static_cast<int>(id));
    EXPECT_EQ(sink->of(id).finish, FinishReason::kError);
    EXPECT_EQ(sink->of(id).cached_tokens, 0);
  }
  for (RequestId id : {3, 4}) {
    ASSERT_TRUE(engine->submit(make_request(id, prompt, 4), sink));
    sink->wait(static_cast<int>(id));
    EXPECT_EQ(sink->of(id).finish, FinishReason::kLength);
    EXPECT_EQ(sink->of(id).cached_tokens, id == 3 ? 0 : 96);
  }
}

// Guesses one word, over and over.
class OneWordDrafter final : public Drafter {
 public:
  explicit OneWordDrafter(TokenId word) : word_(word) {}
  void guess(std::span<DraftJob> jobs) override {
    for (DraftJob& job : jobs) job.drafts.assign(static_cast<std::size_t>(job.wanted), word_);
  }
  double round_s(std::int64_t, double) const override { return 0; }
  std::int64_t unseen(const Sequence&) const override { return 0; }
  void forget(const Sequence&) override {}

 private:
  const TokenId word_;
};

// A guess that makes NaN of the rows beside it hurts nobody as long as it is wrong, and ends its
// request where the word itself would have, if it is right.
TEST_P(NotFinite, GuessesChangeNeitherWhatIsFoundNorWhatIsNot) {
  constexpr TokenId kHarmless = 9;
  const auto model = poisoned_llama(GetParam());
  EngineOptions plain;
  plain.context = 128;
  plain.speculate = false;
  std::vector<GenerateRequest> requests;
  std::vector<Heard> expected;
  int poisoned = 0;
  for (RequestId id = 1; id <= 24; ++id) {
    GenerateRequest request = sound_request(id);
    if (id % 2 == 0) {  // one word or the other, by chance
      request.sampling.logit_bias = {{kPoison, 1000.f}, {kHarmless, 1000.f}};
      request.sampling.temperature = 100;
      request.sampling.seed = id;
    }
    expected.push_back(alone(model, plain, request).front());
    if (expected.back().finish == FinishReason::kError) ++poisoned;
    requests.push_back(std::move(request));
  }
  ASSERT_EQ(poisoned, 12);

  const hearth::testing::TickingClock clock;  // guesses cost nothing: as many as there are
  for (const TokenId word : {kPoison, kHarmless}) {
    SCOPED_TRACE(word);
    CoreOptions options;
    options.context = 128;
    options.drafter = std::make_shared<OneWordDrafter>(word);
    auto groups = model->kv_groups();
    auto cache = model->backend().make_cache(groups, std::vector<std::int64_t>(groups.size(), 24));
    ASSERT_TRUE(cache);
    EngineCore core(std::make_unique<KvPool>(std::move(*cache), groups),
                    std::make_unique<ModelRunner>(model), options, clock);
    core.enter_thread();
    for (int round = 0; round < 2; ++round) {  // the second on pages that have held NaN
      const auto sink = std::make_shared<Collector>();
      for (const GenerateRequest& request : requests) {
        auto state = std::make_shared<RequestState>();
        state->request = request;
        state->sink = sink;
        state->open_choices = 1;
        core.submit(std::move(state));
      }
      while (!core.idle()) {
        core.plan();
        core.compute([] { return false; });
      }
      core.check_integrity();
      for (std::size_t i = 0; i < requests.size(); ++i) {
        const Heard heard = sink->of(requests[i].id);
        EXPECT_TRUE(same_text(heard, expected[i])) << requests[i].id;
        EXPECT_EQ(heard.error.has_value(), expected[i].error.has_value()) << requests[i].id;
        if (heard.error) EXPECT_EQ(heard.error->code, "numeric_error");
      }
      sink->expect_single_ends(requests.size());
    }
    EngineStats stats;
    core.fill(stats);
    EXPECT_GT(stats.drafts, 50);
    if (word == kHarmless) EXPECT_GT(stats.drafts_accepted, 0);
    EXPECT_LT(stats.drafts_accepted, stats.drafts);
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, NotFinite,
                         ::testing::Values(backend::Precision::kDefault, backend::Precision::kF32));

}  // namespace
}  // namespace hearth::engine

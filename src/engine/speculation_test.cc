// Guessed tokens change how fast a text comes, and nothing else.
#include "engine/speculation.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>

#include "engine/draft_model.h"
#include "engine/engine_fixture.h"
#include "engine/scheduler_fixture.h"
#include "testing/fake_clock.h"

namespace hearth::engine {
namespace {

// A prompt that says the same over and over, so that there is much to guess from.
std::vector<TokenId> repeating(std::size_t period, std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  const auto words = random_prompt(random, period);
  std::vector<TokenId> out;
  for (std::size_t i = 0; i < size; ++i) out.push_back(words[i % period]);
  return out;
}

// An answer of these tokens alone, each of which has come after each before long.
void say_only(GenerateRequest& request, TokenId kinds) {
  for (TokenId id = 0; id < kinds; ++id)
    request.sampling.logit_bias.emplace_back(request.prompt[static_cast<std::size_t>(id)], 100.f);
}

class Speculating : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, Speculating,
                         ::testing::Values("llama", "gemma3_text", "quantized"));

std::shared_ptr<const model::Model> draft_for(const model::Model& target, const std::string& name) {
  auto source = model::open_source(HEARTH_TEST_DATA "/tiny/" + name);
  EXPECT_TRUE(source);
  auto loaded = model::Model::load(std::move(*source), target.backend().beside());
  EXPECT_TRUE(loaded) << loaded.error().message;
  return std::shared_ptr<const model::Model>(std::move(*loaded));
}

TEST_P(Speculating, TheTextIsTheSameToTheBit) {
  const auto model = tiny_model(GetParam());
  const hearth::testing::TickingClock clock;  // guesses cost nothing: as many as there are
  std::int64_t accepted = 0;
  for (unsigned seed = 0; seed < 24; ++seed) {
    SCOPED_TRACE(seed);
    auto request = make_request(1, repeating(3 + seed % 7, 20 + 5 * seed, seed), 60);
    request.ignore_eos = seed % 3 != 0;
    request.sampling.top_logprobs = static_cast<std::int32_t>(seed % 3);
    if (seed % 2 == 1) {
      request.sampling.temperature = 1.f + 2.f * static_cast<float>(seed % 5);
      request.sampling.seed = seed;
      request.sampling.top_p = 0.9f;
      say_only(request, 3);
    }
    if (seed % 4 == 2) request.choices = 3;
    EngineOptions options;
    options.context = seed % 5 == 4 ? 100 : 400;  // some end at the context's end
    if (static_cast<std::int64_t>(request.prompt.size()) + 1 > options.context) continue;
    options.speculate = false;
    const std::vector<Heard> want = alone(model, options, request);

    options.speculate = true;
    const auto engine = make_engine(model, options, clock);
    const auto sink = std::make_shared<Collector>();
    ASSERT_TRUE(engine->submit(request, sink));
    sink->wait(request.choices);
    for (std::int32_t c = 0; c < request.choices; ++c)
      EXPECT_TRUE(same_text(sink->of(1, c), want[static_cast<std::size_t>(c)])) << c;
    sink->expect_single_ends(static_cast<std::size_t>(request.choices));
    expect_empty(*engine);
    const EngineStats stats = engine->stats();
    EXPECT_LE(stats.drafts_accepted, stats.drafts);
    accepted += stats.drafts_accepted;
  }
  EXPECT_GT(accepted, 50);  // else this has shown nothing
}

// Costs nothing, so that it is asked whenever the text itself tells less.
class FreeDrafter final : public Drafter {
 public:
  explicit FreeDrafter(std::unique_ptr<DraftModel> model) : model_(std::move(model)) {}
  void guess(std::span<DraftJob> jobs) override {
    model_->guess(jobs);
    for (const DraftJob& job : jobs) guessed += static_cast<std::int64_t>(job.drafts.size());
  }
  double round_s(std::int64_t, double) const override { return 0; }
  std::int64_t unseen(const Sequence& s) const override { return model_->unseen(s); }
  void forget(const Sequence& s) override { model_->forget(s); }
  std::int64_t guessed = 0;

 private:
  const std::unique_ptr<DraftModel> model_;
};

TEST_P(Speculating, NoDrafterChangesTheText) {
  const auto model = tiny_model(GetParam());
  const hearth::testing::TickingClock clock;
  for (const char* name : {"llama", "mistral", "gemma3_text"}) {
    SCOPED_TRACE(name);
    auto made = DraftModel::create(draft_for(*model, name), *model, 200, 4, 64 << 20);
    ASSERT_TRUE(made);
    const auto drafter = std::make_shared<FreeDrafter>(std::move(*made));
    auto groups = model->kv_groups();
    auto cache = model->backend().make_cache(groups, std::vector<std::int64_t>(groups.size(), 60));
    ASSERT_TRUE(cache);
    CoreOptions options;
    options.context = 200;
    options.eos = model->config().eos;
    options.drafter = drafter;
    EngineCore core(std::make_unique<KvPool>(std::move(*cache), groups),
                    std::make_unique<ModelRunner>(model), options, clock);
    core.enter_thread();
    const auto sink = std::make_shared<Collector>();
    std::vector<GenerateRequest> requests;
    std::mt19937 random(7);
    for (RequestId id = 1; id <= 12; ++id) {
      auto request = make_request(id, random_prompt(random, 5 + 10 * id), 40);
      request.choices = id % 4 == 0 ? 2 : 1;
      request.sampling.temperature = id % 2 == 0 ? 8.f : 0.f;
      request.sampling.seed = id;
      request.sampling.top_logprobs = 0;
      requests.push_back(request);
      auto state = std::make_shared<RequestState>();
      state->open_choices = request.choices;
      state->request = std::move(request);
      state->sink = sink;
      core.submit(std::move(state));
    }
    core.cancel(11, -1);
    while (!core.idle()) {
      core.plan();
      core.compute([] { return false; });
    }
    core.check_integrity();
    EXPECT_EQ(core.pool().pages_used(), 0);
    EngineOptions plain;
    plain.context = 200;
    plain.speculate = false;
    for (const GenerateRequest& request : requests) {
      if (request.id == 11) continue;
      const auto want = alone(model, plain, request);
      for (std::int32_t c = 0; c < request.choices; ++c)
        EXPECT_TRUE(same_text(sink->of(request.id, c), want[static_cast<std::size_t>(c)]))
            << request.id << " " << c;
    }
    EXPECT_GT(drafter->guessed, 100);
    EngineStats stats;
    core.fill(stats);
    // The model itself is never wrong as long as it is asked, at any temperature.
    if (name == std::string(GetParam())) {
      EXPECT_GT(stats.drafts_accepted, drafter->guessed / 2);
    }
  }
}

TEST(DraftModel, FollowsWhatBecameOfItsGuessesAndForgets) {
  const auto model = tiny_model("llama");
  auto drafter = DraftModel::create(draft_for(*model, "llama"), *model, 128, 1, 1);
  ASSERT_TRUE(drafter);
  const auto sequence = [&](std::vector<TokenId> tokens) {
    Sequence s;
    s.owner = std::make_shared<RequestState>();
    s.prompt_size = static_cast<std::int64_t>(tokens.size());
    s.tokens = std::move(tokens);
    return s;
  };
  const auto guess = [&](Sequence& s, std::int64_t wanted) {
    DraftJob job{&s, wanted, {}};
    (*drafter)->guess({&job, 1});
    return job.drafts;
  };
  std::mt19937 random(4);
  Sequence s = sequence(random_prompt(random, 20));
  const auto first = guess(s, 6);
  ASSERT_EQ(first.size(), 6u);
  // Two of them come true, then something else comes: as if it had never guessed.
  s.tokens.insert(s.tokens.end(), first.begin(), first.begin() + 2);
  s.tokens.push_back((first[2] + 1) % 256);
  EXPECT_EQ((*drafter)->unseen(s), 3);
  const auto second = guess(s, 4);
  Sequence fresh = sequence(s.tokens);
  fresh.prompt_size = s.prompt_size;
  EXPECT_EQ(second, guess(fresh, 4));
  (*drafter)->forget(s);
  (*drafter)->forget(s);
  EXPECT_EQ((*drafter)->unseen(s), 23);
  (*drafter)->forget(fresh);
  // No room: fewer guesses, and all of them once there is room again.
  Sequence longest = sequence(random_prompt(random, 150));
  EXPECT_LT(guess(longest, 16).size(), 16u);
  (*drafter)->forget(longest);
  EXPECT_EQ(guess(s, 4), second);
}

TEST(DraftModel, ItsCacheComesOutOfTheSameBytes) {
  const auto model = tiny_model("llama");
  for (const std::int64_t bytes : {4 << 20, 16 << 20}) {
    EngineOptions options;
    options.running_max = 1 << 20;  // as many pages as the bytes give
    options.cache_bytes = bytes;
    const auto alone = LocalEngine::create(model, options);
    options.draft = draft_for(*model, "llama");
    const auto both = LocalEngine::create(model, options);
    ASSERT_TRUE(alone && both);
    EXPECT_LE((*alone)->cache_bytes(), bytes);
    EXPECT_LE((*both)->cache_bytes(), bytes);
    EXPECT_GT((*both)->cache_bytes(), bytes * 9 / 10);
    EXPECT_LT((*both)->stats().pages_total, (*alone)->stats().pages_total * 9 / 10);
  }
}

// The tokens after a prompt, drawn many times with guesses and many times without: two samples of
// one distribution (Pearson's test of homogeneity).
TEST(Speculation, SamplingKeepsTheDistribution) {
  const auto model = tiny_model("llama");
  const hearth::testing::TickingClock clock;
  constexpr int kDraws = 2000;
  constexpr std::size_t kTokens = 12;
  std::vector<std::map<std::pair<TokenId, TokenId>, std::array<double, 2>>> seen(kTokens);
  for (const bool speculate : {false, true}) {
    EngineOptions options;
    options.context = 64;
    options.speculate = speculate;
    const auto engine = make_engine(model, options, clock);
    const auto sink = std::make_shared<Collector>();
    for (int i = 1; i <= kDraws; ++i) {
      auto request = make_request(static_cast<RequestId>(i), repeating(4, 40, 3), kTokens);
      request.sampling.temperature = 6.f;
      request.sampling.seed = static_cast<std::uint64_t>(speculate ? i : i + kDraws);
      say_only(request, 3);
      ASSERT_TRUE(engine->submit(std::move(request), sink));
      sink->wait(i);  // alone, so that guessing pays
    }
    for (int i = 1; i <= kDraws; ++i) {
      const auto tokens = sink->of(static_cast<RequestId>(i)).tokens;
      for (std::size_t t = 1; t < kTokens; ++t)
        ++seen[t][{tokens[t - 1], tokens[t]}][speculate ? 1 : 0];
    }
    if (speculate) {
      EXPECT_GT(engine->stats().drafts_accepted, kDraws);
      EXPECT_GT(engine->stats().drafts - engine->stats().drafts_accepted, kDraws);
    }
  }
  double chi2 = 0;
  int freedom = 0;
  for (const auto& pairs : seen)
    for (const auto& [pair, counts] : pairs) {
      const double expected = (counts[0] + counts[1]) / 2;
      if (expected < 10) continue;
      chi2 += 2 * (counts[0] - expected) * (counts[0] - expected) / expected;
      ++freedom;
    }
  ASSERT_GT(freedom, 20);
  // The mean is `freedom`, the deviation about sqrt(2 freedom): five of them are one in a million.
  EXPECT_LT(chi2, freedom + 5 * std::sqrt(2.0 * freedom));
}

TEST(Speculation, InACrowdNothingIsGuessedThatDoesNotPay) {
  SchedulerFixture f(4096, {4096, 64});
  Speculation speculation;
  StepCost cost;  // arithmetic alone: a row costs as much as any other
  for (std::int64_t rows : {1, 8, 64, 512}) cost.add(rows, 0.01 * static_cast<double>(rows));
  StepCost cheap;  // memory alone: rows are free
  for (std::int64_t rows : {1, 8, 64, 512}) cheap.add(rows, 0.01);
  std::vector<Sequence*> all;
  for (int i = 0; i < 8; ++i) {
    all.push_back(f.add(16, i));  // one token again and again: easy to guess
    all.back()->owner->request.max_tokens = 100;
    all.back()->drafts_accepted = 16;
  }
  f.step();
  const auto drafts = [&](const StepCost& by) {
    const auto slices = f.scheduler.plan();
    speculation.propose(slices, 512, 1000, by, f.scheduler);
    std::int64_t n = 0;
    for (Sequence* s : all) n += static_cast<std::int64_t>(s->drafts.size());
    carry_out(f.scheduler, *f.pool, slices);
    return n;
  };
  drafts(cost);  // their last token is another one by now
  EXPECT_EQ(drafts(cost), 0);
  EXPECT_EQ(drafts(cheap), Speculation::kStepDraftsMax);
}

TEST(Speculation, StopsGuessingWhereItIsWrongAndGoesOnWhereItIsRight) {
  SchedulerFixture f(4096, {4096, 64});
  StepCost cost;
  cost.add(1, 0.010);
  cost.add(17, 0.018);
  for (const bool right : {false, true}) {
    Speculation speculation;
    Sequence* s = f.add(16, 7);
    s->owner->request.max_tokens = 1000;
    f.step();
    std::int64_t drafted_late = 0;
    for (int step = 0; step < 60; ++step) {
      const auto slices = f.scheduler.plan();
      speculation.propose(slices, 512, 5000, cost, f.scheduler);
      const auto n = static_cast<std::int64_t>(s->drafts.size());
      if (step >= 40) drafted_late += n;
      if (n > 0) speculation.learn(s->draft_class, s, n, right ? n : 0);
      carry_out(f.scheduler, *f.pool, slices);  // one token that it said before
    }
    if (right)
      EXPECT_GT(drafted_late, 20 * 12);
    else
      EXPECT_LT(drafted_late, 20);
    f.scheduler.remove(s);
  }
}

TEST(Speculation, NoPagesNoGuesses) {
  // 16 tokens in pages of 4: the 17th has one page more, and there is no other.
  SchedulerFixture f(5, {4096, 64});
  StepCost cost;
  cost.add(1, 0.01);
  Speculation speculation;
  Sequence* s = f.add(16, 7);
  s->owner->request.max_tokens = 100;
  f.step();
  for (std::int64_t step = 0; step < 3; ++step) {
    const auto slices = f.scheduler.plan();
    speculation.propose(slices, 512, 1000, cost, f.scheduler);
    EXPECT_LE(static_cast<std::int64_t>(s->tokens.size() + s->drafts.size()), 20);
    f.scheduler.check_integrity();
    carry_out(f.scheduler, *f.pool, slices);
  }
  EXPECT_EQ(f.scheduler.preemptions(), 0);
}

}  // namespace
}  // namespace hearth::engine

#include "engine/local_engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <future>
#include <iterator>
#include <numeric>
#include <set>

#include "base/json.h"
#include "engine/engine_fixture.h"
#include "tensor/dtype.h"
#include "testing/fake_clock.h"

namespace hearth::engine {
namespace {

const std::shared_ptr<const model::Model>& llama() {
  static const std::shared_ptr<const model::Model> model = tiny_model("llama", {2});
  return model;
}

EngineOptions small_options() {
  EngineOptions options;
  options.context = 512;
  options.cache_bytes = 16 << 20;
  return options;
}

std::vector<TokenId> prompt_of(std::size_t size, unsigned seed = 1) {
  std::mt19937 random(seed);
  return random_prompt(random, size);
}

TEST(LocalEngine, GreedyTokensEqualTheReference) {
  for (const char* name : {"llama", "gemma3_text"}) {
    std::ifstream file(std::string(HEARTH_TEST_DATA "/tiny/") + name + "/reference.json");
    const auto reference = parse_json(std::string(std::istreambuf_iterator<char>(file), {}));
    ASSERT_TRUE(reference);
    const auto model = tiny_model(name, {2, backend::Precision::kF32, backend::KvCacheType::kF16});
    const auto heard =
        alone(model, small_options(),
              make_request(1, (*reference)["tokens"].get<std::vector<TokenId>>(), 16));
    EXPECT_EQ(heard[0].tokens, (*reference)["greedy_16"].get<std::vector<TokenId>>());
    EXPECT_EQ(heard[0].finish, FinishReason::kLength);
  }
}

TEST(LocalEngine, RefusesAtOnce) {
  const auto engine = make_engine(llama(), small_options());
  const auto sink = std::make_shared<Collector>();
  const auto code = [&](std::vector<TokenId> prompt) {
    const Status status = engine->submit(make_request(1, std::move(prompt), 1), sink);
    return status ? std::string("accepted") : status.error().code;
  };
  EXPECT_EQ(code({}), "invalid_prompt");
  EXPECT_EQ(code({1, 256}), "invalid_prompt");
  EXPECT_EQ(code({-1}), "invalid_prompt");
  EXPECT_EQ(code(prompt_of(512)), "context_length_exceeded");
  EXPECT_EQ(code(prompt_of(513)), "context_length_exceeded");
  EXPECT_EQ(engine->limits().context, 512);
  EXPECT_EQ(engine->limits().vocab, 256);
  EXPECT_EQ(code(prompt_of(511)), "accepted");
  sink->wait(1);
  sink->expect_single_ends(1);
  EXPECT_EQ(sink->of(1).tokens.size(), 1u);
}

TEST(LocalEngine, EndsAtMaxTokensOrWhereTheContextIsFull) {
  const auto one = alone(llama(), small_options(), make_request(1, prompt_of(9), 1));
  EXPECT_EQ(one[0].tokens.size(), 1u);
  EXPECT_EQ(one[0].finish, FinishReason::kLength);
  const auto many = alone(llama(), small_options(), make_request(1, prompt_of(9), 77));
  EXPECT_EQ(many[0].tokens.size(), 77u);
  EXPECT_EQ(many[0].tokens[0], one[0].tokens[0]);
  const auto full = alone(llama(), small_options(), make_request(1, prompt_of(500), 100));
  EXPECT_EQ(full[0].tokens.size(), 12u);
  EXPECT_EQ(full[0].finish, FinishReason::kLength);
}

TEST(LocalEngine, EndOfTextEndsUnlessIgnored) {
  const TokenId eos = llama()->config().eos.at(0);
  auto request = make_request(1, prompt_of(5), 6);
  request.sampling.logit_bias = {{eos, 100.f}};
  const auto ignored = alone(llama(), small_options(), request);
  EXPECT_EQ(ignored[0].tokens, std::vector<TokenId>(6, eos));
  EXPECT_EQ(ignored[0].finish, FinishReason::kLength);
  request.ignore_eos = false;
  request.choices = 3;
  for (const Heard& heard : alone(llama(), small_options(), request)) {
    EXPECT_TRUE(heard.tokens.empty());
    EXPECT_EQ(heard.finish, FinishReason::kStop);
  }
  // And it can be banned.
  request.sampling.logit_bias = {{eos, -100.f}};
  const auto without = alone(llama(), small_options(), request);
  EXPECT_EQ(without[0].tokens.size(), 6u);
  EXPECT_EQ(std::count(without[0].tokens.begin(), without[0].tokens.end(), eos), 0);
}

TEST(LocalEngine, LogprobsAreOfTheWholeDistribution) {
  auto request = make_request(1, prompt_of(20), 10);
  request.sampling.top_logprobs = 256;
  for (float temperature : {0.f, 1.5f}) {
    request.sampling.temperature = temperature;
    request.sampling.seed = 3;
    const auto heard = alone(llama(), small_options(), request)[0];
    ASSERT_EQ(heard.tokens.size(), 10u);
    for (std::size_t i = 0; i < heard.tokens.size(); ++i) {
      const auto& top = heard.top[i];
      ASSERT_EQ(top.size(), 256u);
      double sum = 0;
      for (const auto& t : top) sum += std::exp(static_cast<double>(t.logprob));
      EXPECT_NEAR(sum, 1, 1e-4);
      EXPECT_TRUE(std::is_sorted(top.begin(), top.end(), [](const auto& a, const auto& b) {
        return a.logprob > b.logprob;
      }));
      const auto chosen = std::find_if(top.begin(), top.end(),
                                       [&](const auto& t) { return t.id == heard.tokens[i]; });
      ASSERT_NE(chosen, top.end());
      EXPECT_EQ(chosen->logprob, heard.logprobs[i]);
      if (temperature == 0.f) EXPECT_EQ(chosen, top.begin());
    }
  }
  request.sampling.top_logprobs = 0;
  const auto none = alone(llama(), small_options(), request)[0];
  EXPECT_TRUE(none.top[0].empty());
  EXPECT_LT(none.logprobs[0], 0.f);
}

// As the logits of the reference follow from it: they are its product with the head's rows.
TEST(LocalEngine, AnEmbeddingIsTheHiddenStateOfTheLastToken) {
  const auto model = tiny_model("llama", {1, backend::Precision::kF32});
  std::mt19937 random(5);
  const std::vector<TokenId> prompt = random_prompt(random, 70);
  GenerateRequest request = make_request(1, prompt, 1);
  request.embed = true;
  const Heard heard = alone(model, {}, request).front();
  EXPECT_EQ(heard.finish, FinishReason::kStop);
  EXPECT_TRUE(heard.tokens.empty());
  const std::int64_t width = model->config().d_model;
  ASSERT_EQ(heard.embedding.size(), static_cast<std::size_t>(width));

  GenerateRequest next = make_request(2, prompt, 1);
  next.sampling.top_logprobs = 20;
  const std::vector<TokenLogprob> top = alone(model, {}, next).front().top.front();
  const TensorView* head = model->source().weights->find("lm_head.weight");
  if (head == nullptr) head = model->source().weights->find("model.embed_tokens.weight");
  ASSERT_NE(head, nullptr);
  const std::int64_t row_size = *row_bytes(head->dtype, width);
  std::vector<float> row(static_cast<std::size_t>(width));
  std::vector<double> logits;
  for (const TokenLogprob& t : top) {
    dequantize(head->dtype, head->data.data() + t.id * row_size, row.data(), width);
    logits.push_back(std::inner_product(row.begin(), row.end(), heard.embedding.begin(), 0.0));
  }
  for (std::size_t i = 1; i < top.size(); ++i)
    EXPECT_NEAR(logits[i] - logits[0], top[i].logprob - top[0].logprob, 1e-4) << i;
}

// Embeddings beside texts, in one batch, are what each is alone; the pages come back.
TEST(LocalEngine, EmbeddingsDoNotDependOnTheirNeighbours) {
  const auto model = tiny_model("gemma3_text");
  std::mt19937 random(6);
  std::vector<GenerateRequest> requests;
  std::vector<Heard> expected;
  for (RequestId id = 1; id <= 12; ++id) {
    requests.push_back(make_request(id, random_prompt(random, 1 + random() % 90), 8));
    requests.back().embed = id % 3 != 0;
    expected.push_back(alone(model, {}, requests.back()).front());
    EXPECT_EQ(expected.back().embedding.empty(), !requests.back().embed);
  }
  EngineOptions options;
  options.batch_tokens_max = 64;
  const auto engine = make_engine(model, options);
  const auto sink = std::make_shared<Collector>();
  for (const GenerateRequest& request : requests) ASSERT_TRUE(engine->submit(request, sink));
  sink->wait(12);
  for (RequestId id = 1; id <= 12; ++id) {
    EXPECT_EQ(sink->of(id).embedding, expected[id - 1].embedding) << id;
    EXPECT_TRUE(same_text(sink->of(id), expected[id - 1])) << id;
  }
  sink->expect_single_ends(12);
  expect_empty(*engine);
}

TEST(LocalEngine, SeedsGiveTheSameTextAgainAndOthersAnother) {
  auto request = make_request(1, prompt_of(20), 30);
  request.sampling.temperature = 1.f;
  std::set<std::vector<TokenId>> texts;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    request.sampling.seed = seed;
    request.id = seed + 1;
    const auto first = alone(llama(), small_options(), request)[0];
    request.id = seed + 100;  // not part of it
    EXPECT_EQ(alone(llama(), small_options(), request)[0].tokens, first.tokens);
    EXPECT_TRUE(texts.insert(first.tokens).second);
  }
}

// The events are sent from the engine's own thread: what the sink does there comes at a known step.
TEST(LocalEngine, CancelEndsEachChoiceOnceAndFreesThePages) {
  const auto engine = make_engine(llama(), small_options());
  const auto sink = std::make_shared<Collector>();
  sink->react = [&, n = 0](const Event& event) mutable {
    if (event.request == 1 && event.token && ++n == 10) engine->cancel(1);
  };
  auto request = make_request(1, prompt_of(70), 400);
  request.choices = 3;
  ASSERT_TRUE(engine->submit(request, sink));
  sink->wait(3);
  std::size_t tokens = 0;
  for (std::int32_t c = 0; c < 3; ++c) {
    EXPECT_EQ(sink->of(1, c).finish, FinishReason::kCancelled);
    tokens += sink->of(1, c).tokens.size();
  }
  EXPECT_LE(tokens, 12u);  // those of that step
  expect_empty(*engine);
  engine->cancel(1);  // of no effect, as are strangers
  engine->cancel(99);
  engine->cancel_choice(1, 2);
  ASSERT_TRUE(engine->submit(make_request(2, prompt_of(3), 5), sink));
  sink->wait(4);
  EXPECT_EQ(sink->of(2).tokens.size(), 5u);
  sink->expect_single_ends(4);
}

TEST(LocalEngine, CancelOfOneChoiceLeavesTheOthers) {
  auto request = make_request(1, prompt_of(70), 40);
  request.choices = 4;
  request.sampling.temperature = 1.f;
  const auto want = alone(llama(), small_options(), request);
  const auto engine = make_engine(llama(), small_options());
  const auto sink = std::make_shared<Collector>();
  sink->react = [&, n = 0](const Event& event) mutable {
    if (event.choice == 2 && event.token && ++n == 5) engine->cancel_choice(1, 2);
  };
  ASSERT_TRUE(engine->submit(request, sink));
  sink->wait(4);
  for (std::int32_t c : {0, 1, 3})
    EXPECT_EQ(sink->of(1, c).tokens, want[static_cast<std::size_t>(c)].tokens);
  EXPECT_EQ(sink->of(1, 2).tokens.size(), 5u);
  EXPECT_EQ(sink->of(1, 2).finish, FinishReason::kCancelled);
  sink->expect_single_ends(4);
  expect_empty(*engine);
}

// Before the prompt is computed there are no separate choices yet.
TEST(LocalEngine, CancelOfAChoiceBeforeTheFirstToken) {
  auto request = make_request(2, prompt_of(70), 8);
  request.choices = 4;
  request.sampling.temperature = 1.f;
  const auto want = alone(llama(), small_options(), request);
  for (const std::vector<std::int32_t>& gone :
       std::vector<std::vector<std::int32_t>>{{0}, {3}, {0, 2}, {1, 1, 7}, {0, 1, 2, 3}}) {
    const auto engine = make_engine(llama(), small_options());
    const auto sink = std::make_shared<Collector>();
    // In the hands of the first request's last event: submission and cancels arrive together.
    sink->react = [&](const Event& event) {
      if (event.request != 1) return;
      EXPECT_TRUE(engine->submit(request, sink));
      for (std::int32_t c : gone) engine->cancel_choice(2, c);
    };
    ASSERT_TRUE(engine->submit(make_request(1, prompt_of(4), 1), sink));
    sink->wait(5);
    for (std::int32_t c = 0; c < 4; ++c) {
      const Heard heard = sink->of(2, c);
      if (std::find(gone.begin(), gone.end(), c) == gone.end()) {
        EXPECT_TRUE(same_text(heard, want[static_cast<std::size_t>(c)])) << c;
      } else {
        EXPECT_EQ(heard.finish, FinishReason::kCancelled) << c;
        EXPECT_TRUE(heard.tokens.empty());
      }
    }
    sink->expect_single_ends(5);
    expect_empty(*engine);
  }
}

TEST(LocalEngine, DeadlineEndsWithAnError) {
  testing::FakeClock clock;
  const auto engine = make_engine(llama(), small_options(), clock);
  const auto sink = std::make_shared<Collector>();
  sink->react = [&, n = 0](const Event& event) mutable {
    if (event.request == 1 && event.token && ++n == 4) clock.advance(std::chrono::seconds(2));
  };
  auto request = make_request(1, prompt_of(40), 400);
  request.choices = 2;
  request.deadline_ns = (clock.now().time_since_epoch() + std::chrono::seconds(2)).count();
  ASSERT_TRUE(engine->submit(request, sink));
  sink->wait(2);
  for (std::int32_t c = 0; c < 2; ++c) {
    EXPECT_EQ(sink->of(1, c).finish, FinishReason::kError);
    ASSERT_TRUE(sink->of(1, c).error);
    EXPECT_EQ(sink->of(1, c).error->code, "deadline_exceeded");
    EXPECT_EQ(sink->of(1, c).error->kind, ErrorKind::kTimeout);
    EXPECT_LE(sink->of(1, c).tokens.size(), 4u);
  }
  // Over before it begins: no token, but an end for each choice.
  request.id = 2;
  ASSERT_TRUE(engine->submit(request, sink));
  sink->wait(4);
  EXPECT_EQ(sink->of(2, 1).error->code, "deadline_exceeded");
  EXPECT_TRUE(sink->of(2, 0).tokens.empty());
  sink->expect_single_ends(4);
  expect_empty(*engine);
}

// Fault 35: somebody sets the civil time, forwards and back, while a request with a deadline runs.
TEST(LocalEngine, DeadlinesDoNotNoticeThatTheClockIsSet) {
  testing::FakeClock clock;
  const auto engine = make_engine(llama(), small_options(), clock);
  const auto sink = std::make_shared<Collector>();
  sink->react = [&, n = 0](const Event& event) mutable {
    if (!event.token) return;
    if (++n == 2) clock.jump_wall(std::chrono::hours(1));
    if (n == 4) clock.jump_wall(-std::chrono::hours(2));
  };
  auto request = make_request(1, prompt_of(40), 20);
  request.deadline_ns = (clock.now().time_since_epoch() + std::chrono::seconds(2)).count();
  ASSERT_TRUE(engine->submit(request, sink));
  sink->wait(1);
  EXPECT_EQ(sink->of(1).finish, FinishReason::kLength);
  EXPECT_EQ(sink->of(1).tokens.size(), 20u);
  EXPECT_EQ(sink->of(1).timings.decode_ns, 0);  // measured on the clock that nobody has moved
}

TEST(LocalEngine, TheQueueIsBoundedBeyondWhatRuns) {
  EngineOptions options = small_options();
  options.queue_requests_max = 2;
  options.running_max = 1;
  const auto engine = make_engine(llama(), options);
  const auto sink = std::make_shared<Collector>();
  HoldAtFirstEvent hold(*sink);
  ASSERT_TRUE(engine->submit(make_request(1, prompt_of(4), 5), sink));
  hold.wait_reached();
  EXPECT_TRUE(engine->submit(make_request(2, prompt_of(4), 5), sink));
  EXPECT_TRUE(engine->submit(make_request(3, prompt_of(4), 5), sink));
  const Status refused = engine->submit(make_request(4, prompt_of(4), 5), sink);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "queue_full");
  EXPECT_EQ(refused.error().kind, ErrorKind::kExhausted);
  hold.release();
  sink->wait(3);
  expect_empty(*engine);
  ASSERT_TRUE(engine->submit(make_request(5, prompt_of(4), 5), sink));
  sink->wait(4);
  sink->expect_single_ends(4);
}

TEST(LocalEngine, DestructionEndsWhatIsOpen) {
  EngineOptions options = small_options();
  options.running_max = 3;
  const auto sink = std::make_shared<Collector>();
  auto engine = make_engine(llama(), options);
  std::promise<void> running;
  sink->react = [&, n = 0](const Event& event) mutable {
    if (event.request == 1 && n++ == 2) running.set_value();
  };
  for (RequestId id = 1; id <= 8; ++id) {
    auto request = make_request(id, prompt_of(20, static_cast<unsigned>(id)), 490);
    request.choices = 2;
    ASSERT_TRUE(engine->submit(request, sink));
  }
  running.get_future().wait();
  engine.reset();
  sink->expect_single_ends(16);
  EXPECT_EQ(sink->of(8, 1).finish, FinishReason::kCancelled);
}

// The engine is stopped while requests lie in its mailbox that it has not looked at.
TEST(LocalEngine, DestructionEndsWhatWasNeverLookedAt) {
  const auto sink = std::make_shared<Collector>();
  auto engine = make_engine(llama(), small_options());
  HoldAtFirstEvent hold(*sink);
  ASSERT_TRUE(engine->submit(make_request(1, prompt_of(4), 50), sink));
  hold.wait_reached();
  RequestId last = 4;
  for (RequestId id = 2; id <= last; ++id)
    ASSERT_TRUE(engine->submit(make_request(id, prompt_of(4), 50), sink));
  LocalEngine& stopping = *engine;
  std::thread destroyer([&] { engine.reset(); });
  // It refuses once it knows that it is to stop; what it took before that counts.
  while (stopping.submit(make_request(last + 1, prompt_of(4), 50), sink)) ++last;
  hold.release();
  destroyer.join();
  sink->expect_single_ends(last);
  EXPECT_EQ(sink->of(last).finish, FinishReason::kCancelled);
}

TEST(LocalEngine, RandomCancelsFromElsewhere) {
  std::mt19937 random(31);
  EngineOptions options = small_options();
  options.context = 200;
  options.cache_bytes = 1;  // one context: pages are short all the time
  options.running_max = 10;
  options.batch_tokens_max = 50;
  const auto engine = make_engine(llama(), options);
  const auto sink = std::make_shared<Collector>();
  int choices = 0;
  constexpr RequestId kRequests = 120;
  for (RequestId id = 1; id <= kRequests; ++id) {
    auto request = make_request(id, random_prompt(random, 1 + random() % 90),
                                static_cast<std::int32_t>(1 + random() % 60));
    request.choices = static_cast<std::int32_t>(1 + random() % 5);
    choices += request.choices;
    ASSERT_TRUE(engine->submit(std::move(request), sink));
    for (int i = 0; i < 2; ++i) {
      const RequestId victim = 1 + random() % id;
      if (random() % 4 == 0)
        engine->cancel(victim);
      else
        engine->cancel_choice(victim, static_cast<std::int32_t>(random() % 5));
    }
    if (id % 8 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
  }
  sink->wait(choices);
  expect_empty(*engine);
  sink->expect_single_ends(static_cast<std::size_t>(choices));
}

TEST(LocalEngine, CountsAndTimes) {
  const auto engine = make_engine(llama(), small_options());
  const auto sink = std::make_shared<Collector>();
  std::vector<std::int64_t> made;
  sink->react = [&](const Event& event) { made.push_back(event.made_ns); };
  const std::int64_t submitted = Clock::system().now().time_since_epoch().count();
  ASSERT_TRUE(engine->submit(make_request(1, prompt_of(50), 7), sink));
  sink->wait(1);
  expect_empty(*engine);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.steps.rows, 50 + 6);  // the last token is not computed any more
  EXPECT_EQ(stats.steps.counts[0], 6);  // one row
  EXPECT_EQ(stats.steps.counts[4], 1);  // 33 to 64 rows
  EXPECT_EQ(std::accumulate(stats.steps.counts.begin(), stats.steps.counts.end(), 0), 7);
  EXPECT_EQ(stats.prompt_tokens, 50);
  EXPECT_EQ(stats.generated_tokens, 7);
  EXPECT_TRUE(stats.healthy);
  EXPECT_GE(stats.pages_total * 32, 512);
  const Timings timings = sink->of(1).timings;
  EXPECT_GE(timings.queued_ns, 0);
  EXPECT_GT(timings.prefill_ns, 0);
  EXPECT_GT(timings.decode_ns, 0);
  ASSERT_EQ(made.size(), 7u);
  EXPECT_TRUE(std::is_sorted(made.begin(), made.end()));
  EXPECT_GE(made.front(), submitted + timings.queued_ns + timings.prefill_ns);
  EXPECT_EQ(made.back() - made.front(), timings.decode_ns);
}

// Pages are of 32 tokens; the last token of a prompt is always computed.
TEST(LocalEngine, PromptsThatBeginAlikeAreComputedOnce) {
  const auto engine = make_engine(tiny_model("llama"), {});
  const auto sink = std::make_shared<Collector>();
  std::mt19937 random(5);
  const std::vector<TokenId> first = random_prompt(random, 96);
  int ends = 0;
  const auto ask = [&](std::vector<TokenId> prompt, const std::string& salt, int choices = 1) {
    auto request = make_request(static_cast<RequestId>(ends) + 1, std::move(prompt), 40);
    request.tenant_salt = salt;
    request.choices = choices;
    const RequestId id = request.id;
    EXPECT_TRUE(engine->submit(std::move(request), sink));
    ends += choices;
    sink->wait(ends);
    std::int32_t cached = 0;
    for (int c = 0; c < choices; ++c) cached = std::max(cached, sink->of(id, c).cached_tokens);
    return cached;
  };
  EXPECT_EQ(ask(first, "a"), 0);
  EXPECT_EQ(ask(first, "a"), 64);
  EXPECT_EQ(ask(first, "b"), 0);
  EXPECT_EQ(ask(first, "a", 3), 64);  // what the choices share among themselves is not counted
  std::vector<TokenId> turn =
      first;  // the next turn of a conversation: what was answered, and more
  const std::vector<TokenId> answer = sink->of(1).tokens;
  turn.insert(turn.end(), answer.begin(), answer.end());
  turn.push_back(1);
  EXPECT_EQ(ask(turn, "a"), 128);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.prefix_queries, 4 * 96 + 137);
  EXPECT_EQ(stats.prefix_hits, 2 * 64 + 128);
  expect_empty(*engine);
  EXPECT_GT(engine->stats().pages_kept, 0);
}

TEST(LocalEngine, NothingIsKeptWhereNothingMayBe) {
  EngineOptions options;
  options.prefix_cache_bytes = 0;
  const auto engine = make_engine(tiny_model("llama"), options);
  const auto sink = std::make_shared<Collector>();
  for (RequestId id : {1, 2}) {
    ASSERT_TRUE(engine->submit(make_request(id, std::vector<TokenId>(100, 5), 4), sink));
    sink->wait(static_cast<int>(id));
    EXPECT_EQ(sink->of(id).cached_tokens, 0);
  }
  expect_empty(*engine);
  EXPECT_EQ(engine->stats().pages_kept, 0);
}

TEST(StepRows, CountsByTheFirstBoundThatIsNotExceeded) {
  StepRows steps;
  for (const std::int64_t rows : {1, 2, 8, 9, 16384, 16385}) steps.add(rows);
  EXPECT_EQ(steps.counts[0], 1);
  EXPECT_EQ(steps.counts[1], 2);
  EXPECT_EQ(steps.counts[2], 1);
  EXPECT_EQ(steps.counts[12], 1);
  EXPECT_EQ(steps.counts[13], 1);
  EXPECT_EQ(steps.rows, 1 + 2 + 8 + 9 + 16384 + 16385);
}

}  // namespace
}  // namespace hearth::engine

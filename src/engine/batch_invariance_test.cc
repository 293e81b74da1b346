// A request's text does not depend on what else runs, on how its prompt is cut, on threads, on
// lost pages or on what the cache of prefixes had of it: tokens and the bits of their log
// probabilities.
#include <gtest/gtest.h>

#include <tuple>

#include "engine/engine_fixture.h"

namespace hearth::engine {
namespace {

using backend::KvCacheType;
using backend::Precision;

struct Setting {
  int threads;
  std::int64_t batch_tokens;
  bool tight;  // memory for one full context only
};
constexpr Setting kSettings[] = {
    {1, 1, false}, {2, 7, true},     {3, 64, true}, {2, 4096, true},
    {1, 7, false}, {3, 4096, false}, {2, 1, true},  {1, 64, true},
};
constexpr std::int64_t kContext = 160;
constexpr int kRequests = 32;

EngineOptions options_of(const Setting& setting) {
  EngineOptions options;
  options.context = kContext;
  options.batch_tokens_max = setting.batch_tokens;
  options.running_max = 40;
  options.cache_bytes = setting.tight ? 1 : 64 << 20;
  options.prefix_cache_bytes = 64 << 20;
  return options;
}

class Invariance : public testing::TestWithParam<std::tuple<const char*, Precision, KvCacheType>> {
 protected:
  std::shared_ptr<const model::Model> load(int threads) const {
    return tiny_model(std::get<0>(GetParam()),
                      {threads, std::get<1>(GetParam()), std::get<2>(GetParam())});
  }
};
std::string name_of(
    const testing::TestParamInfo<std::tuple<const char*, Precision, KvCacheType>>& p) {
  constexpr const char* kTypes[] = {"auto", "f16", "bf16", "int8"};
  return std::string(std::get<0>(p.param)) +
         (std::get<1>(p.param) == Precision::kF32 ? "_f32_" : "_default_") +
         kTypes[static_cast<int>(std::get<2>(p.param))];
}
INSTANTIATE_TEST_SUITE_P(Models, Invariance,
                         testing::Combine(testing::Values("llama", "gemma3_text", "quantized"),
                                          testing::Values(Precision::kDefault, Precision::kF32),
                                          testing::Values(KvCacheType::kF16, KvCacheType::kBF16,
                                                          KvCacheType::kInt8)),
                         name_of);

// Lengths around the page (32) and the window (16), some greedy, some not, one with four choices.
std::vector<GenerateRequest> requests() {
  std::mt19937 random(23);
  const std::vector<TokenId> common = random_prompt(random, 40);  // a page and a part
  std::vector<GenerateRequest> out;
  for (int i = 0; i < kRequests; ++i) {
    const bool several = i == 5 || i == 7;  // greedy and not
    // 52: choices start again at 32, within whose window lies the page that choice 0 needs no more.
    const std::size_t size = several ? 52 : 1 + random() % 70;
    auto request = make_request(static_cast<RequestId>(i) + 1, random_prompt(random, size),
                                static_cast<std::int32_t>(4 + random() % 40));
    if (size > common.size() && i % 3 != 0)
      std::copy(common.begin(), common.end(), request.prompt.begin());
    request.sampling.top_logprobs = 0;
    if (i % 4 == 3) {
      request.sampling.temperature = 8.f;  // the random weights are sure of themselves
      request.sampling.seed = random();
      request.sampling.presence_penalty = 0.5f;
    }
    if (several) request.choices = 4;
    out.push_back(std::move(request));
  }
  return out;
}

TEST_P(Invariance, TextDoesNotDependOnNeighboursChunksThreadsOrMemory) {
  const auto all = requests();
  std::vector<std::vector<Heard>> want;
  const auto reference = load(1);
  for (const auto& request : all)
    want.push_back(alone(reference, options_of({1, 4096, false}), request));
  for (std::int32_t c = 1; c < 4; ++c) {
    EXPECT_TRUE(same_text(want[5][static_cast<std::size_t>(c)], want[5][0]));  // greedy
    EXPECT_NE(want[7][static_cast<std::size_t>(c)].tokens, want[7][0].tokens);
  }
  for (std::size_t i : {std::size_t{5}, std::size_t{7}}) {
    auto single = all[i];
    single.choices = 1;
    EXPECT_TRUE(same_text(alone(reference, options_of({1, 4096, false}), single)[0], want[i][0]));
  }

  std::int64_t preemptions = 0;
  for (const Setting& setting : kSettings) {
    SCOPED_TRACE(testing::Message() << setting.threads << " threads, " << setting.batch_tokens
                                    << " rows, tight " << setting.tight);
    const auto engine = make_engine(load(setting.threads), options_of(setting));
    const auto sink = std::make_shared<Collector>();
    int choices = 0;
    // The second wave finds what the first has left. A row a step is slow and shows nothing more.
    const int waves = setting.batch_tokens == 1 ? 1 : 2;
    for (int wave = 0; wave < waves; ++wave) {
      for (GenerateRequest request : all) {
        request.id += static_cast<RequestId>(wave) * kRequests;
        choices += request.choices;
        ASSERT_TRUE(engine->submit(std::move(request), sink));
      }
      sink->wait(choices);
      sink->expect_single_ends(static_cast<std::size_t>(choices));
      for (std::size_t i = 0; i < all.size(); ++i)
        for (std::int32_t c = 0; c < all[i].choices; ++c) {
          const RequestId id = all[i].id + static_cast<RequestId>(wave) * kRequests;
          EXPECT_TRUE(same_text(sink->of(id, c), want[i][static_cast<std::size_t>(c)]))
              << "wave " << wave << " request " << i << " choice " << c;
        }
      expect_empty(*engine);
    }
    EXPECT_GT(engine->stats().prefix_hits, 0);
    if (!setting.tight && waves > 1) {
      EXPECT_GT(engine->stats().prefix_hits, engine->stats().prefix_queries / 4);
    }
    if (setting.tight)
      preemptions += engine->stats().preemptions;
    else
      EXPECT_EQ(engine->stats().preemptions, 0);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(preemptions, 0);  // else the tight settings have shown nothing
}

}  // namespace
}  // namespace hearth::engine

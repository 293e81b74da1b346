// Output that is not a number ends the request it belongs to, and touches nothing else.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>

#include "base/json.h"
#include "engine/engine_fixture.h"
#include "testing/temp_folder.h"

namespace hearth::engine {
namespace {

constexpr TokenId kPoison = 7;  // its embedding is NaN, and so is all that is computed from it

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::shared_ptr<const model::Model> poisoned_llama(backend::Precision precision) {
  const std::string original = HEARTH_TEST_DATA "/tiny/llama/";
  const hearth::testing::TempFolder folder;
  folder.write("config.json", read_file(original + "config.json"));
  std::string tensors = read_file(original + "model.safetensors");
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, tensors.data(), sizeof header_size);
  const auto header = parse_json(tensors.substr(sizeof header_size, header_size));
  EXPECT_TRUE(header);
  const Json& embedding = (*header)["model.embed_tokens.weight"];
  const auto row_bytes = embedding["shape"][1].get<std::size_t>() * sizeof(float);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(&tensors[sizeof header_size + header_size +
                       embedding["data_offsets"][0].get<std::size_t>() + kPoison * row_bytes],
              &nan, sizeof nan);
  folder.write("model.safetensors", tensors);
  return tiny_model(folder.path(), {2, precision});
}

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
    const Heard heard = sink->of(200);
    EXPECT_EQ(heard.finish, FinishReason::kError);
    EXPECT_EQ(heard.tokens, std::vector<TokenId>{kPoison});
    expect_empty(*engine);
    sink->expect_single_ends(static_cast<std::size_t>(ends + 1));
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, NotFinite,
                         ::testing::Values(backend::Precision::kDefault, backend::Precision::kF32));

}  // namespace
}  // namespace hearth::engine

// /v1/chat/completions and /v1/completions.
#include <map>

#include "api/app_fixture.h"

namespace hearth::api {
namespace {

TEST(Chat, AnswersLikeOpenAi) {
  Service service(says("hi!"));
  const Json answer =
      service.post("/v1/chat/completions",
                   R"({"model":"default","messages":[{"role":"user","content":"x"}],"n":2,
          "logprobs":true,"top_logprobs":2})");
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_TRUE(answer["id"].get<std::string>().starts_with("chatcmpl-"));
  EXPECT_EQ(answer["model"], "org/first");
  ASSERT_EQ(answer["choices"].size(), 2u);
  const Json& choice = answer["choices"][1];
  EXPECT_EQ(choice["index"], 1);
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_EQ(choice["message"]["content"], "hi!");
  EXPECT_EQ(choice["finish_reason"], "stop");
  ASSERT_EQ(choice["logprobs"]["content"].size(), 3u);
  const Json& token = choice["logprobs"]["content"][0];
  EXPECT_EQ(token["token"], "h");
  EXPECT_EQ(token["bytes"], Json::array({'h'}));
  EXPECT_EQ(token["top_logprobs"].size(), 2u);
  EXPECT_EQ(answer["usage"]["completion_tokens"], 6);
  EXPECT_EQ(service.engine->last_request().sampling.temperature, 1.f);
  EXPECT_EQ(service.engine->last_request().choices, 2);
}

TEST(Chat, StreamsRoleTextFinishUsage) {
  Service service(says("ab"));
  const auto events =
      service.events("/v1/chat/completions",
                     R"({"messages":[{"role":"user","content":"x"}],"stream":true,"logprobs":true,
          "stream_options":{"include_usage":true}})");
  ASSERT_EQ(events.size(), 6u);
  const Json role = *parse_json(events[0]);
  EXPECT_EQ(role["object"], "chat.completion.chunk");
  EXPECT_EQ(role["choices"][0]["delta"], Json({{"role", "assistant"}, {"content", ""}}));
  EXPECT_TRUE(role["usage"].is_null());
  const Json text = *parse_json(events[1]);
  EXPECT_EQ(text["choices"][0]["delta"], Json({{"content", "a"}}));
  EXPECT_TRUE(text["choices"][0]["finish_reason"].is_null());
  EXPECT_EQ(text["choices"][0]["logprobs"]["content"].size(), 1u);
  const Json finish = *parse_json(events[3]);
  EXPECT_EQ(finish["choices"][0]["delta"], Json::object());
  EXPECT_EQ(finish["choices"][0]["finish_reason"], "stop");
  const Json usage = *parse_json(events[4]);
  EXPECT_EQ(usage["choices"], Json::array());
  EXPECT_EQ(usage["usage"]["completion_tokens"], 2);
  EXPECT_EQ(events[5], "[DONE]");
  // Without include_usage there is no usage at all.
  for (const std::string& event :
       service.events("/v1/chat/completions",
                      R"({"messages":[{"role":"user","content":"x"}],"stream":true})")) {
    EXPECT_EQ(event.find("usage"), std::string::npos);
  }
}

TEST(Chat, ChoicesStreamUnderTheirIndex) {
  SimulatedOptions options;
  options.script = [](const engine::GenerateRequest&, int choice) {
    return Script{bytes_of(std::string(static_cast<std::size_t>(choice + 1), 'x')),
                  FinishReason::kStop, std::nullopt};
  };
  Service service(options);
  std::map<int, std::string> texts;
  int finished = 0;
  for (const std::string& event :
       service.events("/v1/chat/completions",
                      R"({"messages":[{"role":"user","content":"x"}],"stream":true,"n":3})")) {
    if (event == "[DONE]") continue;
    const Json choice = (*parse_json(event))["choices"][0];
    if (choice["delta"].contains("content")) {
      texts[choice["index"].get<int>()] += choice["delta"]["content"].get<std::string>();
    }
    finished += !choice["finish_reason"].is_null();
  }
  EXPECT_EQ(texts, (std::map<int, std::string>{{0, "x"}, {1, "xx"}, {2, "xxx"}}));
  EXPECT_EQ(finished, 3);
}

TEST(Chat, DefaultLengthIsWhatTheContextLeaves) {
  Service service(says("x"));
  service.post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}]})");
  const engine::GenerateRequest request = service.engine->last_request();
  EXPECT_EQ(static_cast<std::int64_t>(request.prompt.size()) + request.max_tokens, 512);
}

TEST(Completions, LogprobsHaveTheOldForm) {
  Service service(says("h\xc3\xa9y"));
  const Json answer =
      service.post("/v1/completions", R"({"prompt":"p","logprobs":1,"max_tokens":10})");
  EXPECT_EQ(answer["object"], "text_completion");
  EXPECT_TRUE(answer["id"].get<std::string>().starts_with("cmpl-"));
  const Json& logprobs = answer["choices"][0]["logprobs"];
  EXPECT_EQ(answer["choices"][0]["text"], "h\xc3\xa9y");
  EXPECT_EQ(logprobs["tokens"].size(), 4u);
  EXPECT_EQ(logprobs["tokens"][0], "h");
  EXPECT_EQ(logprobs["token_logprobs"][0], -0.5);
  EXPECT_EQ(logprobs["top_logprobs"][0]["h"], -0.5);
  EXPECT_EQ(logprobs["text_offset"], Json::array({0, 1, 2, 2}));  // in code points
  EXPECT_TRUE(
      service.post("/v1/completions", R"({"prompt":"p"})")["choices"][0]["logprobs"].is_null());
}

// Two halves of code points must not become the same key.
TEST(Completions, LogprobsSpellOutBytesThatAreNoText) {
  Service service(says("\xc3\xa9"));
  const Json answer =
      service.post("/v1/completions", R"({"prompt":"p","logprobs":1,"max_tokens":10})");
  const Json& logprobs = answer["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json::array({"bytes:\\xc3", "bytes:\\xa9"}));
  EXPECT_EQ(logprobs["top_logprobs"][1]["bytes:\\xa9"], -0.5);
}

TEST(Completions, LogprobsOfAStreamComeWithTheirText) {
  Service service(says("aSTb"));
  std::vector<std::string> tokens;
  std::string text;
  for (const std::string& event : service.events(
           "/v1/completions", R"({"prompt":"p","logprobs":0,"stream":true,"stop":"STOP"})")) {
    if (event == "[DONE]") continue;
    const Json choice = (*parse_json(event))["choices"][0];
    text += choice["text"].get<std::string>();
    for (const Json& token : choice["logprobs"]["tokens"]) tokens.push_back(token);
  }
  EXPECT_EQ(text, "aSTb");
  EXPECT_EQ(tokens, (std::vector<std::string>{"a", "S", "T", "b"}));
}

}  // namespace
}  // namespace hearth::api

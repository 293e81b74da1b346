#include "api/schema.h"

#include <gtest/gtest.h>

namespace hearth::api {
namespace {

net::HttpRequest with_body(std::string body) {
  net::HttpRequest request;
  request.body = std::move(body);
  return request;
}

// The error's code and field, or "" if the body is accepted.
template <class Call>
std::string verdict(Parsed<Call> (*parse)(const Document&), const net::HttpRequest& request,
                    bool query) {
  const auto document = read_document(request, query);
  if (!document) return document.error().error.code + " " + document.error().param;
  const auto call = parse(*document);
  return call ? "" : call.error().error.code + " " + call.error().param;
}

std::string generate(std::string body) {
  return verdict(parse_generate, with_body(std::move(body)), true);
}
std::string complete(const std::string& more) {
  return verdict(parse_completion, with_body(R"({"prompt":"x")" + more + "}"), false);
}
std::string chat(const std::string& more) {
  return verdict(parse_chat,
                 with_body(R"({"messages":[{"role":"user","content":"x"}])" + more + "}"), false);
}
std::string messages(const std::string& list) {
  return verdict(parse_chat, with_body(R"({"messages":)" + list + "}"), false);
}

TEST(Schema, Defaults) {
  const auto generate_call = parse_generate(*read_document(with_body(R"({"prompt":"hi"})"), true));
  ASSERT_TRUE(generate_call.has_value());
  EXPECT_EQ(generate_call->prompt, "hi");
  EXPECT_EQ(generate_call->params.max_tokens, 200);
  EXPECT_EQ(generate_call->params.sampling.temperature, 0.f);
  EXPECT_EQ(generate_call->params.sampling.top_logprobs, -1);
  EXPECT_EQ(generate_call->params.choices, 1);

  const auto completion = parse_completion(*read_document(with_body(R"({"prompt":"hi"})"), false));
  ASSERT_TRUE(completion.has_value());
  EXPECT_EQ(completion->params.max_tokens, 16);
  EXPECT_EQ(completion->params.sampling.temperature, 1.f);

  const auto chat_call = parse_chat(
      *read_document(with_body(R"({"messages":[{"role":"user","content":"x"}]})"), false));
  ASSERT_TRUE(chat_call.has_value());
  EXPECT_FALSE(chat_call->params.max_tokens.has_value());
  EXPECT_EQ(chat_call->params.sampling.temperature, 1.f);
}

TEST(Schema, EveryNumberIsBounded) {
  const std::vector<
      std::pair<std::string, std::pair<std::vector<std::string>, std::vector<std::string>>>>
      fields = {
          {"temperature", {{"0", "1.5", "100"}, {"-0.1", "101", "1e30", "\"hot\"", "true", "[]"}}},
          {"top_p", {{"0", "0.5", "1"}, {"-0.1", "1.01", "\"x\""}}},
          {"top_k", {{"-1", "0", "50", "50.0"}, {"-2", "1.5", "3000000000", "\"x\""}}},
          {"min_p", {{"0", "1"}, {"-0.1", "1.1"}}},
          {"repetition_penalty", {{"1", "10", "0.5"}, {"0", "-1", "11"}}},
          {"presence_penalty", {{"-2", "2"}, {"-2.1", "2.1"}}},
          {"frequency_penalty", {{"-2", "2"}, {"-2.1", "2.1"}}},
          {"max_tokens", {{"1", "4096"}, {"0", "-1", "9223372036854775808", "1e300", "1.5", "{}"}}},
          {"seed", {{"0", "-1", "18446744073709551615"}, {"1.5", "1e30", "\"x\""}}},
          {"n", {{"1", "128"}, {"0", "-1", "129", "16384"}}},
          {"logprobs", {{"0", "20"}, {"-1", "21", "true"}}},
          {"best_of", {{"1"}, {"0", "2", "1000000"}}},
          {"ignore_eos", {{"true", "false"}, {"1", "\"true\""}}},
          {"stream", {{"true"}, {"0"}}},
      };
  for (const auto& [field, values] : fields) {
    for (const std::string& good : values.first) {
      EXPECT_EQ(complete(",\"" + field + "\":" + good), "") << field << " " << good;
    }
    for (const std::string& bad : values.second) {
      const std::string answer = complete(",\"" + field + "\":" + bad);
      EXPECT_TRUE(answer == "invalid_value " + field || answer == "invalid_type " + field ||
                  answer == "unsupported_field " + field)
          << field << " " << bad << ": " << answer;
    }
    EXPECT_EQ(complete(",\"" + field + "\":null"), "") << field;
  }
}

TEST(Schema, OutputVolumeIsBounded) {
  EXPECT_EQ(complete(R"(,"n":128,"max_tokens":4096)"), "");
  EXPECT_EQ(complete(R"(,"n":128,"max_tokens":4097)"), "invalid_value n");
  EXPECT_EQ(complete(R"(,"max_tokens":2147483647)"), "invalid_value n");
  EXPECT_EQ(complete(R"(,"n":128,"max_tokens":4096,"logprobs":1)"), "invalid_value n");
}

TEST(Schema, StopStrings) {
  EXPECT_EQ(complete(R"(,"stop":"x")"), "");
  EXPECT_EQ(complete(R"(,"stop":["a","b"])"), "");
  EXPECT_EQ(complete(R"(,"stop":[])"), "");
  EXPECT_EQ(complete(R"(,"stop":"")"), "invalid_value stop");
  EXPECT_EQ(complete(R"(,"stop":[1])"), "invalid_value stop");
  EXPECT_EQ(complete(R"(,"stop":")" + std::string(1025, 'x') + "\""), "invalid_value stop");
  EXPECT_EQ(
      complete(R"(,"stop":["1","2","3","4","5","6","7","8","9","a","b","c","d","e","f","g","h"])"),
      "invalid_value stop");
}

TEST(Schema, LogitBias) {
  const auto call = parse_completion(
      *read_document(with_body(R"({"prompt":"x","logit_bias":{"5":-100,"7":1.5}})"), false));
  ASSERT_TRUE(call.has_value());
  ASSERT_EQ(call->params.sampling.logit_bias.size(), 2u);
  EXPECT_EQ(call->params.sampling.logit_bias[0], (std::pair<engine::TokenId, float>(5, -100.f)));
  for (const char* bad : {R"({"a":1})", R"({"-1":1})", R"({"5":101})", R"({"5":"1"})", "[1]",
                          R"({"99999999999":1})", R"({"5x":1})"}) {
    EXPECT_EQ(complete(std::string(",\"logit_bias\":") + bad), "invalid_value logit_bias") << bad;
  }
}

TEST(Schema, Prompts) {
  const auto prompt = [](const std::string& value) {
    return verdict(parse_completion, with_body("{\"prompt\":" + value + "}"), false);
  };
  EXPECT_EQ(prompt("\"text\""), "");
  EXPECT_EQ(prompt("[\"text\"]"), "");
  EXPECT_EQ(prompt("[1,2,3]"), "");
  EXPECT_EQ(prompt("[[1,2,3]]"), "");
  EXPECT_EQ(prompt("[\"a\",\"b\"]"), "unsupported_field prompt");
  EXPECT_EQ(prompt("[[1],[2]]"), "unsupported_field prompt");
  EXPECT_EQ(prompt("[]"), "invalid_type prompt");
  EXPECT_EQ(prompt("5"), "invalid_type prompt");
  EXPECT_EQ(prompt("null"), "missing_field prompt");
  EXPECT_EQ(prompt("[1,-2]"), "invalid_prompt prompt");
  EXPECT_EQ(prompt("[1,4294967297]"), "invalid_prompt prompt");
  EXPECT_EQ(prompt("[1,\"a\"]"), "invalid_prompt prompt");
  EXPECT_EQ(prompt("[1.5]"), "invalid_prompt prompt");
}

TEST(Schema, UnknownAndUnsupportedFieldsAreNamed) {
  EXPECT_EQ(generate(R"({"prompt":"x","max_token":5})"), "unknown_field max_token");
  EXPECT_EQ(generate(R"({"prompt":"x","n":2})"), "unknown_field n");
  EXPECT_EQ(complete(R"(,"echo":true)"), "unsupported_field echo");
  EXPECT_EQ(complete(R"(,"suffix":"end")"), "unsupported_field suffix");
  EXPECT_EQ(complete(R"(,"messages":[])"), "unknown_field messages");
  EXPECT_EQ(chat(R"(,"prompt":"x")"), "unknown_field prompt");
  EXPECT_EQ(chat(R"(,"tools":[{"type":"function"}])"), "unsupported_field tools");
  EXPECT_EQ(chat(R"(,"response_format":{"type":"json_object"})"),
            "unsupported_field response_format");
  EXPECT_EQ(chat(R"(,"response_format":{"type":"json_schema","json_schema":{}})"),
            "unsupported_field response_format");
  EXPECT_EQ(chat(R"(,"store":true)"), "unsupported_field store");
  EXPECT_EQ(chat(R"(,"stream":true,"stream_options":{"x":1})"), "unknown_field stream_options.x");
  EXPECT_EQ(chat(R"(,"stream_options":{"include_usage":true})"), "invalid_value stream_options");
  EXPECT_EQ(chat(R"(,"top_logprobs":3)"), "invalid_value top_logprobs");
}

TEST(Schema, NeutralOpenAiFieldsAreAccepted) {
  EXPECT_EQ(chat(R"(,"user":"u","metadata":{"a":"b"},"store":false,"parallel_tool_calls":true,
      "tools":[],"tool_choice":"none","response_format":{"type":"text"},"service_tier":"auto",
      "modalities":["text"],"logprobs":true,"top_logprobs":2,"stream":true,"prediction":null,
      "stream_options":{"include_usage":true},"max_completion_tokens":5,"functions":[],
      "reasoning_effort":null,"seed":1,"logit_bias":{},"safety_identifier":"s")"),
            "");
}

TEST(Schema, ChatTemplatesAreRefusedAtAnyDepth) {
  const std::string refused = "unsupported_field chat_template";
  EXPECT_EQ(chat(R"(,"chat_template":"{{ 1 }}")"), refused);
  EXPECT_EQ(chat(R"(,"chat_template":null)"), refused);
  EXPECT_EQ(chat(R"(,"metadata":{"a":[{"chat_template":"x"}]})"), refused);
  EXPECT_EQ(messages(R"([{"role":"user","content":"x","chat_template":"y"}])"), refused);
  EXPECT_EQ(generate(R"({"prompt":"x","chat_template":"y"})"), refused);
  net::HttpRequest request = with_body(R"({"messages":[{"role":"user","content":"x"}]})");
  request.query = {{"chat_template", "y"}};
  EXPECT_EQ(verdict(parse_chat, request, false), refused);
  EXPECT_EQ(chat(R"(,"chat_template_kwargs":{"a":1})"), "unknown_field chat_template_kwargs");
}

TEST(Schema, Messages) {
  EXPECT_EQ(messages(R"([{"role":"system","content":"s"},{"role":"user","content":"u"},
      {"role":"assistant","content":null},{"role":"developer","content":"d"}])"),
            "");
  EXPECT_EQ(messages("[]"), "invalid_type messages");
  EXPECT_EQ(messages("null"), "missing_field messages");
  EXPECT_EQ(messages("\"x\""), "invalid_type messages");
  EXPECT_EQ(messages("[1]"), "invalid_type messages[0].");
  EXPECT_EQ(messages(R"([{"content":"x"}])"), "missing_field messages[0].role");
  EXPECT_EQ(messages(R"([{"role":"user"}])"), "missing_field messages[0].content");
  EXPECT_EQ(messages(R"([{"role":"god","content":"x"}])"), "invalid_value messages[0].role");
  EXPECT_EQ(messages(R"([{"role":"tool","content":"x"}])"), "unsupported_field messages[0].role");
  EXPECT_EQ(messages(R"([{"role":"user","content":5}])"), "invalid_type messages[0].content");
  EXPECT_EQ(
      messages(R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}])"),
      "unsupported_content messages[0].content");
  EXPECT_EQ(messages(R"([{"role":"user","content":"x","extra":1}])"),
            "unknown_field messages[0].extra");
  const auto parts = parse_chat(
      *read_document(with_body(R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},
          {"type":"text","text":"b"}]}]})"),
                     false));
  ASSERT_TRUE(parts.has_value());
  EXPECT_EQ(parts->messages[0]["content"], "a\nb");
}

TEST(Schema, QueryScalars) {
  net::HttpRequest request;
  request.query = {{"prompt", "hi there"}, {"max_tokens", "8"}, {"temperature", "0.5"},
                   {"stream", "true"},     {"seed", "-3"},      {"stop", "x"}};
  const auto call = parse_generate(*read_document(request, true));
  ASSERT_TRUE(call.has_value());
  EXPECT_EQ(call->prompt, "hi there");
  EXPECT_EQ(call->params.max_tokens, 8);
  EXPECT_EQ(call->params.sampling.temperature, 0.5f);
  EXPECT_TRUE(call->params.stream);
  EXPECT_EQ(call->params.seed, static_cast<std::uint64_t>(-3));
  EXPECT_EQ(call->params.stop, std::vector<std::string>{"x"});

  const auto refused = [](std::vector<std::pair<std::string, std::string>> query,
                          std::string body = "") {
    net::HttpRequest bad = with_body(std::move(body));
    bad.query = std::move(query);
    return verdict(parse_generate, bad, true);
  };
  EXPECT_EQ(refused({{"prompt", "x"}, {"max_tokens", "8x"}}), "invalid_value max_tokens");
  EXPECT_EQ(refused({{"prompt", "x"}, {"max_tokens", ""}}), "invalid_value max_tokens");
  EXPECT_EQ(refused({{"prompt", "x"}, {"temperature", "nan"}}), "invalid_type temperature");
  EXPECT_EQ(refused({{"prompt", "x"}, {"temperature", "inf"}}), "invalid_type temperature");
  EXPECT_EQ(refused({{"prompt", "x"}, {"stream", "maybe"}}), "invalid_type stream");
  EXPECT_EQ(refused({{"prompt", "x"}, {"prompt", "y"}}), "duplicate_field prompt");
  EXPECT_EQ(refused({{"prompt", "x"}, {"logit_bias", "{}"}}), "invalid_value logit_bias");
  EXPECT_EQ(refused({{"prompt", "x"}, {"what", "y"}}), "unknown_field what");
  EXPECT_EQ(refused({{"prompt", "x"}}, "{}"), "query_and_body ");
}

TEST(Schema, HostileDocuments) {
  EXPECT_EQ(generate(""), "invalid_json ");
  EXPECT_EQ(generate("[]"), "invalid_type ");
  EXPECT_EQ(generate(R"({"prompt":"x","prompt":"y"})"), "invalid_json ");
  EXPECT_EQ(generate(R"({"prompt":"x","temperature":1e999})"), "invalid_json ");
  EXPECT_EQ(generate("{\"prompt\":\"\xff\"}"), "invalid_json ");
  EXPECT_EQ(generate(R"({"prompt":"\ud800"})"), "invalid_json ");
  EXPECT_EQ(generate(R"({"prompt":"a\u0000b"})"), "invalid_value ");
  EXPECT_EQ(generate("{\"prompt\":" + std::string(100'000, '[') + "}"), "json_too_deep ");
  EXPECT_EQ(generate("{}"), "missing_field prompt");
  EXPECT_EQ(generate(R"({"prompt":5})"), "invalid_type prompt");
}

TEST(Schema, TopPZeroMeansTheBestToken) {
  const auto call =
      parse_completion(*read_document(with_body(R"({"prompt":"x","top_p":0,"top_k":50})"), false));
  ASSERT_TRUE(call.has_value());
  EXPECT_EQ(call->params.sampling.top_k, 1);
  EXPECT_EQ(call->params.sampling.top_p, 1.f);
}

// Every limit of the configuration holds: one step over it is refused, and described.
TEST(Schema, LimitsAreTheOperatorsChoice) {
  RequestLimits limits;
  limits.json_depth_max = 5;
  limits.choices_max = 2;
  limits.max_tokens_max = 50;
  limits.output_tokens_max = 60;
  limits.top_logprobs_max = 3;
  limits.top_k_max = 7;
  limits.temperature_max = 1.5;
  limits.repetition_penalty_min = 0.5;
  limits.repetition_penalty_max = 1.25;
  limits.penalty_max = 0.5;
  limits.logit_bias_max = 10;
  limits.logit_bias_entries_max = 1;
  limits.stop_strings_max = 1;
  limits.stop_characters_max = 4;
  limits.inputs_max = 2;
  const auto refused = [&](const std::string& more) {
    const auto document = read_document(with_body(R"({"prompt":"x")" + more + "}"), false, limits);
    if (!document) return document.error().error.code;
    const auto call = parse_completion(*document);
    return call ? std::string() : call.error().param;
  };
  EXPECT_EQ(refused(R"(,"n":2,"max_tokens":30)"), "");
  EXPECT_EQ(refused(R"(,"n":3)"), "n");
  EXPECT_EQ(refused(R"(,"max_tokens":50)"), "");
  EXPECT_EQ(refused(R"(,"max_tokens":51)"), "max_tokens");
  EXPECT_EQ(refused(R"(,"n":2,"max_tokens":31)"), "n");
  EXPECT_EQ(refused(R"(,"logprobs":3,"max_tokens":15)"), "");
  EXPECT_EQ(refused(R"(,"logprobs":4)"), "logprobs");
  EXPECT_EQ(refused(R"(,"top_k":8)"), "top_k");
  EXPECT_EQ(refused(R"(,"temperature":1.6)"), "temperature");
  EXPECT_EQ(refused(R"(,"repetition_penalty":0.4)"), "repetition_penalty");
  EXPECT_EQ(refused(R"(,"repetition_penalty":1.3)"), "repetition_penalty");
  EXPECT_EQ(refused(R"(,"presence_penalty":-0.6)"), "presence_penalty");
  EXPECT_EQ(refused(R"(,"frequency_penalty":0.6)"), "frequency_penalty");
  EXPECT_EQ(refused(R"(,"logit_bias":{"1":10})"), "");
  EXPECT_EQ(refused(R"(,"logit_bias":{"1":11})"), "logit_bias");
  EXPECT_EQ(refused(R"(,"logit_bias":{"1":1,"2":1})"), "logit_bias");
  EXPECT_EQ(refused(R"(,"stop":["a","b"])"), "stop");
  EXPECT_EQ(refused(R"(,"stop":"abcde")"), "stop");
  EXPECT_EQ(refused(R"(,"x":[[[[[1]]]]])"), "json_too_deep");
  const auto inputs = [&](const std::string& list) {
    return parse_embedding(*read_document(with_body(R"({"input":)" + list + "}"), false, limits))
        .has_value();
  };
  EXPECT_TRUE(inputs(R"(["a","b"])"));
  EXPECT_FALSE(inputs(R"(["a","b","c"])"));
  EXPECT_TRUE(inputs("[1,2,3]"));  // one input
  const OrderedJson described =
      describe(parse_completion, OrderedJson::object(), limits)["properties"];
  EXPECT_EQ(described["n"]["maximum"], 2);
  EXPECT_EQ(described["temperature"]["maximum"], 1.5);
  EXPECT_EQ(described["presence_penalty"]["minimum"], -0.5);
}

}  // namespace
}  // namespace hearth::api

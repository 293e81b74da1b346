// The output filter in answers: every route, stream and choice, logprobs, stop strings, failures;
// and the same on prompts.
#include "api/app_fixture.h"
#include "base/fault_point.h"

namespace hearth::api {
namespace {

using security::RedactionOptions;
using security::RedactionPolicy;

const std::string kSays = "Call 13812345678 or a.b@example.com, please. １３８12345678！";
const std::string kShown = "Call [REDACTED] or [REDACTED], please. [REDACTED]！";

struct Filtered : Service {
  explicit Filtered(SimulatedOptions simulated, const RedactionOptions& options = {})
      : Service(std::move(simulated)) {
    app().set_redaction(*RedactionPolicy::create(options));
  }
};

std::string body(const std::string& route, const std::string& more = "") {
  if (route == "/v1/chat/completions")
    return R"({"messages":[{"role":"user","content":"x"}])" + more + "}";
  return R"({"prompt":"x","max_tokens":400)" + more + "}";
}

const std::vector<std::string> kRoutes = {"/generate", "/v1/completions", "/v1/chat/completions"};

// What a chunk or a whole answer has of choice `index`.
struct Part {
  std::string text;
  Json finish;
  Json logprobs;
};
void add(std::map<int, Part>& parts, const Json& document) {
  if (!document.contains("choices")) {
    Part& part = parts[0];
    part.text += document.value("text", "");
    if (document.contains("finish_reason")) part.finish = document["finish_reason"];
    return;
  }
  for (const Json& choice : document["choices"]) {
    Part& part = parts[choice["index"].get<int>()];
    if (choice.contains("text")) part.text += choice["text"].get<std::string>();
    for (const char* from : {"delta", "message"})
      if (choice.contains(from)) part.text += choice[from].value("content", "");
    if (!choice["finish_reason"].is_null()) part.finish = choice["finish_reason"];
    if (choice["logprobs"].is_object()) {
      for (const auto& [name, list] : choice["logprobs"].items()) {
        if (!list.is_array()) continue;
        for (const Json& entry : list) part.logprobs[name].push_back(entry);
      }
    }
  }
}
std::map<int, Part> streamed(Service& service, const std::string& route, const std::string& more) {
  std::map<int, Part> parts;
  for (const std::string& event : service.events(route, body(route, more + R"(,"stream":true)"))) {
    if (event != "[DONE]") add(parts, *parse_json(event));
  }
  return parts;
}
std::map<int, Part> at_once(Service& service, const std::string& route, const std::string& more) {
  std::map<int, Part> parts;
  add(parts, service.post(route, body(route, more)));
  return parts;
}

double value(Service& service, const std::string& series) {
  const std::string text = service.send(http_get("/metrics")).body;
  const std::size_t at = text.find("\n" + series + " ");
  return at == std::string::npos ? 0 : std::stod(text.substr(at + series.size() + 2));
}
std::string redactions(const std::string& type, const std::string& action,
                       const std::string& direction = "output") {
  return R"(hearth_redactions_total{action=")" + action + R"(",direction=")" + direction +
         R"(",model_name="org/first",type=")" + type + "\"}";
}

TEST(Redaction, HidesInEveryRouteStreamedOrNot) {
  Filtered service(says(kSays));
  for (const std::string& route : kRoutes) {
    const Part whole = at_once(service, route, "")[0];
    EXPECT_EQ(whole.text, kShown) << route;
    EXPECT_EQ(whole.finish, "stop");
    EXPECT_EQ(streamed(service, route, "")[0].text, kShown) << route;
  }
  EXPECT_EQ(value(service, redactions("phone", "mask")), 12);
  EXPECT_EQ(value(service, redactions("email", "mask")), 6);
}

TEST(Redaction, HidesInEveryChoice) {
  SimulatedOptions options;
  options.script = [](const engine::GenerateRequest&, int choice) {
    return Script{bytes_of(std::to_string(choice) + ": 1381234567" + std::to_string(choice)),
                  FinishReason::kStop, std::nullopt};
  };
  Filtered service(options);
  for (const std::string& route : {kRoutes[1], kRoutes[2]}) {
    for (auto parts :
         {at_once(service, route, R"(,"n":3)"), streamed(service, route, R"(,"n":3)")}) {
      ASSERT_EQ(parts.size(), 3u);
      for (auto& [index, part] : parts)
        EXPECT_EQ(part.text, std::to_string(index) + ": [REDACTED]") << route;
    }
  }
}

TEST(Redaction, TokensOfHiddenTextAreNotTold) {
  Filtered service(says(kSays));
  for (const auto& parts :
       {at_once(service, kRoutes[2], R"(,"logprobs":true,"top_logprobs":2)"),
        streamed(service, kRoutes[2], R"(,"logprobs":true,"top_logprobs":2)")}) {
    const Json& tokens = parts.at(0).logprobs.at("content");
    ASSERT_EQ(tokens.size(), kSays.size());  // a token is a byte here
    std::string bytes;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      std::string token;
      for (const Json& byte : tokens[i]["bytes"]) token += static_cast<char>(byte.get<int>());
      const bool hidden = token != kSays.substr(i, 1);
      EXPECT_EQ(tokens[i]["top_logprobs"].size(), hidden ? 0u : 2u) << i;
      EXPECT_EQ(tokens[i]["logprob"], hidden ? 0.0 : -0.5) << i;
      bytes += token;
    }
    EXPECT_EQ(bytes, kShown);
  }
  for (const auto& parts : {at_once(service, kRoutes[1], R"(,"logprobs":2)"),
                            streamed(service, kRoutes[1], R"(,"logprobs":2)")}) {
    std::string text;
    for (const Json& token : parts.at(0).logprobs["tokens"]) text += token.get<std::string>();
    // Parts of the last code point, which is shown, have names of their own.
    EXPECT_TRUE(text.starts_with("Call [REDACTED] or [REDACTED], please. [REDACTED]")) << text;
    EXPECT_EQ(parts.at(0).logprobs["top_logprobs"][6].size(), 1u);
  }
}

TEST(Redaction, BlockEndsTheChoiceAndTheEngineStops) {
  SimulatedOptions options = says("Name: Li, 11010519491231002X, and then much more text");
  options.step = 1ms;
  RedactionOptions redaction;
  redaction.id_card = "block";
  Filtered service(options, redaction);
  for (const std::string& route : kRoutes) {
    for (const Part& part : {at_once(service, route, "")[0], streamed(service, route, "")[0]}) {
      EXPECT_EQ(part.text, "Name: Li, ") << route;
      EXPECT_EQ(part.finish, "content_filter") << route;
    }
  }
  EXPECT_TRUE(service.engine->wait_idle(5s));
  EXPECT_EQ(service.engine->cancelled_choices(), 6);
  EXPECT_EQ(value(service, redactions("id_card", "block")), 6);
  EXPECT_EQ(
      value(
          service,
          R"(vllm:request_success_total{finished_reason="content_filter",model_name="org/first"})"),
      6);
  // The tokens that were taken: those up to the one that made the number certain.
  const Json answer = service.post("/generate", body("/generate"));
  EXPECT_EQ(answer["usage"]["completion_tokens"],
            std::string("Name: Li, 11010519491231002X,").size());
  const Part told = at_once(service, kRoutes[2], R"(,"logprobs":true,"top_logprobs":1)")[0];
  EXPECT_EQ(told.logprobs["content"].size(), std::string("Name: Li, ").size());
}

TEST(Redaction, BlockAtTheVeryEnd) {
  RedactionOptions redaction;
  redaction.phone = "block";
  Filtered service(says("ok 13812345678"), redaction);
  const Part part = streamed(service, kRoutes[0], "")[0];
  EXPECT_EQ(part.text, "ok ");
  EXPECT_EQ(part.finish, "content_filter");
}

TEST(Redaction, LogShowsAndCounts) {
  RedactionOptions redaction;
  redaction.phone = "log";
  Filtered service(says("ok 13812345678, a@b.cn"), redaction);
  EXPECT_EQ(streamed(service, kRoutes[2], "")[0].text, "ok 13812345678, [REDACTED]");
  EXPECT_EQ(value(service, redactions("phone", "log")), 1);
}

TEST(Redaction, StopStringsSeeTheTextAsTheModelMadeIt) {
  Filtered service(says("to 13812345678 END more"));
  const std::string more = R"(,"stop":[" END"])";
  const Json answer = service.post("/generate", body("/generate", more));
  EXPECT_EQ(answer["text"], "to [REDACTED]");
  EXPECT_EQ(answer["finish_reason"], "stop");
  EXPECT_EQ(answer["usage"]["completion_tokens"], std::string("to 13812345678 END").size());
  EXPECT_EQ(streamed(service, kRoutes[0], more)[0].text, "to [REDACTED]");
  // Not the words that stand for what is hidden.
  EXPECT_EQ(at_once(service, kRoutes[0], R"(,"stop":["REDACTED"])")[0].text,
            "to [REDACTED] END more");
  // Nor do logprobs tell of the text that a stop string has cut off.
  const Part cut = at_once(service, kRoutes[2], R"(,"stop":["5678"],"logprobs":true)")[0];
  EXPECT_EQ(cut.text, "to 1381234");
  EXPECT_EQ(cut.logprobs["content"].size(), cut.text.size());
}

TEST(Redaction, AFilterThatFailsWithholdsTheRest) {
  for (const std::string& route : kRoutes) {
    for (const bool stream : {false, true}) {
      Filtered service(says("fine words and a number 13812345678 there"));
      fault::arm("output_filter", 12);  // a push is a byte here
      const Part part = stream ? streamed(service, route, "")[0] : at_once(service, route, "")[0];
      fault::disarm_all();
      EXPECT_EQ(part.text, "fine words ");
      EXPECT_EQ(part.finish, "content_filter");
      EXPECT_EQ(value(service, R"(hearth_filter_failures_total{model_name="org/first"})"), 1);
    }
  }
}

TEST(Redaction, PromptsAreFilteredWhereItIsWanted) {
  RedactionOptions redaction;
  redaction.input = true;
  redaction.id_card = "block";
  Filtered service(says("ok"), redaction);
  const auto prompt_of = [&](const std::string& route, const std::string& document) {
    service.post(route, document);
    std::string text;
    for (const engine::TokenId id : service.engine->last_request().prompt) {
      if (id < 256) text += static_cast<char>(id);
    }
    return text;
  };
  EXPECT_EQ(prompt_of("/generate", R"({"prompt":"call 13812345678"})"), "call [REDACTED]");
  EXPECT_EQ(prompt_of("/v1/completions", R"({"prompt":"call 13812345678"})"), "call [REDACTED]");
  EXPECT_EQ(prompt_of("/v1/embeddings", R"({"input":["mail a@b.cn"]})"), "mail [REDACTED]");
  EXPECT_NE(
      prompt_of("/v1/chat/completions", R"({"messages":[{"role":"user","content":"mail a@b.cn"}]})")
          .find("mail [REDACTED]"),
      std::string::npos);
  EXPECT_EQ(service.post("/tokenize", R"({"prompt":"13812345678"})")["count"],
            1 + std::string("[REDACTED]").size());
  EXPECT_EQ(value(service, redactions("phone", "mask", "input")), 3);
  const std::string id = "11010519491231002X";
  EXPECT_EQ(service.refusal("/generate", R"({"prompt":")" + id + "\"}"), "400 content_filter");
  EXPECT_EQ(
      service.refusal(kRoutes[2], R"({"messages":[{"role":"user","content":")" + id + "\"}]}"),
      "400 content_filter");
  std::string ids;
  for (const engine::TokenId token : bytes_of("13812345678")) ids += std::to_string(token) + ",";
  ids.pop_back();
  EXPECT_EQ(service.refusal("/v1/completions", R"({"prompt":[)" + ids + "]}"),
            "400 content_filter");
  EXPECT_EQ(prompt_of("/v1/completions", R"({"prompt":[104,105]})"), "hi");
  fault::arm("input_filter", 1);
  EXPECT_EQ(service.refusal("/generate", R"({"prompt":"x"})"), "500 internal_error");
  fault::disarm_all();
}

TEST(Redaction, PromptsPassWhereItIsNot) {
  Filtered service(says("ok"));
  service.post("/generate", R"({"prompt":"call 13812345678"})");
  EXPECT_EQ(service.engine->last_request().prompt.size(),
            1 + std::string("call 13812345678").size());
}

TEST(Redaction, ErrorsDoNotRepeatIt) {
  Filtered service(says("ok"));
  const RawResponse response =
      service.send(http_post("/generate", R"({"prompt":"x","13812345678":1})"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body.find("13812345678"), std::string::npos) << response.body;
  EXPECT_NE(response.body.find("[REDACTED]"), std::string::npos) << response.body;
}

TEST(Redaction, ANewPolicyHoldsForNewRequests) {
  Filtered service(says("ok 13812345678"));
  EXPECT_EQ(at_once(service, kRoutes[0], "")[0].text, "ok [REDACTED]");
  RedactionOptions off;
  off.phone = off.bank_card = off.id_card = off.email = "off";
  service.app().set_redaction(*RedactionPolicy::create(off));
  EXPECT_EQ(at_once(service, kRoutes[0], "")[0].text, "ok 13812345678");
}

}  // namespace
}  // namespace hearth::api

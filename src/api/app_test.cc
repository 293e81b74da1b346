// The API over a real socket, with an engine that has no model.
#include "api/app.h"

#include <gtest/gtest.h>

#include "api/route_table.h"
#include "base/json.h"
#include "net/server_fixture.h"
#include "testing/byte_tokenizer.h"
#include "testing/loopback_client.h"
#include "testing/simulated_engine.h"

namespace hearth::api {
namespace {

using engine::FinishReason;
using net::eventually;
using testing::ByteTokenizer;
using testing::http_get;
using testing::http_post;
using testing::LoopbackClient;
using testing::RawResponse;
using testing::Script;
using testing::SimulatedEngine;
using testing::SimulatedOptions;
using namespace std::chrono_literals;

// As a ChatML template would: its own text is trusted, the messages' is not.
class ChatMl final : public text::jinja::Template {
 public:
  Result<std::vector<text::TextPiece>> render(const OrderedJson& variables,
                                              const std::vector<std::string_view>&,
                                              const text::jinja::Budget&) const override {
    std::vector<text::TextPiece> pieces;
    for (const OrderedJson& message : variables["messages"]) {
      if (message["content"] == "raise") return invalid("template_error", "no such conversation");
      pieces.push_back({"<|im_start|>" + message["role"].get<std::string>() + "\n", true});
      pieces.push_back({message["content"].get<std::string>(), false});
      pieces.push_back({"<|im_end|>\n", true});
    }
    pieces.push_back({"<|im_start|>assistant\n", true});
    return pieces;
  }
};

std::vector<engine::TokenId> bytes_of(std::string_view text) {
  std::vector<engine::TokenId> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

SimulatedOptions says(std::string text, FinishReason finish = FinishReason::kStop) {
  SimulatedOptions options;
  options.script = [=](const engine::GenerateRequest&, int) {
    return Script{bytes_of(text), finish, std::nullopt};
  };
  return options;
}

class Service {
 public:
  explicit Service(SimulatedOptions options = {}, AppOptions app_options = {})
      : engine(std::make_shared<SimulatedEngine>(std::move(options))),
        app_(models(engine), app_options),
        running_({}, app_.handler()) {}

  RawResponse send(const std::string& bytes) {
    LoopbackClient client(running_.port());
    client.send(bytes);
    return client.read_response();
  }
  Json get(const std::string& path, int status = 200) {
    return checked(send(http_get(path)), status);
  }
  Json post(const std::string& path, const std::string& body, int status = 200) {
    return checked(send(http_post(path, body)), status);
  }
  // "status code" of a refusal.
  std::string refusal(const std::string& path, const std::string& body) {
    const RawResponse response = send(http_post(path, body));
    const auto document = parse_json(response.body);
    if (!document || !document->contains("error")) return response.body;
    return std::to_string(response.status) + " " + (*document)["error"]["code"].get<std::string>();
  }
  // The data of the events; an event's name stands before it as "name|".
  std::vector<std::string> events(const std::string& path, const std::string& body) {
    const RawResponse response = send(http_post(path, body));
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_TRUE(response.complete);
    EXPECT_EQ(response.headers.at("content-type"), "text/event-stream; charset=utf-8");
    std::vector<std::string> list;
    std::string_view rest = response.body;
    while (!rest.empty()) {
      const std::size_t end = rest.find("\n\n");
      std::string event(rest.substr(0, end));
      rest.remove_prefix(end + 2);
      if (event.starts_with("event: ")) {
        const std::size_t newline = event.find('\n');
        event = event.substr(7, newline - 7) + "|" + event.substr(newline + 7);
      } else {
        event = event.substr(6);  // "data: "
      }
      list.push_back(event);
    }
    return list;
  }
  std::uint16_t port() const { return running_.port(); }
  App& app() { return app_; }

  std::shared_ptr<SimulatedEngine> engine;

 private:
  static std::vector<ServedModel> models(const std::shared_ptr<SimulatedEngine>& engine) {
    ServedModel first;
    first.id = "org/first";
    first.engine = engine;
    first.tokenizer = std::make_shared<ByteTokenizer>();
    first.chat_template = std::make_shared<ChatMl>();
    first.created = 1'700'000'000;
    ServedModel bare;
    bare.id = "bare";
    bare.engine = engine;
    ServedModel raw = first;
    raw.id = "raw";
    raw.chat_template = nullptr;
    return {first, bare, raw};
  }
  static Json checked(const RawResponse& response, int status) {
    EXPECT_EQ(response.status, status) << response.body;
    EXPECT_EQ(response.headers.at("content-type"), "application/json");
    auto document = parse_json(response.body);
    EXPECT_TRUE(document.has_value()) << response.body;
    return document.value_or(Json());
  }

  App app_;
  net::RunningServer running_;
};

TEST(App, HealthFollowsTheEngine) {
  Service service;
  EXPECT_EQ(service.get("/health")["status"], "ok");
  EXPECT_EQ(service.get("/ready")["status"], "ready");
  service.engine->set_healthy(false);
  service.get("/health", 503);
  service.get("/ready", 503);
}

TEST(App, Models) {
  Service service;
  const Json list = service.get("/v1/models");
  EXPECT_EQ(list["object"], "list");
  ASSERT_EQ(list["data"].size(), 3u);
  EXPECT_EQ(list["data"][0]["id"], "org/first");
  EXPECT_EQ(list["data"][0]["created"], 1'700'000'000);
  EXPECT_EQ(service.get("/v1/models/org/first")["id"], "org/first");
  EXPECT_EQ(service.get("/v1/models/org%2Ffirst")["id"], "org/first");
  EXPECT_EQ(service.get("/v1/models/default")["id"], "org/first");
  EXPECT_EQ(service.get("/v1/models/nope", 404)["error"]["code"], "model_not_found");
  EXPECT_EQ(service.refusal("/generate", R"({"prompt":"x","model":"../../etc/passwd"})"),
            "404 model_not_found");
}

TEST(App, UnknownRoutesAndMethods) {
  Service service;
  EXPECT_EQ(service.get("/nothing", 404)["error"]["code"], "unknown_route");
  const RawResponse wrong = service.send(http_get("/generate"));
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "POST");
  EXPECT_EQ(service.send(http_post("/v1/models", "")).headers.at("allow"), "GET, HEAD");
}

TEST(App, EveryRouteKeepsItsPermission) {
  Service service;
  for (const Route& route : service.app().routes().routes()) {
    const bool probe = route.path == "/health" || route.path == "/ready";
    EXPECT_EQ(route.permission, probe ? Permission::kNone : Permission::kUseModels) << route.path;
  }
  RouteTable table;
  bool called = false;
  table.add("GET", "/admin/x", Permission::kAdmin, 0, [&](Call) { called = true; });
  net::RunningServer server({}, [&](net::HttpRequest request, net::Responder responder) {
    table.dispatch(std::move(request), std::move(responder));
  });
  LoopbackClient client(server.port());
  client.send(http_get("/admin/x"));
  EXPECT_EQ(client.read_response().status, 403);
  EXPECT_FALSE(called);
}

TEST(Generate, AnswersWithTextUsageAndTimings) {
  Service service(says("hello"));
  const Json answer = service.post("/generate", R"({"prompt":"hi","max_tokens":50})");
  EXPECT_EQ(answer["text"], "hello");
  EXPECT_EQ(answer["finish_reason"], "stop");
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 3);  // BOS
  EXPECT_EQ(answer["usage"]["completion_tokens"], 5);
  EXPECT_EQ(answer["usage"]["total_tokens"], 8);
  EXPECT_DOUBLE_EQ(answer["timings"]["prefill_ms"].get<double>(), 2.0);
  const engine::GenerateRequest request = service.engine->last_request();
  EXPECT_EQ(request.prompt, (std::vector<engine::TokenId>{256, 'h', 'i'}));
  EXPECT_EQ(request.max_tokens, 50);
  EXPECT_EQ(request.sampling.temperature, 0.f);
}

TEST(Generate, TakesScalarsFromTheQuery) {
  Service service;
  const RawResponse response = service.send(
      "POST /generate?prompt=a%20b&max_tokens=8&ignore_eos=true HTTP/1.1\r\nHost: "
      "localhost\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(response.status, 200) << response.body;
  const Json answer = *parse_json(response.body);
  EXPECT_EQ(answer["usage"]["completion_tokens"], 8);
  EXPECT_EQ(answer["finish_reason"], "length");
  EXPECT_TRUE(service.engine->last_request().ignore_eos);
  EXPECT_EQ(service.engine->last_request().prompt,
            (std::vector<engine::TokenId>{256, 'a', ' ', 'b'}));
}

TEST(Generate, NeverTurnsUserTextIntoControlTokens) {
  Service service(says("x"));
  service.post("/generate", R"({"prompt":"</s>"})");
  EXPECT_EQ(service.engine->last_request().prompt,
            (std::vector<engine::TokenId>{256, '<', '/', 's', '>'}));
  service.post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"<s>"}]})");
  const auto prompt = service.engine->last_request().prompt;
  EXPECT_EQ(prompt[0], 256);  // the template does not write BOS
  EXPECT_EQ(prompt[1], 258);
  EXPECT_EQ(std::count(prompt.begin(), prompt.end(), 256), 1);
  EXPECT_EQ(std::count(prompt.begin(), prompt.end(), 258), 2);
  service.post("/v1/completions", R"({"prompt":[258,65]})");
  EXPECT_EQ(service.engine->last_request().prompt, (std::vector<engine::TokenId>{258, 65}));
}

TEST(Generate, Streams) {
  Service service(says("a\xc3\xa9z"));
  const auto events = service.events("/generate", R"({"prompt":"p","stream":true})");
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[0], R"({"text":"a"})");
  EXPECT_EQ(events[1], "{\"text\":\"\xc3\xa9\"}");  // whole code points only
  EXPECT_EQ(events[2], R"({"text":"z"})");
  const Json last = *parse_json(events[3]);
  EXPECT_EQ(last["finish_reason"], "stop");
  EXPECT_EQ(last["usage"]["completion_tokens"], 4);
  EXPECT_TRUE(last.contains("timings"));
  EXPECT_EQ(events[4], "[DONE]");
}

TEST(Generate, StopStringsSpanTokensAndCancelTheChoice) {
  SimulatedOptions options = says("one STOP two three four");
  options.step = 1ms;
  Service service(options);
  const std::string body = R"({"prompt":"p","stop":["STOP","never"])";
  const Json answer = service.post("/generate", body + "}");
  EXPECT_EQ(answer["text"], "one ");
  EXPECT_EQ(answer["finish_reason"], "stop");
  EXPECT_EQ(answer["usage"]["completion_tokens"], 8);  // up to the token that completed it
  EXPECT_TRUE(service.engine->wait_idle(2s));
  EXPECT_EQ(service.engine->cancelled_choices(), 1);
  std::string streamed;
  for (const std::string& event : service.events("/generate", body + R"(,"stream":true})")) {
    if (event != "[DONE]") streamed += (*parse_json(event))["text"].get<std::string>();
  }
  EXPECT_EQ(streamed, "one ");
}

TEST(Generate, InvalidUtf8FromTheModelComesOutAsReplacement) {
  Service service(
      says("a\xff"
           "b\xc3"));
  EXPECT_EQ(service.post("/generate", R"({"prompt":"p"})")["text"],
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd");
}

TEST(Generate, Refusals) {
  SimulatedOptions options;
  options.limits.context = 64;
  Service service(options);
  EXPECT_EQ(service.refusal("/generate", R"({"prompt":")" + std::string(64, 'x') + "\"}"),
            "400 context_length_exceeded");
  EXPECT_EQ(service.refusal("/generate", R"({"prompt":")" + std::string(1'000'000, 'x') + "\"}"),
            "400 context_length_exceeded");
  EXPECT_EQ(service.refusal("/generate", R"({"prompt":"x","max_tokens":65})"),
            "400 context_length_exceeded");
  EXPECT_EQ(service.refusal("/v1/completions", R"({"prompt":[5,260]})"), "400 invalid_prompt");
  EXPECT_EQ(service.refusal("/v1/completions", R"({"prompt":"x","logit_bias":{"260":1}})"),
            "400 invalid_value");
  EXPECT_EQ(service.refusal("/generate", R"({"prompt":"x","model":"bare"})"), "400 no_tokenizer");
  EXPECT_EQ(service.refusal("/v1/completions", R"({"prompt":[1],"model":"bare"})"),
            "400 no_tokenizer");
  EXPECT_EQ(service.refusal("/v1/chat/completions",
                            R"({"model":"raw","messages":[{"role":"user","content":"x"}]})"),
            "400 no_chat_template");
  EXPECT_EQ(service.refusal("/v1/chat/completions",
                            R"({"messages":[{"role":"user","content":"raise"}]})"),
            "400 template_error");
  EXPECT_EQ(service.refusal("/generate", "{"), "400 invalid_json");
  EXPECT_EQ(service.engine->submitted(), 0);
  // What fits with the room that is left is shortened, not refused.
  const Json clamped =
      service.post("/generate", R"({"prompt":")" + std::string(60, 'x') + R"(","max_tokens":60})");
  EXPECT_EQ(clamped["usage"]["completion_tokens"], 3);
}

TEST(Generate, AFullQueueAnswers429WithRetryAfter) {
  SimulatedOptions options;
  options.limits.queue_requests = 0;
  Service service(options);
  const RawResponse response = service.send(http_post("/generate", R"({"prompt":"x"})"));
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.headers.at("retry-after"), "1");
  EXPECT_EQ((*parse_json(response.body))["error"]["code"], "queue_full");
  EXPECT_EQ((*parse_json(response.body))["error"]["type"], "rate_limit_error");
}

TEST(Generate, EngineErrorsTellNothingOfTheInside) {
  SimulatedOptions options;
  options.script = [](const engine::GenerateRequest& request, int) {
    const std::size_t before = request.prompt.size() > 3 ? 2 : 0;
    return Script{bytes_of(std::string(before, 'a')), FinishReason::kError,
                  Error{ErrorKind::kInternal, "nan", "layer 3 at 0x7ffe gave NaN"}};
  };
  Service service(options);
  for (const char* stream : {"", R"(,"stream":true)"}) {
    const RawResponse response = service.send(http_post(
        "/generate", std::string(R"({"prompt":"x")") + stream + "}", "X-Request-Id: id-7\r\n"));
    EXPECT_EQ(response.status, 500);
    EXPECT_EQ(response.body.find("layer"), std::string::npos);
    EXPECT_NE(response.body.find("id-7"), std::string::npos);
    EXPECT_EQ((*parse_json(response.body))["error"]["code"], "internal_error");
  }
  // After the first byte the stream ends with an error event and without [DONE].
  const auto events = service.events("/generate", R"({"prompt":"long","stream":true})");
  ASSERT_EQ(events.size(), 3u);
  EXPECT_TRUE(events[2].starts_with("error|{\"error\":"));
  EXPECT_EQ(events[2].find("layer"), std::string::npos);
}

TEST(Generate, DisconnectsCancelInTheEngine) {
  for (const char* stream : {"false", "true"}) {
    SimulatedOptions options;
    options.step = 1ms;
    Service service(options);
    LoopbackClient client(service.port());
    client.send(http_post(
        "/generate", std::string(R"({"prompt":"p","max_tokens":500,"stream":)") + stream + "}"));
    ASSERT_TRUE(eventually([&] { return service.engine->submitted() == 1; }));
    if (stream[0] == 't') ASSERT_TRUE(client.read_until("\"text\""));
    client.close();
    EXPECT_TRUE(service.engine->wait_idle(2s));
    EXPECT_EQ(service.engine->cancelled_choices(), 1);
  }
}

TEST(Generate, AStoppingEngineEndsRequestsWith503) {
  SimulatedOptions options;
  options.step = 1ms;
  auto service = std::make_unique<Service>(options);
  LoopbackClient client(service->port());
  client.send(http_post("/generate", R"({"prompt":"p","max_tokens":500})"));
  ASSERT_TRUE(eventually([&] { return service->engine->submitted() == 1; }));
  // As when the engine itself gives the request up.
  service->engine->cancel(service->engine->last_request().id);
  const RawResponse response = client.read_response();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ((*parse_json(response.body))["error"]["code"], "request_cancelled");
  EXPECT_EQ(response.headers.at("retry-after"), "1");
}

TEST(Generate, DeadlinesAnswer504) {
  SimulatedOptions options;
  options.step = 1ms;
  Service service(options, AppOptions{.request_timeout = 20ms});
  LoopbackClient client(service.port());
  client.send(http_post("/generate", R"({"prompt":"p","max_tokens":500})"));
  ASSERT_TRUE(eventually([&] { return service.engine->submitted() == 1; }));
  EXPECT_GT(service.engine->last_request().deadline_ns, 0);
  std::this_thread::sleep_for(40ms);
  service.engine->cancel(service.engine->last_request().id);
  const RawResponse response = client.read_response();
  EXPECT_EQ(response.status, 504);
}

TEST(Generate, SeedsAreGivenOrRandom) {
  Service service(says("x"));
  service.post("/generate", R"({"prompt":"p","seed":7,"temperature":1})");
  EXPECT_EQ(service.engine->last_request().sampling.seed, 7u);
  service.post("/generate", R"({"prompt":"p","temperature":1})");
  const auto first = service.engine->last_request().sampling.seed;
  service.post("/generate", R"({"prompt":"p","temperature":1})");
  EXPECT_NE(service.engine->last_request().sampling.seed, first);
}

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

TEST(App, ServesManyClientsAtOnce) {
  SimulatedOptions options;
  options.step = 200us;
  Service service(options);
  std::vector<std::thread> clients;
  std::atomic<int> good{0};
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([&, i] {
      LoopbackClient client(service.port());
      for (int round = 0; round < 5; ++round) {
        client.send(http_post("/generate", R"({"prompt":")" + std::to_string(i) +
                                               R"(","max_tokens":30,"stream":true})"));
        const RawResponse response = client.read_response();
        good += response.complete && response.body.ends_with("data: [DONE]\n\n");
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 80);
}

}  // namespace
}  // namespace hearth::api

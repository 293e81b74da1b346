#include "api/app.h"

#include <set>
#include <string_view>

#include "api/answer_schema.h"
#include "api/app_fixture.h"
#include "api/assets.h"
#include "api/route_table.h"
#include "crypto/sha256.h"

namespace hearth::api {
namespace {

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
  EXPECT_EQ(service.get("/v1/models/", 404)["error"]["code"], "unknown_route");
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

// A new route has to be put into one of these rows.
TEST(App, EveryRouteHasThePermissionThatIsWantedOfIt) {
  const std::map<std::string, Permission> wanted = {
      {"/health", Permission::kNone},
      {"/ready", Permission::kNone},
      {"/openapi.json", Permission::kNone},
      {"/metrics", Permission::kReadMetrics},
      {"/v1/models", Permission::kUseModels},
      {"/v1/models/{id}", Permission::kUseModels},
      {"/generate", Permission::kUseModels},
      {"/v1/completions", Permission::kUseModels},
      {"/v1/chat/completions", Permission::kUseModels},
      {"/v1/embeddings", Permission::kUseModels},
      {"/tokenize", Permission::kUseModels},
      {"/detokenize", Permission::kUseModels},
      {"/admin/models", Permission::kManageModels},
      {"/admin/models/{id}", Permission::kManageModels},
  };
  Service service;
  std::map<std::string, Permission> found;
  std::set<std::string_view> pages;
  for (const Asset& asset : console_assets()) pages.insert(asset.path);
  for (const Route& route : service.app().routes().routes()) {
    if (pages.count(route.path) != 0) {
      EXPECT_EQ(route.permission, Permission::kNone) << route.path;
      EXPECT_FALSE(route.doc.published) << route.path;
    } else {
      found[route.path] = route.permission;
    }
  }
  EXPECT_EQ(found, wanted);
}

// Each route by each identity, as the table says.
TEST(App, RoutesAreOpenToJustWhoMayUseThem) {
  Service service;
  const auto identities =
      security::Identities::create({{"ops", crypto::sha256_hex("ops-key"), {"manage-models"}},
                                    {"app", crypto::sha256_hex("app-key"), {"use-models"}},
                                    {"watch", crypto::sha256_hex("watch-key"), {"read-metrics"}}});
  ASSERT_TRUE(identities);
  service.app().set_identities(std::make_shared<const security::Identities>(*identities));
  const std::map<std::string, std::vector<Permission>> keys = {
      {"", {Permission::kUseModels, Permission::kReadMetrics}},
      {"Authorization: Bearer ops-key\r\n", {Permission::kManageModels}},
      {"Authorization: Bearer app-key\r\n", {Permission::kUseModels}},
      {"Authorization: Bearer watch-key\r\n", {Permission::kReadMetrics}},
  };
  for (const Route& route : service.app().routes().routes()) {
    const std::string path = route.path.substr(0, route.path.find('{'));
    const std::string target = path == route.path ? path : path + "nothing";
    for (const auto& [header, permissions] : keys) {
      const bool may =
          route.permission == Permission::kNone ||
          std::find(permissions.begin(), permissions.end(), route.permission) != permissions.end();
      const int status =
          service
              .send(route.method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + header +
                    "Content-Length: 0\r\n\r\n")
              .status;
      EXPECT_EQ(status == (header.empty() ? 401 : 403), !may)
          << route.method << " " << target << " " << header << status;
      EXPECT_NE(status, header.empty() ? 403 : 401) << route.path;
    }
    const RawResponse wrong =
        service.send(route.method + " " + target +
                     " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n"
                     "Content-Length: 0\r\n\r\n");
    EXPECT_EQ(wrong.status == 401, route.permission != Permission::kNone) << route.path;
  }
}

// service_tier, and what a key is entitled to.
TEST(App, PriorityAndWeightComeFromRequestAndKey) {
  Service service;
  const auto identities =
      security::Identities::create({{"a", crypto::sha256_hex("a-key"), {"use-models"}, 2.5},
                                    {"b", crypto::sha256_hex("b-key"), {"use-models"}, 1, true}});
  ASSERT_TRUE(identities);
  service.app().set_identities(std::make_shared<const security::Identities>(*identities));
  const auto ask = [&](const std::string& key, const std::string& tier) {
    const std::string body = R"({"prompt":"p","max_tokens":1)" +
                             (tier.empty() ? "" : R"(,"service_tier":")" + tier + "\"") + "}";
    const std::string authorization =
        key.empty() ? "" : "Authorization: Bearer " + key + "-key\r\n";
    return service.send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n" + authorization +
                        "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  };
  const auto priority = [&](const std::string& key, const std::string& tier) {
    EXPECT_EQ(ask(key, tier).status, 200) << key << tier;
    return service.engine->last_request().priority;
  };
  using engine::Priority;
  for (const char* key : {"", "a"}) {
    EXPECT_EQ(priority(key, ""), Priority::kInteractive);
    EXPECT_EQ(priority(key, "auto"), Priority::kInteractive);
    EXPECT_EQ(priority(key, "default"), Priority::kInteractive);
    EXPECT_EQ(priority(key, "flex"), Priority::kBatch);
  }
  EXPECT_EQ(service.engine->last_request().weight, 2.5);
  EXPECT_EQ(service.engine->last_request().identity, "a");
  EXPECT_EQ(priority("b", ""), Priority::kBatch);
  EXPECT_EQ(priority("b", "flex"), Priority::kBatch);
  const RawResponse refused = ask("b", "default");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ((*parse_json(refused.body))["error"]["code"], "priority_not_allowed");
  EXPECT_EQ((*parse_json(refused.body))["error"]["param"], "service_tier");
  EXPECT_EQ(ask("a", "priority").status, 400);
}

TEST(App, AStoppingServerFinishesWhatIsOpenAndTakesNothingNew) {
  Service service;
  EXPECT_EQ(service.get("/ready")["status"], "ready");
  service.app().stop_taking_requests();
  EXPECT_EQ(service.get("/ready", 503)["status"], "stopping");
  EXPECT_EQ(service.get("/health")["status"], "ok");
  EXPECT_EQ(service.refusal("/generate", R"({"prompt":"a"})"), "503 shutting_down");
  EXPECT_EQ(service.get("/v1/models")["data"].size(), 3u);
}

std::vector<engine::TokenId> bytes_and_bos(std::string_view text) {
  std::vector<engine::TokenId> ids = bytes_of(text);
  ids.insert(ids.begin(), *ByteTokenizer().data().bos);
  return ids;
}

TEST(Tokenize, GivesWhatWouldBeComputedAndBack) {
  Service service;
  const Json plain = service.post("/tokenize", R"({"prompt":"Zürich"})");
  EXPECT_EQ(plain["tokens"].get<std::vector<engine::TokenId>>(), bytes_and_bos("Zürich"));
  EXPECT_EQ(plain["count"], 8);
  EXPECT_GT(plain["max_model_len"], 0);
  const Json chat = service.post(
      "/tokenize", R"({"messages":[{"role":"user","content":"hi"}],"model":"default"})");
  const Json back = service.post("/detokenize", Json{{"tokens", chat["tokens"]}}.dump());
  EXPECT_NE(back["prompt"].get<std::string>().find("user\nhi"), std::string::npos);
  EXPECT_EQ(service.post("/detokenize", R"({"tokens":[90,195,188]})")["prompt"], "Zü");
  // Half a code point at the end is told as one that cannot be read.
  EXPECT_EQ(service.post("/detokenize", R"({"tokens":[90,195]})")["prompt"], "Z\uFFFD");
  EXPECT_EQ(service.post("/detokenize", R"({"tokens":[]})")["prompt"], "");
}

TEST(Tokenize, Refusals) {
  Service service;
  EXPECT_EQ(service.refusal("/tokenize", R"({"model":"default"})"), "400 missing_field");
  EXPECT_EQ(service.refusal("/tokenize", R"({"prompt":"x","add":1})"), "400 unknown_field");
  EXPECT_EQ(service.refusal("/tokenize", R"({"prompt":"x","messages":[]})").substr(0, 4), "400 ");
  EXPECT_EQ(service.refusal("/tokenize", R"({"prompt":"x","model":"bare"})"), "400 no_tokenizer");
  EXPECT_EQ(service.refusal("/tokenize", R"({"prompt":"x","model":"nope"})"),
            "404 model_not_found");
  EXPECT_EQ(service.refusal("/detokenize", R"({"tokens":[-1]})"), "400 invalid_type");
  EXPECT_EQ(service.refusal("/detokenize", R"({"tokens":"x"})"), "400 invalid_type");
  EXPECT_EQ(service.refusal("/detokenize", R"({"tokens":[2147483647]})"), "400 invalid_prompt");
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

// The usual number of tokens is not the client's wish: it gives way to the context.
TEST(Generate, OnlyAnAskedNumberOfTokensCanBeTooLarge) {
  SimulatedOptions options = says("hello");
  options.limits.context = 100;
  Service service(options);
  service.post("/generate", R"({"prompt":"hi"})");
  EXPECT_EQ(service.engine->last_request().max_tokens, 97);
  EXPECT_EQ(service.refusal("/generate", R"({"prompt":"hi","max_tokens":200})"),
            "400 context_length_exceeded");
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

TEST(App, MayEndWhileRequestsAreOpen) {
  for (int round = 0; round < 20; ++round) {
    SimulatedOptions options;
    options.step = 500us;
    auto service = std::make_unique<Service>(options);
    LoopbackClient client(service->port());
    client.send(http_post("/generate", R"({"prompt":"p","max_tokens":500,"stream":true})"));
    ASSERT_TRUE(client.read_until("\"text\""));
    service.reset();  // the server, then the app, then the engine
    EXPECT_TRUE(client.wait_closed(2s));
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

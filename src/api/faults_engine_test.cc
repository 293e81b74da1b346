// Faults that reach the engine: clients that leave or do not read, output that is no number, a
// cache that is too small. The numbers are those of docs/faults.md.
#include <charconv>
#include <map>
#include <mutex>

#include "api/whole_server_fixture.h"
#include "base/fault_point.h"
#include "engine/poisoned_model_fixture.h"

namespace hearth::api {
namespace {

TEST(Fault02, AClientThatDoesNotReadIsCutOffAndTheBatchGoesOn) {
  WholeServerOptions options;
  options.server.stream_unsent_bytes_max = 64 << 10;
  WholeServer whole(options);
  Undisturbed stream(whole);
  const std::uint64_t before = whole.stats().accepted;
  // About 3 KB a token: far more than sockets and buffers hold.
  constexpr int kTokens = 16 * 400;
  std::vector<std::unique_ptr<LoopbackClient>> readers;
  for (int i = 0; i < 2; ++i) {
    readers.push_back(std::make_unique<LoopbackClient>(whole.port(), 4096));
    readers.back()->send(http_post(
        "/v1/chat/completions",
        R"({"messages":[{"role":"user","content":"x"}],"max_tokens":400,"n":16,"stream":true,)"
        R"("ignore_eos":true,"logprobs":true,"top_logprobs":20})"));
  }
  EXPECT_TRUE(eventually([&] { return whole.stats().accepted == before + readers.size(); }));
  // Cut off by the server, though they are still there.
  EXPECT_TRUE(eventually([&] { return whole.stats().connections == 1; }, WholeServer::kPatience));
  for (const auto& reader : readers) {
    EXPECT_FALSE(reader->read_response().complete);  // what they have is no whole answer
  }
  readers.clear();
  stream.check_after({"hearth_client_disconnects_total"});
  EXPECT_LT(stream.foreign_tokens(), 2 * kTokens);
}

TEST(Fault02, AWholeAnswerThatNobodyReadsIsGivenUp) {
  WholeServerOptions options;
  options.server.write_timeout = 300ms;
  WholeServer whole(options);
  Undisturbed stream(whole);
  const std::uint64_t before = whole.stats().accepted;
  LoopbackClient client(whole.port(), 4096);
  client.send(http_post("/v1/chat/completions",
                        R"({"messages":[{"role":"user","content":"x"}],"max_tokens":120,"n":16,)"
                        R"("ignore_eos":true,"logprobs":true,"top_logprobs":20})"));
  EXPECT_TRUE(eventually([&] { return whole.stats().accepted == before + 1; }));
  EXPECT_TRUE(eventually([&] { return whole.stats().connections == 1; }, WholeServer::kPatience));
  client.close();
  stream.check_after({"hearth_client_disconnects_total"});
}

// Takes a few bytes, again and again, until it is cut off; write_timeout never finds it idle.
void trickle(LoopbackClient& client) {
  const auto deadline = std::chrono::steady_clock::now() + WholeServer::kPatience;
  while (client.read_few(8)) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::sleep_for(20ms);
  }
}

TEST(Fault02, ReadersThatTrickleAreCutOffWhileTheyStreamAndAfterwards) {
  WholeServerOptions options;
  options.server.stream_unsent_bytes_max = 64 << 20;          // never the reason here,
  options.server.write_timeout = 2 * WholeServer::kPatience;  // nor is this
  options.server.write_grace = 300ms;
  options.server.write_bytes_per_s_min = 4 << 20;
  options.pace = 200us;  // 2.5 s for the stream at least, however fast the processor
  WholeServer whole(options);
  Undisturbed stream(whole);
  constexpr int kStreamed = 16 * 800;
  LoopbackClient streaming(whole.port(), 4096);
  streaming.send(http_post(
      "/v1/chat/completions",
      R"({"messages":[{"role":"user","content":"x"}],"max_tokens":800,"n":16,"stream":true,)"
      R"("ignore_eos":true,"logprobs":true,"top_logprobs":20})"));
  trickle(streaming);
  EXPECT_TRUE(eventually([&] { return whole.stats().disconnects == 1; }));

  constexpr int kWhole = 16 * 120;
  LoopbackClient whole_answer(whole.port(), 4096);
  whole_answer.send(
      http_post("/v1/chat/completions",
                R"({"messages":[{"role":"user","content":"x"}],"max_tokens":120,"n":16,)"
                R"("ignore_eos":true,"logprobs":true,"top_logprobs":20})"));
  trickle(whole_answer);
  EXPECT_TRUE(eventually([&] { return whole.stats().disconnects == 2; }));
  streaming.close();
  whole_answer.close();
  stream.check_after({"hearth_client_disconnects_total"});
  EXPECT_LT(stream.foreign_tokens(), kStreamed + kWhole);  // the stream did not come to its end
}

enum class Leave { kClose, kReset, kHalfClose };

void leave(LoopbackClient& client, Leave how) {
  switch (how) {
    case Leave::kClose:
      return client.close();
    case Leave::kReset:
      return client.reset();
    case Leave::kHalfClose:
      client.shutdown_send();  // and waits for an answer that nobody will write
      EXPECT_TRUE(client.wait_closed(WholeServer::kPatience));
  }
}

class Fault10 : public ::testing::TestWithParam<std::tuple<Leave, bool, int>> {
 protected:
  static constexpr int kTokens = 300;  // of each choice
  std::string request(const std::string& prompt) const {
    const auto [how, streaming, choices] = GetParam();
    return http_post("/v1/completions",
                     fmt::format(R"({{"prompt":"{}","max_tokens":{},"n":{},"stream":{},)"
                                 R"("ignore_eos":true}})",
                                 prompt, kTokens, choices, streaming));
  }
  Leave how() const { return std::get<0>(GetParam()); }
  bool streaming() const { return std::get<1>(GetParam()); }
  int choices() const { return std::get<2>(GetParam()); }
};

TEST_P(Fault10, LeavingAtAnyMomentFreesEverything) {
  WholeServerOptions options;
  options.pace = 200us;
  options.engine.batch_tokens_max = 24;  // a long prompt takes many steps
  WholeServer whole(options);
  Undisturbed stream(whole);
  int begun = 0;
  const auto client_after = [&](const std::string& bytes) {
    auto client = std::make_unique<LoopbackClient>(whole.port());
    client->send(bytes);
    return client;
  };
  const auto gone = [&] {
    EXPECT_TRUE(eventually([&] { return whole.stats().connections == 1; }));
    EXPECT_TRUE(eventually([&] {
      const engine::EngineStats stats = whole.engine_stats();
      return stats.running <= 1 && stats.waiting == 0;
    }));
  };
  const std::string shorter = request("short");
  const std::string longer = request(std::string(700, 'l'));

  // In the middle of the head, of the body, and as soon as all is sent.
  for (const std::size_t size : {std::size_t{30}, shorter.size() - 10, shorter.size()}) {
    leave(*client_after(shorter.substr(0, size)), how());
    ++begun;
  }
  gone();
  // While the prompt is computed.
  for (int i = 0; i < 2; ++i) {
    const auto prompt_tokens = whole.engine_stats().prompt_tokens;
    const auto client = client_after(longer);
    EXPECT_TRUE(
        eventually([&] { return whole.engine_stats().prompt_tokens > prompt_tokens + 100; }));
    leave(*client, how());
    ++begun;
  }
  gone();
  // In the middle of the answer.
  for (int i = 0; i < 2; ++i) {
    const auto client = client_after(shorter);
    if (streaming()) {
      EXPECT_TRUE(client->read_until("\"text\"", WholeServer::kPatience));
    } else {
      EXPECT_TRUE(eventually([&] { return whole.engine_stats().running > choices(); }));
    }
    leave(*client, how());
    ++begun;
  }
  gone();
  // Many, at moments that nobody chose.
  std::mt19937 random(static_cast<unsigned>(choices()));
  for (int i = 0; i < 24; ++i) {
    const auto client = client_after(i % 2 == 0 ? shorter : longer);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 6000));
    leave(*client, how());
    ++begun;
  }
  gone();
  stream.check_after({"hearth_client_disconnects_total"});
  // Given up within a step, not after the text was made for nobody.
  EXPECT_LT(stream.foreign_tokens(), begun * choices() * kTokens / 3);
}

INSTANTIATE_TEST_SUITE_P(Ways, Fault10,
                         ::testing::Combine(::testing::Values(Leave::kClose, Leave::kReset,
                                                              Leave::kHalfClose),
                                            ::testing::Bool(), ::testing::Values(1, 4)));

class Fault10Step : public ::testing::TestWithParam<std::tuple<Leave, bool>> {};

TEST_P(Fault10Step, LeavingFreesThePagesWithinOneStep) {
  const auto [how, streaming] = GetParam();
  constexpr int kChoices = 8;
  constexpr int kRows = kChoices + 1;  // of a step: these and the undisturbed stream
  WholeServerOptions options;
  options.pace = 20ms;  // for each row
  WholeServer whole(options);
  Undisturbed stream(whole, {.tokens = 24});
  const std::uint64_t disconnects = whole.stats().disconnects;
  LoopbackClient client(whole.port());
  client.send(http_post("/v1/completions",
                        fmt::format(R"({{"prompt":"x","max_tokens":900,"n":{},"stream":{},)"
                                    R"("ignore_eos":true}})",
                                    kChoices, streaming)));
  EXPECT_TRUE(eventually([&] { return whole.engine_stats().running >= kChoices; }));
  std::thread leaving([&, way = how] { leave(client, way); });
  EXPECT_TRUE(eventually([&] { return whole.stats().disconnects > disconnects; }));
  const std::int64_t before = whole.engine_stats().generated_tokens;
  engine::EngineStats after;
  EXPECT_TRUE(eventually([&] {
    after = whole.engine_stats();
    return after.running <= 1;
  }));
  // The step that was under way, and what the other stream got until this thread looked again.
  EXPECT_LE(after.generated_tokens - before, 2 * kRows);
  leaving.join();
  client.close();
  stream.check_after({"hearth_client_disconnects_total"});
}

INSTANTIATE_TEST_SUITE_P(Ways, Fault10Step,
                         ::testing::Combine(::testing::Values(Leave::kClose, Leave::kReset,
                                                              Leave::kHalfClose),
                                            ::testing::Bool()));

TEST(Fault10, LeavingTheQueueFreesThePlaceInIt) {
  WholeServerOptions options;
  options.pace = 200us;
  options.engine.running_max = 3;
  WholeServer whole(options);
  Undisturbed stream(whole);
  const auto body = [](int choices, bool streaming) {
    return http_post("/v1/completions",
                     fmt::format(R"({{"prompt":"queue","max_tokens":900,"n":{},"stream":{},)"
                                 R"("ignore_eos":true}})",
                                 choices, streaming));
  };
  std::vector<std::unique_ptr<LoopbackClient>> first;
  for (int i = 0; i < 2; ++i) {
    first.push_back(std::make_unique<LoopbackClient>(whole.port()));
    first.back()->send(body(1, true));
    EXPECT_TRUE(first.back()->read_until("\"text\"", WholeServer::kPatience));
  }
  std::vector<std::unique_ptr<LoopbackClient>> waiting;
  for (int i = 0; i < 12; ++i) {
    waiting.push_back(std::make_unique<LoopbackClient>(whole.port()));
    waiting.back()->send(body(1 + i % 3, i % 2 == 0));
  }
  EXPECT_TRUE(eventually([&] { return whole.engine_stats().waiting >= 10; }));
  const Leave ways[] = {Leave::kClose, Leave::kReset, Leave::kHalfClose};
  for (std::size_t i = 0; i < waiting.size(); ++i) leave(*waiting[i], ways[i % 3]);
  EXPECT_TRUE(eventually([&] { return whole.engine_stats().waiting <= 1; }));
  waiting.clear();
  first.clear();
  stream.check_after({"hearth_client_disconnects_total"});
}

TEST(Fault21, NanEndsItsRequestAndNobodyElses) {
  WholeServerOptions options;
  options.model = engine::poisoned_llama(backend::Precision::kDefault);
  WholeServer whole(options);
  Undisturbed stream(whole);
  // In the prompt: there is still time for a status, streamed or not, however many choices.
  for (int i = 0; i < 3; ++i) {
    for (const std::string& more :
         {std::string(), std::string(R"(,"stream":true)"), std::string(R"(,"stream":true,"n":3)"),
          std::string(R"(,"logprobs":5,"n":2)")}) {
      const RawResponse response =
          whole.post("/v1/completions",
                     R"({"prompt":[84,104,7,105],"max_tokens":40,"ignore_eos":true)" + more + "}");
      EXPECT_EQ(verdict(response), "500 internal_error") << more;
      EXPECT_EQ(response.body.find("NaN"), std::string::npos);
      EXPECT_EQ(response.body.find("choices"), std::string::npos) << response.body;
    }
  }
  // As the first token of the answer: the second cannot be computed.
  const std::string late =
      R"({"prompt":[84,104],"max_tokens":40,"ignore_eos":true,"temperature":0,)"
      R"("logit_bias":{"7":100})";
  EXPECT_EQ(verdict(whole.post("/v1/completions", late + "}")), "500 internal_error");
  for (int choices = 1; choices <= 3; ++choices) {
    const RawResponse response = whole.post(
        "/v1/completions", late + R"(,"stream":true,"n":)" + std::to_string(choices) + "}");
    EXPECT_EQ(response.status, 200);
    EXPECT_TRUE(response.complete);
    const std::vector<std::string> events = events_of(response.body);
    ASSERT_GE(events.size(), 2u);
    for (std::size_t i = 0; i + 1 < events.size(); ++i) {
      const auto event = parse_json(events[i]);
      ASSERT_TRUE(event) << events[i];
      EXPECT_EQ((*event)["choices"][0]["text"], "\x07");
      EXPECT_TRUE((*event)["choices"][0]["finish_reason"].is_null());
    }
    // One error, at the end, and no [DONE].
    ASSERT_TRUE(events.back().starts_with("error|")) << events.back();
    EXPECT_EQ((*parse_json(events.back().substr(6)))["error"]["code"], "internal_error");
  }
  stream.check_after({errors_of("internal_error")});
}

// What each of these clients is told when it is alone.
constexpr int kClients = 24;
std::string body_of(int client) {
  return fmt::format(R"({{"prompt":"{}","max_tokens":{},"temperature":0.8,"seed":{},)"
                     R"("ignore_eos":true,"logprobs":1}})",
                     std::string(static_cast<std::size_t>(40 + 5 * client), 'a' + client % 26),
                     60 + client, client);
}
std::vector<std::string> alone(WholeServer& whole) {
  std::vector<std::string> out;
  for (int i = 0; i < kClients; ++i) {
    out.push_back(normalised(whole.post("/v1/completions", body_of(i))));
    EXPECT_TRUE(out.back().starts_with("200\n")) << out.back();
  }
  return out;
}

TEST(Fault23, RequestsBeyondThePagesWaitOrStartAgainAndAllEnd) {
  WholeServerOptions options;
  options.engine.context = 320;
  options.engine.cache_bytes = 1;  // the least there can be: one context
  WholeServer whole(options);
  const std::vector<std::string> expected = alone(whole);
  Undisturbed stream(whole);
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] {
      EXPECT_EQ(normalised(whole.post("/v1/completions", body_of(i))),
                expected[static_cast<std::size_t>(i)])
          << i;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_GT(whole.engine_stats().preemptions, 0);
  stream.check_after({R"(vllm:num_preemptions_total{model_name="org/tiny"})"});
}

// The answer to body_of(i), or the last refusal when patience is over.
template <class OnRefusal>
RawResponse ask_until_served(WholeServer& whole, int i, std::chrono::milliseconds pause,
                             OnRefusal on_refusal) {
  const auto deadline = std::chrono::steady_clock::now() + 2 * WholeServer::kPatience;
  for (;;) {
    RawResponse response = whole.post("/v1/completions", body_of(i));
    if (response.status != 429 || std::chrono::steady_clock::now() >= deadline) return response;
    on_refusal(response);
    std::this_thread::sleep_for(pause);
  }
}

TEST(Fault23, AFullQueueSaysWhenToComeAgainAndLosesNobody) {
  WholeServerOptions options;
  options.engine.context = 1024;
  options.engine.cache_bytes = 1;
  options.engine.running_max = 3;
  options.engine.queue_requests_max = 2;
  options.pace = 1ms;
  WholeServer whole(options);
  const std::vector<std::string> expected = alone(whole);
  Undisturbed stream(whole, {.tokens = 800, .once = true});
  std::atomic<int> refused{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] {
      const RawResponse response = ask_until_served(whole, i, 20ms, [&](RawResponse& refusal) {
        ++refused;
        EXPECT_EQ(verdict(refusal), "429 queue_full");
        // By the real rate: a second or two here, more where the machine is slow.
        const std::string& told = refusal.headers["retry-after"];
        int seconds = 0;
        std::from_chars(told.data(), told.data() + told.size(), seconds);
        EXPECT_TRUE(seconds >= 1 && seconds <= 60) << seconds;
      });
      EXPECT_EQ(normalised(response), expected[static_cast<std::size_t>(i)]) << i;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_GT(refused, 0);
  stream.check_after({errors_of("queue_full")});
}

// Whoever is refused asks again at once, over and over, whatever he is told.
TEST(Fault39, AStormOfRetriesTakesNothingFromThoseWhoAreServed) {
  WholeServerOptions options;
  options.engine.context = 1024;
  options.engine.running_max = 3;
  options.engine.queue_requests_max = 2;
  options.pace = 1ms;
  WholeServer whole(options);
  const std::vector<std::string> expected = alone(whole);
  Undisturbed stream(whole, {.tokens = 800, .once = true});
  std::atomic<bool> over{false};
  std::mutex mutex;
  std::map<std::string, int> told;  // Retry-After: how often
  int stormed = 0;
  std::vector<std::thread> storm;
  for (int i = 0; i < 12; ++i) {
    storm.emplace_back([&, i] {
      const std::string body =
          fmt::format(R"({{"prompt":"storm {}","max_tokens":20,"ignore_eos":true,"stream":{}}})", i,
                      i % 2 == 0);
      while (!over) {
        RawResponse response = whole.post("/v1/completions", body);
        if (response.status == 200) continue;
        EXPECT_EQ(verdict(response), "429 queue_full");
        const std::lock_guard lock(mutex);
        ++told[response.headers["retry-after"]];
        ++stormed;
      }
    });
  }
  // Each of those who come one after the other gets in, and gets what it would get without them.
  for (int i = 0; i < kClients; i += 3) {
    const RawResponse response = ask_until_served(whole, i, 1ms, [](RawResponse&) {});
    EXPECT_EQ(normalised(response), expected[static_cast<std::size_t>(i)]) << i;
  }
  over = true;
  for (std::thread& client : storm) client.join();
  EXPECT_GT(stormed, 100);
  EXPECT_GT(told.size(), 1u);  // who is refused together is not told to come back together
  stream.check_after({errors_of("queue_full")});
}

TEST(Fault24, AFailedEngineTellsEveryOpenRequestOnce) {
  WholeServerOptions options;
  options.pace = 1ms;
  options.engine.running_max = 4;
  WholeServer whole(options);
  std::vector<std::unique_ptr<LoopbackClient>> clients;
  const auto ask = [&](int choices, bool streaming) -> LoopbackClient& {
    clients.push_back(std::make_unique<LoopbackClient>(whole.port()));
    clients.back()->send(http_post(
        "/v1/completions", fmt::format(R"({{"prompt":"x","max_tokens":900,"n":{},"stream":{},)"
                                       R"("ignore_eos":true}})",
                                       choices, streaming)));
    return *clients.back();
  };
  // Streams that have begun; a whole answer in the batch; and what waits, of both kinds.
  ask(1, true).read_until("\"text\"", WholeServer::kPatience);
  ask(2, true).read_until("\"text\"", WholeServer::kPatience);
  ask(1, false);
  EXPECT_TRUE(eventually([&] { return whole.engine_stats().running == 4; }));
  ask(1, true);
  ask(3, false);
  ask(1, false);
  EXPECT_TRUE(eventually([&] { return whole.engine_stats().waiting == 3; }));
  fault::arm("engine.step", 2);

  for (std::size_t i = 0; i < clients.size(); ++i) {
    const RawResponse response = clients[i]->read_response(WholeServer::kPatience);
    EXPECT_TRUE(response.complete) << i;
    if (i >= 2) {  // there was still time for a status
      EXPECT_EQ(verdict(response), "503 engine_failed") << i;
      continue;
    }
    EXPECT_EQ(response.status, 200);
    const std::vector<std::string> events = events_of(response.body);
    ASSERT_GE(events.size(), 2u);
    ASSERT_TRUE(events.back().starts_with("error|")) << events.back();
    EXPECT_EQ((*parse_json(events.back().substr(6)))["error"]["code"], "engine_failed");
    for (std::size_t e = 0; e + 1 < events.size(); ++e) {
      const auto event = parse_json(events[e]);
      ASSERT_TRUE(event) << events[e];  // [DONE] is not among them
      EXPECT_TRUE((*event)["choices"][0]["finish_reason"].is_null()) << events[e];
    }
  }
  for (const char* path : {"/health", "/ready"}) {
    const RawResponse response = whole.send(http_get(path));
    EXPECT_EQ(response.status, 503) << path;
    EXPECT_EQ(response.body, R"({"status":"engine_failed"})") << path;
  }
  const std::string metrics = whole.metrics();
  const std::string model = R"({model_name="org/tiny"})";
  EXPECT_NE(metrics.find("\nhearth_engine_healthy" + model + " 0\n"), std::string::npos);
  EXPECT_NE(metrics.find("\nhearth_kv_pages_used" + model + " 0\n"), std::string::npos);
  EXPECT_EQ(value_of(metrics, errors_of("engine_failed")), static_cast<double>(clients.size()));
  EXPECT_EQ(verdict(whole.post("/generate", R"({"prompt":"x"})")), "503 engine_failed");
  EXPECT_FALSE(fault::g_armed);
}

}  // namespace
}  // namespace hearth::api

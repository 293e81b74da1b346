// What a stream looks like when its text lets wait for it.
#include "api/whole_server_fixture.h"

namespace hearth::api {
namespace {

const std::string kChat = http_post(
    "/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}],"stream":true})");
const std::string kPing = ": keep-alive\n\n";

int pings_in(std::string_view text) {
  int count = 0;
  for (std::size_t at = 0; (at = text.find(kPing, at)) != std::string_view::npos; ++count) ++at;
  return count;
}

TEST(KeepAlive, ComesBeforeTheFirstTokenAndBetweenTokens) {
  const std::string quick = normalised(Service(says("ab")).send(kChat));
  SimulatedOptions options = says("ab");
  options.prefill = 150ms;
  options.step = 150ms;
  Service service(options, AppOptions{.keep_alive_interval = 20ms});
  const RawResponse response = service.send(kChat);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_TRUE(response.complete);
  const std::string& body = response.body;
  const std::size_t first = body.find("data: ");
  const std::size_t a = body.find(R"("content":"a")");
  const std::size_t b = body.find(R"("content":"b")");
  ASSERT_TRUE(first < a && a < b && b != std::string::npos) << body;
  EXPECT_GE(pings_in(body.substr(0, first)), 2) << body;
  EXPECT_EQ(pings_in(body.substr(first, a - first)), 0) << body;
  EXPECT_GE(pings_in(body.substr(a, b - a)), 2) << body;
  EXPECT_EQ(normalised(response), quick);  // for a reader of events nothing has changed
}

TEST(KeepAlive, ComesInTheQueueToo) {
  SimulatedOptions options = says("ab");
  options.prefill = 150ms;
  Service service(options, AppOptions{.keep_alive_interval = 20ms});
  LoopbackClient first(service.port());
  first.send(kChat);
  ASSERT_TRUE(eventually([&] { return service.engine->submitted() == 1; }));
  EXPECT_TRUE(service.send(kChat).body.starts_with(kPing));
}

TEST(KeepAlive, AnErrorAfterOneIsTheLastEvent) {
  SimulatedOptions options;
  options.script = [](const engine::GenerateRequest&, int) {
    return Script{{}, FinishReason::kError, Error{ErrorKind::kTimeout, "deadline_exceeded", "x"}};
  };
  options.prefill = 100ms;
  Service service(options, AppOptions{.keep_alive_interval = 20ms});
  const RawResponse response = service.send(kChat);
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.complete);
  EXPECT_TRUE(response.body.starts_with(kPing)) << response.body;
  const std::vector<std::string> events = events_of(response.body);
  ASSERT_EQ(events.size(), 1u) << response.body;
  ASSERT_TRUE(events[0].starts_with("error|")) << events[0];
  EXPECT_EQ((*parse_json(events[0].substr(6)))["error"]["code"], "deadline_exceeded");
  EXPECT_EQ(value_of(service.send(http_get("/metrics")).body, errors_of("deadline_exceeded")), 1);
}

TEST(KeepAlive, AnErrorBeforeTheFirstOneHasItsStatus) {
  SimulatedOptions options;
  options.script = [](const engine::GenerateRequest&, int) {
    return Script{{}, FinishReason::kError, Error{ErrorKind::kTimeout, "deadline_exceeded", "x"}};
  };
  options.prefill = 20ms;
  Service service(options);
  EXPECT_EQ(verdict(service.send(kChat)), "504 deadline_exceeded");
  EXPECT_EQ(value_of(service.send(http_get("/metrics")).body, errors_of("deadline_exceeded")), 1);
}

}  // namespace
}  // namespace hearth::api

#include "apps/load_run.h"

#include <gmock/gmock.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <set>
#include <thread>

#include "base/json.h"
#include "net/server_fixture.h"
#include "net/sse.h"

namespace hearth::apps {
namespace {

using net::HttpRequest;
using net::Responder;
using ::testing::HasSubstr;

// A server that answers like one with the OpenAI API, after a while, and counts.
class FakeServer {
 public:
  explicit FakeServer(std::chrono::milliseconds delay = std::chrono::milliseconds(0))
      : delay_(delay), server_({}, [this](HttpRequest request, Responder responder) {
          handle(std::move(request), std::move(responder));
        }) {}
  ~FakeServer() {
    server_.stop();
    for (std::thread& thread : threads_) thread.join();
  }

  // What the n-th request gets instead of an answer; 0: an answer.
  std::function<int(int)> refusal = [](int) { return 0; };
  std::string stream_end = R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})";

  std::unique_ptr<net::LoadClient> client() const {
    auto url = net::parse_url("http://127.0.0.1:" + std::to_string(server_.port()));
    return *net::LoadClient::create(*url, {});
  }
  std::vector<Json> bodies() const {
    const std::lock_guard lock(mutex_);
    return bodies_;
  }
  int most_at_once() const { return most_; }

 private:
  void handle(HttpRequest request, Responder responder) {
    if (request.method == "GET") {
      responder.send({200, {}, R"({"data":[{"id":"tiny"}]})"});
      return;
    }
    const std::lock_guard lock(mutex_);
    bodies_.push_back(*parse_json(request.body));
    if (const int status = refusal(requests_++); status != 0) {
      net::HttpResponse response = net::error_response(status, "x", "not now");
      response.headers.emplace_back("Retry-After", "0");
      responder.send(std::move(response));
      return;
    }
    const int open = ++open_;
    most_ = std::max<int>(most_, open);
    threads_.emplace_back([this, responder = std::move(responder)]() mutable {
      std::this_thread::sleep_for(delay_);
      --open_;  // before the client hears of it and sends another
      net::SseWriter writer(std::move(responder), std::chrono::seconds(60));
      writer.begin();
      writer.data(R"({"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]})");
      writer.data(stream_end);
      writer.data(R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})");
      writer.data("[DONE]");
      writer.end();
    });
  }

  const std::chrono::milliseconds delay_;
  mutable std::mutex mutex_;
  std::vector<Json> bodies_;
  std::vector<std::thread> threads_;
  int requests_ = 0;
  std::atomic<int> open_{0}, most_{0};
  net::RunningServer server_;
};

LoadRunOptions options_of(std::int64_t requests, std::int64_t clients) {
  LoadRunOptions options;
  options.model = "tiny";
  options.requests = requests;
  options.clients = clients;
  options.warmup = 0;
  return options;
}

LoadPlan plan_at(double rate) {
  LoadPlanOptions options;
  options.words = *parse_length("3");
  options.rate = rate;
  return LoadPlan(options);
}

LoadResult run(const FakeServer& server, const LoadRunOptions& options, double rate = 1) {
  const auto client = server.client();
  auto result = run_load(*client, plan_at(rate), options);
  EXPECT_TRUE(result.has_value());
  return *std::move(result);
}

TEST(LoadRun, AClosedLoopHasSoManyOpen) {
  const FakeServer server(std::chrono::milliseconds(5));
  const LoadResult result = run(server, options_of(40, 4));
  EXPECT_EQ(result.report.succeeded(), 40);
  EXPECT_EQ(result.report.output_tokens(), 80);
  EXPECT_EQ(server.most_at_once(), 4);
  std::set<std::string> prompts;
  for (const Json& body : server.bodies()) {
    prompts.insert(body["messages"][0]["content"]);
    EXPECT_EQ(body["model"], "tiny");
    EXPECT_EQ(body["max_tokens"], 64);
    EXPECT_EQ(body["stream"], true);
    EXPECT_EQ(body["stream_options"]["include_usage"], true);
    EXPECT_FALSE(body.contains("ignore_eos"));
  }
  EXPECT_EQ(prompts.size(), 40U);
  EXPECT_GT(result.report.json()["ttft_ms"]["p50"], 5.0);
}

TEST(LoadRun, CompletionsTakeAPrompt) {
  const FakeServer server;
  LoadRunOptions options = options_of(1, 1);
  options.api = LoadApi::kCompletions;
  options.ignore_eos = true;
  run(server, options);
  EXPECT_TRUE(server.bodies().at(0)["prompt"].is_string());
  EXPECT_EQ(server.bodies().at(0)["ignore_eos"], true);
}

TEST(LoadRun, AnOpenLoopWaitsForNobody) {
  const FakeServer server(std::chrono::milliseconds(300));
  LoadRunOptions options = options_of(30, 0);
  options.open_loop = true;
  const LoadResult result = run(server, options, 1000);
  EXPECT_EQ(result.report.succeeded(), 30);
  EXPECT_EQ(server.most_at_once(), 30);
}

TEST(LoadRun, AnOpenLoopWithALimitKeepsIt) {
  const FakeServer server(std::chrono::milliseconds(10));
  LoadRunOptions options = options_of(30, 3);
  options.open_loop = true;
  const LoadResult result = run(server, options, 1000);
  EXPECT_EQ(result.report.succeeded(), 30);
  EXPECT_EQ(server.most_at_once(), 3);
}

TEST(LoadRun, TheRateIsThatOfThePlan) {
  const FakeServer server;
  LoadRunOptions options = options_of(50, 0);
  options.open_loop = true;
  const LoadPlan plan = plan_at(100);
  std::chrono::nanoseconds planned{0};
  for (std::uint64_t i = 1; i < 50; ++i) planned += plan.gap(i);
  const double seconds = run(server, options, 100).report.json()["seconds"];
  EXPECT_GE(seconds, std::chrono::duration<double>(planned).count());
  EXPECT_LT(seconds, std::chrono::duration<double>(planned).count() + 0.5);
}

TEST(LoadRun, WarmUpIsNotCounted) {
  const FakeServer server;
  LoadRunOptions options = options_of(3, 2);
  options.warmup = 4;
  EXPECT_EQ(run(server, options).report.requests(), 3);
  std::set<std::string> prompts;
  for (const Json& body : server.bodies()) prompts.insert(body["messages"][0]["content"]);
  EXPECT_EQ(prompts.size(), 7U);
}

TEST(LoadRun, RetriesStayWithinATenth) {
  FakeServer server;
  server.refusal = [](int) { return 429; };
  const LoadResult result = run(server, options_of(50, 1));
  EXPECT_EQ(result.report.refused(), 50);
  EXPECT_EQ(result.report.retries(), 5);
  EXPECT_EQ(result.report.requests(), 50);
  EXPECT_EQ(server.bodies().size(), 55U);
  EXPECT_THAT(result.report.first_failure(), HasSubstr("429: not now"));
}

TEST(LoadRun, TheTenthIsThatOfTheRequestsSoFar) {
  FakeServer server;
  server.refusal = [](int n) { return n < 9 ? 429 : 0; };
  const LoadResult result = run(server, options_of(100, 1));
  EXPECT_EQ(result.report.refused(), 9);  // the ten of all that will come do not help yet
  EXPECT_EQ(result.report.retries(), 0);
}

TEST(LoadRun, ARetryThatIsAnsweredCountsAsAnswered) {
  FakeServer server;
  server.refusal = [](int n) { return n == 15 ? 503 : 0; };
  const LoadResult result = run(server, options_of(20, 1));
  EXPECT_EQ(result.report.succeeded(), 20);
  EXPECT_EQ(result.report.retries(), 1);
  const std::vector<Json> bodies = server.bodies();
  EXPECT_EQ(bodies.at(15), bodies.at(16));
}

TEST(LoadRun, AnOpenLoopDoesNotRetry) {
  FakeServer server;
  server.refusal = [](int n) { return n % 2 == 0 ? 429 : 0; };
  LoadRunOptions options = options_of(40, 4);
  options.open_loop = true;
  const LoadResult result = run(server, options, 1000);
  EXPECT_EQ(result.report.refused(), 20);
  EXPECT_EQ(result.report.succeeded(), 20);
  EXPECT_EQ(result.report.retries(), 0);
}

TEST(LoadRun, OtherAnswersAreErrors) {
  FakeServer server;
  server.refusal = [](int n) { return n < 3 ? 500 : 0; };
  const LoadResult result = run(server, options_of(5, 2));
  EXPECT_EQ(result.report.errors(), 3);
  EXPECT_EQ(result.report.succeeded(), 2);
  EXPECT_EQ(result.report.json()["first_errors"][0], "the server answers 500: not now");
}

TEST(LoadRun, AStreamWithoutAFinishIsAnError) {
  FakeServer server;
  server.stream_end = "{}";
  const LoadResult result = run(server, options_of(2, 1));
  EXPECT_EQ(result.report.errors(), 2);
  EXPECT_THAT(result.report.first_failure(), HasSubstr("without a reason to finish"));
}

TEST(LoadRun, AWarmUpWithoutAnAnswerEndsIt) {
  FakeServer server;
  server.refusal = [](int) { return 400; };
  LoadRunOptions options = options_of(100, 4);
  options.warmup = 2;
  const auto client = server.client();
  const auto result = run_load(*client, plan_at(1), options);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message, "the server answers 400: not now");
  EXPECT_EQ(server.bodies().size(), 2U);
}

TEST(LoadRun, ASignalEndsItWithWhatThereIs) {
  FakeServer server(std::chrono::milliseconds(20));
  server.refusal = [](int n) {
    if (n == 10) std::raise(SIGINT);
    return 0;
  };
  const LoadResult result = run(server, options_of(1'000'000, 2));
  EXPECT_TRUE(result.interrupted);
  EXPECT_GE(result.report.succeeded(), 8);
  EXPECT_LT(result.report.succeeded(), 15);
  EXPECT_EQ(result.report.errors(), 0);
  EXPECT_EQ(result.report.json()["unfinished"], 2);
  EXPECT_GT(result.report.json()["seconds"], 0.0);
}

TEST(LoadRun, TheFirstModelIsTaken) {
  const FakeServer server;
  const auto client = server.client();
  EXPECT_EQ(first_model(*client, "/v1").value_or(""), "tiny");
}

}  // namespace
}  // namespace hearth::apps

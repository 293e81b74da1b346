#include "net/load_client.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

#include "net/server_fixture.h"
#include "net/sse.h"
#include "testing/scripted_server.h"

namespace hearth::net {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::ScriptedServer;

// What came of one request; stops the client when all that were expected have ended.
struct Record final : LoadExchange {
  explicit Record(std::function<void()> done = {}) : ended(std::move(done)) {}
  void on_sent(LoadTime at) override { times.push_back(at); }
  void on_head(const LoadHead& told, LoadTime at) override {
    head = told;
    times.push_back(at);
  }
  void on_data(std::string_view text, LoadTime at) override {
    data.emplace_back(text);
    times.push_back(at);
    if (heard) heard();
  }
  void on_end(const Status& result, std::string_view text, LoadTime at) override {
    status = result;
    document = text;
    times.push_back(at);
    ++ends;
    if (ended) ended();
  }
  std::string code() const { return status ? "" : status.error().code; }
  std::string message() const { return status ? "" : status.error().message; }

  LoadHead head;
  std::vector<std::string> data;
  std::vector<LoadTime> times;
  Status status;
  std::string document;
  int ends = 0;
  std::function<void()> ended, heard;
};

std::unique_ptr<LoadClient> client_of(const std::string& url, LoadClientOptions options = {}) {
  const auto parsed = parse_url(url);
  EXPECT_TRUE(parsed.has_value());
  auto client = LoadClient::create(*parsed, std::move(options));
  EXPECT_TRUE(client.has_value());
  return *std::move(client);
}

std::string address(const RunningServer& server) {
  return "http://127.0.0.1:" + std::to_string(server.port());
}

// One after the other.
std::vector<std::shared_ptr<Record>> ask(LoadClient& client, std::vector<LoadRequest> requests) {
  std::vector<std::shared_ptr<Record>> out;
  for (LoadRequest& request : requests) {
    out.push_back(std::make_shared<Record>([&client] { client.stop(); }));
    client.send(std::move(request), out.back());
    client.run();
    EXPECT_EQ(out.back()->ends, 1);
  }
  return out;
}

std::shared_ptr<Record> ask_scripted(const std::string& answer, LoadClientOptions options = {}) {
  const ScriptedServer server({answer});
  const auto client = client_of(server.url("/"), std::move(options));
  return ask(*client, {{"/v1/x", "{}"}}).front();
}

const std::string kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n";

TEST(LoadClient, PostsAndGetsOverOneConnection) {
  RunningServer server({}, echo);
  const auto client = client_of(address(server));
  const auto records = ask(*client, {{"/v1/x", "{\"a\": 1}"}, {"/v1/models", ""}, {"/b", "2"}});
  EXPECT_EQ(records[0]->document, "POST /v1/x {\"a\": 1}");
  EXPECT_EQ(records[1]->document, "GET /v1/models ");
  EXPECT_EQ(records[2]->document, "POST /b 2");
  EXPECT_EQ(records[2]->head.status, 200);
  EXPECT_EQ(records[2]->head.content_type, "text/plain");
  EXPECT_EQ(server.server().stats().accepted, 1U);
}

TEST(LoadClient, StreamsManyAtOnceWithTimeStamps) {
  Held held;
  RunningServer server({}, held.handler());
  const auto client = client_of(address(server));
  constexpr int kStreams = 50;
  int open = kStreams;
  std::vector<std::shared_ptr<Record>> records;
  for (int i = 0; i < kStreams; ++i) {
    records.push_back(std::make_shared<Record>([&] {
      if (--open == 0) client->stop();
    }));
    client->send({"/s", "{}"}, records.back());
  }
  std::thread answering([&] {
    std::vector<std::unique_ptr<SseWriter>> writers;
    for (int i = 0; i < kStreams; ++i)
      writers.push_back(std::make_unique<SseWriter>(held.next(), std::chrono::seconds(60)));
    for (const char* text : {"one", "two"}) {
      for (auto& writer : writers) {
        writer->begin();
        EXPECT_TRUE(writer->data(text));
      }
      std::this_thread::sleep_for(milliseconds(40));
    }
    for (auto& writer : writers) writer->end();
  });
  client->run();
  answering.join();
  for (const auto& record : records) {
    EXPECT_TRUE(record->status.has_value()) << record->message();
    EXPECT_THAT(record->data, ElementsAre("one", "two"));
    ASSERT_EQ(record->times.size(), 5U);  // sent, head, two lines, end
    EXPECT_TRUE(std::is_sorted(record->times.begin(), record->times.end()));
    EXPECT_GT(record->times[3] - record->times[2], milliseconds(20));
    EXPECT_GT(record->times[4] - record->times[3], milliseconds(20));
  }
  held.forget();
}

TEST(LoadClient, ReadsEveryFraming) {
  const auto chunked = ask_scripted(kStreamHead +
                                    "Transfer-Encoding: chunked\r\n\r\n"
                                    "8\r\ndata: on\r\n3\r\ne\n\n\r\n9\r\ndata: two\r\n1\r\n\n\r\n"
                                    "0\r\n\r\n");
  EXPECT_TRUE(chunked->status.has_value()) << chunked->message();
  EXPECT_THAT(chunked->data, ElementsAre("one", "two"));
  const auto counted = ask_scripted(kStreamHead + "Content-Length: 11\r\n\r\ndata: one\n\n");
  EXPECT_THAT(counted->data, ElementsAre("one"));
  const auto until_closed = ask_scripted(kStreamHead + "Connection: close\r\n\r\ndata: one\n\n");
  EXPECT_TRUE(until_closed->status.has_value()) << until_closed->message();
  EXPECT_THAT(until_closed->data, ElementsAre("one"));
}

TEST(LoadClient, TellsRefusalsWithTheirText) {
  const auto record =
      ask_scripted(ScriptedServer::answer(429, R"({"error":{}})", "Retry-After: 7\r\n"));
  EXPECT_TRUE(record->status.has_value());
  EXPECT_EQ(record->head.status, 429);
  EXPECT_EQ(record->head.retry_after, std::chrono::seconds(7));
  EXPECT_EQ(record->document, R"({"error":{}})");
  const auto date = ask_scripted(
      ScriptedServer::answer(503, "", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n"));
  EXPECT_FALSE(date->head.retry_after.has_value());
}

TEST(LoadClient, TellsWhatIsNoWholeAnswer) {
  const auto code = [](const std::string& answer) { return ask_scripted(answer)->code(); };
  EXPECT_EQ(code("SSH-2.0-OpenSSH_9.2\r\n\r\n"), "bad_answer");
  EXPECT_EQ(code("HTTP/1.1 103 Early Hints\r\n\r\n"), "bad_answer");
  EXPECT_EQ(code(""), "network");
  EXPECT_EQ(code("HTTP/1.1 200 O"), "network");
  EXPECT_EQ(code(kStreamHead + "Transfer-Encoding: chunked\r\n\r\n8\r\ndata: on\r\n"), "network");
  EXPECT_EQ(code(kStreamHead + "Content-Length: 99\r\n\r\ndata: one\n\n"), "network");
  EXPECT_EQ(code("HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n"),
            "answer_too_large");
  EXPECT_EQ(code(ScriptedServer::answer(200, std::string((4u << 20) + 1, 'x'))),
            "answer_too_large");
}

TEST(LoadClient, AsksAgainWhenAKeptConnectionWasClosedMeanwhile) {
  // Said to be kept, closed after each answer.
  const ScriptedServer server({"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1",
                               "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"});
  const auto client = client_of(server.url("/"));
  const auto records = ask(*client, {{"/a", "{}"}, {"/b", "{}"}});
  EXPECT_EQ(records[1]->document, "2");
  EXPECT_EQ(server.requests().size(), 2U);
}

TEST(LoadClient, SendsHeadersAndRefusesForgedOnes) {
  const ScriptedServer server({ScriptedServer::answer(200, "")});
  const auto client = client_of(server.url("/"), {.headers = {{"Authorization", "Bearer k"}}});
  ask(*client, {{"/v1/x", "{}"}});
  const std::string head = server.requests().at(0);
  EXPECT_TRUE(head.starts_with("POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:")) << head;
  EXPECT_THAT(head, HasSubstr("\r\nAuthorization: Bearer k\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nContent-Length: 2\r\n"));
  const auto forged = LoadClient::create(*parse_url(server.url("/")),
                                         {.headers = {{"Authorization", "Bearer k\r\nX: y"}}});
  EXPECT_EQ(forged.error().code, "invalid_header");
}

TEST(LoadClient, SaysWhoCannotBeReached) {
  EXPECT_EQ(LoadClient::create(*parse_url("https://localhost/"), {}).error().code,
            "https_unsupported");
  EXPECT_EQ(LoadClient::create(*parse_url("http://no-such-host.invalid/"), {}).error().code,
            "unknown_host");
  std::string url;
  {
    const ScriptedServer server({""});
    url = server.url("/");
  }
  const auto client = client_of(url);
  const auto record = ask(*client, {{"/", ""}}).front();
  EXPECT_EQ(record->code(), "network");
  EXPECT_THAT(record->message(), HasSubstr("cannot connect to 127.0.0.1:"));
}

TEST(LoadClient, GivesUpWhenTheTimeHasPassed) {
  Held held;
  RunningServer server({}, held.handler());
  const auto client = client_of(address(server), {.timeout = milliseconds(50)});
  const auto record = ask(*client, {{"/", "{}"}}).front();
  EXPECT_EQ(record->code(), "timeout");
  EXPECT_TRUE(eventually([&] { return held.disconnects == 1; }));
  held.forget();
}

TEST(LoadClient, GivesUpConnecting) {
  // A listener whose queue is full: the kernel answers no further SYN.
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  void* const raw = &address;  // the socket calls take every family through this one type
  ASSERT_EQ(::bind(listener, static_cast<sockaddr*>(raw), size), 0);
  ASSERT_EQ(::listen(listener, 0), 0);
  ASSERT_EQ(::getsockname(listener, static_cast<sockaddr*>(raw), &size), 0);
  const std::uint16_t port = ntohs(address.sin_port);
  const testing::LoopbackClient filler(port);
  const auto client =
      client_of("http://127.0.0.1:" + std::to_string(port), {.connect_timeout = milliseconds(50)});
  const auto record = ask(*client, {{"/", "{}"}}).front();
  EXPECT_EQ(record->code(), "timeout");
  EXPECT_THAT(record->message(), HasSubstr("connecting"));
  ::close(listener);
}

TEST(LoadClient, CanBeDroppedWithOpenRequests) {
  Held held;
  RunningServer server({}, held.handler());
  auto client = client_of(address(server));
  const auto record = std::make_shared<Record>();
  client->send({"/", "{}"}, record);
  client.reset();  // not even begun
  client = client_of(address(server));
  client->at(std::chrono::steady_clock::now() + std::chrono::hours(1), [] {});
  client->send({"/", "{}"}, record);
  client->at(std::chrono::steady_clock::now() + milliseconds(20), [&] { client->stop(); });
  client->run();
  client.reset();  // its connection has just been closed
  EXPECT_EQ(record->ends, 1);
  held.forget();
}

TEST(LoadClient, StopBreaksOffAndForgetsWhatWaits) {
  Held held;
  RunningServer server({}, held.handler());
  const auto client = client_of(address(server));
  const auto first = std::make_shared<Record>();
  client->send({"/", "{}"}, first);
  bool late = false;
  client->at(std::chrono::steady_clock::now() + milliseconds(200), [&] { late = true; });
  client->at(std::chrono::steady_clock::now() + milliseconds(20), [&] { client->stop(); });
  client->run();
  EXPECT_EQ(first->code(), "stopped");
  client->at(std::chrono::steady_clock::now() + milliseconds(300), [&] { client->stop(); });
  client->run();
  EXPECT_FALSE(late);
  held.forget();
}

TEST(LoadClient, HearsSignals) {
  Held held;
  RunningServer server({}, held.handler());
  const auto client = client_of(address(server));
  const auto record = std::make_shared<Record>();
  client->send({"/", "{}"}, record);
  client->on_signal([&] { client->stop(); });
  client->at(std::chrono::steady_clock::now() + milliseconds(20), [] { std::raise(SIGINT); });
  client->run();
  EXPECT_EQ(record->code(), "stopped");
  held.forget();
}

}  // namespace
}  // namespace hearth::net

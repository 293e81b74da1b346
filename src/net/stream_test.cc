// Streams, disconnects, draining and caps of net::Server.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <future>
#include <mutex>
#include <vector>

#include "net/exchange.h"
#include "net/server_fixture.h"
#include "net/sse.h"

namespace hearth::net {
namespace {

using testing::http_get;
using testing::http_post;
using testing::LoopbackClient;
using testing::RawResponse;
using namespace std::chrono_literals;

TEST(Stream, ArrivesPieceByPieceAndKeepsTheConnection) {
  Held held;
  RunningServer running({}, held.handler());
  LoopbackClient client(running.port());
  client.send(http_get("/s") + http_get("/after"));
  Responder responder = held.next();
  ASSERT_TRUE(responder.begin_stream(200, {{"Content-Type", "text/plain"}}));
  ASSERT_TRUE(responder.write("first"));
  ASSERT_TRUE(client.read_until("first"));
  ASSERT_TRUE(responder.write("second"));
  responder.end();
  const RawResponse response = client.read_response();
  EXPECT_TRUE(response.complete);
  EXPECT_EQ(response.body, "firstsecond");
  EXPECT_EQ(response.headers.at("transfer-encoding"), "chunked");
  held.next().send({200, {}, "pipelined"});
  EXPECT_EQ(client.read_response().body, "pipelined");
  EXPECT_EQ(held.disconnects, 0);
}

TEST(Stream, ToHttp10EndsWithTheConnection) {
  Held held;
  RunningServer running({}, held.handler());
  LoopbackClient client(running.port());
  client.send("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
  Responder responder = held.next();
  responder.begin_stream(200, {});
  responder.write("plain");
  responder.end();
  const RawResponse response = client.read_response();
  EXPECT_EQ(response.body, "plain");
  EXPECT_EQ(response.headers.count("transfer-encoding"), 0u);
}

TEST(Stream, KeepAliveTextFillsSilence) {
  Held held;
  RunningServer running({}, held.handler());
  LoopbackClient client(running.port());
  client.send(http_get("/"));
  Responder responder = held.next();
  responder.begin_stream(200, {}, {": still here\n\n", 30ms});
  ASSERT_TRUE(client.read_until(": still here\n\n"));
  responder.write("data");
  ASSERT_TRUE(client.read_until("data"));
  responder.end();
  EXPECT_TRUE(client.read_response().complete);
}

TEST(Stream, BeginsByItselfAfterASilence) {
  Held held;
  RunningServer running({}, held.handler());
  LoopbackClient client(running.port());
  client.send(http_get("/"));
  Responder responder = held.next();
  responder.stream_after_silence(200, {}, {": still here\n\n", 30ms});
  ASSERT_TRUE(client.read_until(": still here\n\n"));
  EXPECT_FALSE(responder.send({503, {}, "too late for a status"}));
  EXPECT_TRUE(responder.begin_prepared_stream());
  EXPECT_TRUE(responder.write("data"));
  responder.end();
  const RawResponse response = client.read_response();
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.complete);
  EXPECT_TRUE(response.body.starts_with(": still here\n\n"));
  EXPECT_TRUE(response.body.ends_with("data"));
}

TEST(Stream, ThatHasNotBegunCanStillBeAnotherAnswer) {
  Held held;
  RunningServer running({}, held.handler());
  LoopbackClient client(running.port());
  client.send(http_get("/"));
  Responder responder = held.next();
  responder.stream_after_silence(200, {}, {": still here\n\n", 100ms});
  EXPECT_TRUE(responder.send({503, {}, "busy"}));
  EXPECT_FALSE(responder.begin_prepared_stream());
  const RawResponse response = client.read_response();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "busy");
  std::this_thread::sleep_for(200ms);  // and nothing follows
  client.send(http_get("/health"));
  EXPECT_EQ(client.read_response().body, "ok");
}

TEST(Stream, AbortIsNoProperEnd) {
  Held held;
  RunningServer running({}, held.handler());
  LoopbackClient client(running.port());
  client.send(http_get("/"));
  Responder responder = held.next();
  responder.begin_stream(200, {});
  responder.write("part");
  ASSERT_TRUE(client.read_until("part"));
  responder.abort();
  EXPECT_FALSE(client.read_response().complete);
  EXPECT_TRUE(client.wait_closed());
  EXPECT_FALSE(responder.write("more"));
}

enum class Leave { kClose, kReset, kHalfClose };

class Disconnect : public ::testing::TestWithParam<std::tuple<Leave, bool>> {};

TEST_P(Disconnect, IsSeenAtOnce) {
  const auto [how, streaming] = GetParam();
  Held held;
  RunningServer running({}, held.handler());
  LoopbackClient client(running.port());
  client.send(http_get("/"));
  Responder responder = held.next();
  if (streaming) {
    responder.begin_stream(200, {});
    responder.write("begun");
    ASSERT_TRUE(client.read_until("begun"));
  }
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(held.disconnects, 0);
  const auto left = std::chrono::steady_clock::now();
  switch (how) {
    case Leave::kClose:
      client.close();
      break;
    case Leave::kReset:
      client.reset();
      break;
    case Leave::kHalfClose:
      client.shutdown_send();
      break;
  }
  EXPECT_TRUE(eventually([&] { return held.disconnects == 1; }));
  EXPECT_LT(std::chrono::steady_clock::now() - left, 1s);
  EXPECT_TRUE(responder.disconnected());
  EXPECT_FALSE(responder.write("more"));
  responder.send({200, {}, "into the void"});
  EXPECT_TRUE(eventually([&] { return running.server().stats().connections == 0; }));
  EXPECT_EQ(held.disconnects, 1);
}

INSTANTIATE_TEST_SUITE_P(Ways, Disconnect,
                         ::testing::Combine(::testing::Values(Leave::kClose, Leave::kReset,
                                                              Leave::kHalfClose),
                                            ::testing::Bool()));

TEST(Disconnect, OfAPipeliningClientIsSeenToo) {
  Held held;
  RunningServer running({}, held.handler());
  LoopbackClient client(running.port());
  client.send(http_get("/1") + http_get("/2"));
  Responder responder = held.next();
  client.close();
  EXPECT_TRUE(eventually([&] { return held.disconnects == 1; }));
}

TEST(Disconnect, CallbackSetAfterTheEventIsCalledAtOnce) {
  std::promise<Responder> arrived;
  RunningServer running({}, [&](HttpRequest, Responder responder) {
    responder.on_disconnect([] {});
    arrived.set_value(std::move(responder));
  });
  LoopbackClient client(running.port());
  client.send(http_get("/"));
  Responder responder = arrived.get_future().get();
  client.reset();
  ASSERT_TRUE(eventually([&] { return responder.disconnected(); }));
  bool called = false;
  responder.on_disconnect([&] { called = true; });
  EXPECT_TRUE(called);
}

TEST(Disconnect, AHalfClosedClientStillGetsAQuickAnswer) {
  RunningServer running({}, [](HttpRequest, Responder responder) {
    std::thread([responder]() mutable {
      std::this_thread::sleep_for(50ms);
      responder.send({200, {}, "late"});
    }).detach();
  });
  LoopbackClient client(running.port());
  client.send(http_get("/"));
  client.shutdown_send();
  EXPECT_EQ(client.read_response().body, "late");
  EXPECT_TRUE(client.wait_closed(2s));
}

TEST(Exchange, WakesASessionThatIsBusyWriting) {
  int wakes = 0;
  Exchange exchange({.name = {"r"}, .unsent_bytes_max = 400}, [&] { ++wakes; });
  ASSERT_TRUE(exchange.begin_stream(200, {}, {}));
  EXPECT_TRUE(exchange.write("within"));
  EXPECT_EQ(wakes, 1);  // one post is enough until it has run
  exchange.woken();
  // Nothing was taken meanwhile, and yet the session must hear that the answer is given up.
  EXPECT_FALSE(exchange.write(std::string(400, 'x')));
  EXPECT_EQ(wakes, 2);
  EXPECT_TRUE(exchange.take().aborted);
  exchange.detach();
  exchange.abort();
  EXPECT_EQ(wakes, 2);
}

TEST(Responder, DroppedUnansweredAnswers500) {
  RunningServer running({}, [](HttpRequest, Responder) {});
  LoopbackClient client(running.port());
  client.send(http_get("/", "X-Request-Id: lost-1\r\n"));
  const RawResponse response = client.read_response();
  EXPECT_EQ(response.status, 500);
  EXPECT_NE(response.body.find("lost-1"), std::string::npos);
}

TEST(Responder, OutlivesTheServer) {
  Held held;
  auto running = std::make_unique<RunningServer>(ServerOptions{}, held.handler());
  LoopbackClient client(running->port());
  client.send(http_get("/"));
  Responder responder = held.next();
  running.reset();
  EXPECT_EQ(held.disconnects, 1);
  EXPECT_FALSE(responder.begin_stream(200, {}));
  responder.send({200, {}, "late"});
  EXPECT_TRUE(client.wait_closed());
}

TEST(Stop, DrainsOpenRequestsAndClosesIdleConnections) {
  Held held;
  RunningServer running({}, held.handler());
  LoopbackClient idle(running.port());
  idle.send(http_get("/health"));
  EXPECT_EQ(idle.read_response().status, 200);
  LoopbackClient busy(running.port());
  busy.send(http_get("/"));
  Responder responder = held.next();
  running.server().stop();
  EXPECT_TRUE(idle.wait_closed(3s));
  EXPECT_EQ(held.disconnects, 0);
  responder.send({200, {}, "finished"});
  const RawResponse response = busy.read_response();
  EXPECT_EQ(response.body, "finished");
  EXPECT_TRUE(busy.wait_closed(3s));
  busy.close();
  running.join();
}

TEST(Stop, AnswersNewcomersUntilOpenRequestsHaveEnded) {
  ServerOptions options;
  std::atomic<int> stops = 0;
  options.on_stop = [&] { ++stops; };
  Held held;
  RunningServer running(options, held.handler());
  LoopbackClient busy(running.port());
  busy.send(http_get("/"));
  Responder responder = held.next();
  running.server().stop();
  ASSERT_TRUE(eventually([&] { return stops == 1; }));
  LoopbackClient silent(running.port());  // never asks for anything: holds up nobody
  for (int i = 0; i < 3; ++i) {
    LoopbackClient late(running.port());
    late.send(http_get("/health"));
    const RawResponse response = late.read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.headers.at("connection"), "close");
    EXPECT_TRUE(late.wait_closed(3s));
  }
  responder.send({200, {}, "finished"});
  EXPECT_EQ(busy.read_response().body, "finished");
  busy.close();
  running.join();
  EXPECT_TRUE(silent.wait_closed(3s));
  EXPECT_EQ(stops, 1);
}

TEST(Limits, ChangeForConnectionsThatComeLater) {
  RunningServer running({}, echo);
  LoopbackClient early(running.port());
  ASSERT_TRUE(eventually([&] { return running.server().stats().connections == 1; }));
  ServerLimits limits;
  limits.header_count_max = 3;
  limits.connections_max = 2;
  running.server().set_limits(limits);
  const std::string headers = "A: 1\r\nB: 2\r\nC: 3\r\n";
  LoopbackClient late(running.port());
  late.send(http_get("/", headers));
  EXPECT_EQ(late.read_response().status, 431);
  early.send(http_get("/", headers));
  EXPECT_EQ(early.read_response().status, 200);
  // Both have been answered; as soon as one of them is idle it makes room for a third.
  EXPECT_TRUE(eventually([&] {
    LoopbackClient third(running.port());
    third.send(http_get("/"));
    return third.read_response().status == 200;
  }));
  EXPECT_GT(running.server().stats().evicted, 0u);
}

TEST(Signals, HangUpIsNoReasonToStopForWhoListensToIt) {
  ServerOptions options;
  options.port = 0;
  std::atomic<int> calls = 0;
  options.on_hangup = [&] { ++calls; };
  Server server(options, echo);
  ASSERT_TRUE(server.listen().has_value());
  std::thread thread([&] { server.run(); });
  LoopbackClient client(server.port());
  client.send(http_get("/"));
  EXPECT_EQ(client.read_response().status, 200);
  for (int i = 1; i <= 2; ++i) {
    ASSERT_EQ(::kill(::getpid(), SIGHUP), 0);
    EXPECT_TRUE(eventually([&] { return calls == i; }));
  }
  client.send(http_get("/"));
  EXPECT_EQ(client.read_response().status, 200);
  server.stop();
  thread.join();
}

TEST(Stop, GivesUpRequestsThatTakeTooLong) {
  ServerOptions options;
  options.drain_timeout = 100ms;
  Held held;
  RunningServer running(options, held.handler());
  LoopbackClient client(running.port());
  client.send(http_get("/"));
  Responder responder = held.next();
  running.server().stop();
  running.join();
  EXPECT_EQ(held.disconnects, 1);
  EXPECT_TRUE(client.wait_closed());
}

TEST(Stop, ComesWithASignal) {
  ServerOptions options;
  options.port = 0;
  Server server(options, echo);
  ASSERT_TRUE(server.listen().has_value());
  std::thread thread([&] { server.run(); });
  LoopbackClient client(server.port());
  client.send(http_get("/"));
  EXPECT_EQ(client.read_response().status, 200);
  ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
  thread.join();
  EXPECT_TRUE(client.wait_closed());
}

TEST(Caps, IdleConnectionsMakeRoomAndBusyOnesDoNot) {
  ServerOptions options;
  options.connections_max = 4;
  Held held;
  RunningServer running(options, held.handler());
  std::vector<std::unique_ptr<LoopbackClient>> idle;
  for (int i = 0; i < 40; ++i) {
    idle.push_back(std::make_unique<LoopbackClient>(running.port()));
    LoopbackClient visitor(running.port());
    visitor.send(http_get("/health"));
    ASSERT_EQ(visitor.read_response().status, 200) << i;
  }
  EXPECT_GT(running.server().stats().evicted, 0u);
  idle.clear();
  ASSERT_TRUE(eventually([&] { return running.server().stats().connections == 0; }));

  std::vector<std::unique_ptr<LoopbackClient>> busy;
  for (int i = 0; i < 4; ++i) {
    busy.push_back(std::make_unique<LoopbackClient>(running.port()));
    busy.back()->send(http_get("/"));
    held.next();
  }
  LoopbackClient refused(running.port());
  const RawResponse response = refused.read_response();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.headers.at("retry-after"), "1");
  EXPECT_TRUE(refused.wait_closed());
  held.forget();  // answers 500
}

TEST(Caps, AcceptingPausesWhenDescriptorsRunOut) {
  ServerOptions options;
  options.raise_descriptor_limit = false;
  RunningServer running(options, echo);
  LoopbackClient early(running.port());
  early.send(http_get("/1"));
  EXPECT_EQ(early.read_response().status, 200);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  // One descriptor for the client below, none for the server's side of it.
  const int probe = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(probe, 0);
  ::close(probe);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(probe) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  LoopbackClient late(running.port());
  late.send(http_get("/2"));
  EXPECT_TRUE(eventually([&] { return running.server().stats().accept_pauses > 0; }));
  // The idle connection gives its descriptor up.
  EXPECT_EQ(late.read_response().status, 200);
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(early.wait_closed());
}

TEST(Sse, WritesEvents) {
  EXPECT_EQ(sse_event("", "{\"a\":1}"), "data: {\"a\":1}\n\n");
  EXPECT_EQ(sse_event("error", "x"), "event: error\ndata: x\n\n");
  EXPECT_EQ(sse_event("", "a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n\n");
  EXPECT_EQ(sse_event("", ""), "data: \n\n");
}

}  // namespace
}  // namespace hearth::net

// Clients that read slowly, or not at all.
#include <gtest/gtest.h>

#include "net/server_fixture.h"

namespace hearth::net {
namespace {

using testing::http_get;
using testing::LoopbackClient;
using testing::RawResponse;
using namespace std::chrono_literals;

TEST(BackPressure, ASlowReaderIsCutOffAndTheWriterNeverWaits) {
  Held held;
  RunningServer running({}, held.handler());
  LoopbackClient client(running.port(), 4096);
  client.send(http_get("/"));
  Responder responder = held.next();
  ASSERT_TRUE(responder.begin_stream(200, {}));
  const std::string chunk(64 << 10, 'x');
  std::size_t accepted = 0;
  const auto start = std::chrono::steady_clock::now();
  while (accepted < (64u << 20) && responder.write(chunk)) accepted += chunk.size();
  // The server's 1 MiB and what the kernel takes, but no more.
  EXPECT_GE(accepted, 512u << 10);
  EXPECT_LE(accepted, 8u << 20);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
  EXPECT_TRUE(eventually([&] { return held.disconnects == 1; }));
  EXPECT_TRUE(eventually([&] { return running.server().stats().connections == 0; }));
}

TEST(BackPressure, NoProgressEndsTheStream) {
  ServerOptions options;
  options.write_timeout = 200ms;
  Held held;
  RunningServer running(options, held.handler());
  LoopbackClient client(running.port(), 4096);
  client.send(http_get("/"));
  Responder responder = held.next();
  responder.send({200, {}, std::string(16 << 20, 'x')});  // whole answers may be large
  EXPECT_TRUE(eventually([&] { return running.server().stats().connections == 0; }));
}

TEST(BackPressure, ATrickleEndsTheAnswer) {
  ServerOptions options;  // its write_timeout is never over
  options.write_grace = 200ms;
  options.write_bytes_per_s_min = 4 << 20;
  Held held;
  RunningServer running(options, held.handler());
  LoopbackClient client(running.port(), 4096);
  client.send(http_get("/"));
  Responder responder = held.next();
  responder.send({200, {}, std::string(16 << 20, 'x')});
  const auto start = std::chrono::steady_clock::now();
  while (client.read_few(64) && std::chrono::steady_clock::now() < start + 20s) {
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
  EXPECT_TRUE(eventually([&] { return running.server().stats().connections == 0; }));
  EXPECT_EQ(running.server().stats().disconnects, 1u);
}

TEST(BackPressure, TheRateCountsOnlyWhileThereIsSomethingToSend) {
  ServerOptions options;
  options.write_grace = 100ms;
  options.write_bytes_per_s_min = 4 << 20;
  Held held;
  RunningServer running(options, held.handler());
  LoopbackClient client(running.port());
  client.send(http_get("/"));
  Responder responder = held.next();
  ASSERT_TRUE(responder.begin_stream(200, {}));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(responder.write("a few bytes"));
    std::this_thread::sleep_for(250ms);
  }
  responder.end();
  EXPECT_TRUE(client.read_response().complete);
}

TEST(BackPressure, AFastReaderGetsEverything) {
  Held held;
  RunningServer running({}, held.handler());
  LoopbackClient client(running.port());
  client.send(http_get("/"));
  Responder responder = held.next();
  responder.send({200, {}, std::string(16 << 20, 'x')});
  const RawResponse response = client.read_response();
  EXPECT_TRUE(response.complete);
  EXPECT_EQ(response.body.size(), 16u << 20);
}

}  // namespace
}  // namespace hearth::net

#include "net/server.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "net/server_fixture.h"

namespace hearth::net {
namespace {

using testing::http_get;
using testing::http_post;
using testing::LoopbackClient;
using testing::RawResponse;
using namespace std::chrono_literals;

std::string code_of(const RawResponse& response) {
  const auto document = parse_json(response.body);
  if (!document || !document->contains("error")) return "no error document: " + response.body;
  return (*document)["error"]["code"].get<std::string>();
}

// Sends raw bytes; expects a refusal with that status and a closed connection.
void expect_refused(std::uint16_t port, const std::string& bytes, int status,
                    const std::string& code) {
  SCOPED_TRACE(bytes.substr(0, 200));
  LoopbackClient client(port);
  client.send(bytes);
  const RawResponse response = client.read_response();
  EXPECT_EQ(response.status, status);
  EXPECT_EQ(code_of(response), code);
  EXPECT_EQ(response.headers.at("connection"), "close");
  EXPECT_TRUE(response.complete);
  EXPECT_FALSE(response.headers.at("x-request-id").empty());
  client.shutdown_send();
  EXPECT_TRUE(client.wait_closed());
  EXPECT_EQ(client.buffered(), "");  // nothing of what followed was answered
}

TEST(Server, AnswersAndKeepsTheConnection) {
  RunningServer running({}, echo);
  LoopbackClient client(running.port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send(http_post("/a%20b?x=1", "body")));
    const RawResponse response = client.read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "POST /a b body");
    EXPECT_EQ(response.headers.count("connection"), 0u);
    EXPECT_EQ(response.headers.count("date"), 1u);
  }
  EXPECT_EQ(running.server().stats().accepted, 1u);
}

TEST(Server, HonoursConnectionClose) {
  RunningServer running({}, echo);
  LoopbackClient client(running.port());
  client.send(http_get("/", "Connection: close\r\n"));
  const RawResponse response = client.read_response();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("connection"), "close");
  EXPECT_TRUE(client.wait_closed(2s));
}

TEST(Server, ClosesAfterHttp10) {
  RunningServer running({}, echo);
  LoopbackClient client(running.port());
  client.send("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_TRUE(client.wait_closed(2s));
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  RunningServer running({}, [](HttpRequest request, Responder responder) {
    // The first answer comes late and from another thread.
    std::thread([request, responder]() mutable {
      if (request.path == "/1") std::this_thread::sleep_for(50ms);
      responder.send({200, {}, request.path + request.body});
    }).detach();
  });
  LoopbackClient client(running.port());
  client.send(http_post("/1", "one") + "\r\n" + http_get("/2") + http_post("/3", "three"));
  EXPECT_EQ(client.read_response().body, "/1one");
  EXPECT_EQ(client.read_response().body, "/2");
  EXPECT_EQ(client.read_response().body, "/3three");
}

TEST(Server, AnswersHeadWithoutBody) {
  RunningServer running({}, echo);
  LoopbackClient client(running.port());
  client.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n" + http_get("/x"));
  const RawResponse head = client.read_response(10s, true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), "7");  // "HEAD / "
  EXPECT_EQ(client.read_response().body, "GET /x ");
}

TEST(Server, ReadsChunkedBodiesByteByByte) {
  RunningServer running({}, echo);
  LoopbackClient client(running.port());
  const std::string bytes =
      "POST /c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
      "4;ext=1\r\nhell\r\n1\r\no\r\n0\r\nTrailer: x\r\n\r\n";
  for (const char c : bytes) ASSERT_TRUE(client.send({&c, 1}));
  EXPECT_EQ(client.read_response().body, "POST /c hello");
  client.send(http_get("/next"));
  EXPECT_EQ(client.read_response().body, "GET /next ");
}

TEST(Server, SendsContinueWhenAsked) {
  RunningServer running({}, echo);
  LoopbackClient client(running.port());
  client.send(
      "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(client.read_until("HTTP/1.1 100 Continue\r\n\r\n"));
  EXPECT_EQ(client.read_response(1s, true).status, 100);
  client.send("hi");
  EXPECT_EQ(client.read_response().body, "POST / hi");
}

TEST(Server, EchoesHarmlessRequestIdsOnly) {
  RunningServer running({}, echo);
  LoopbackClient client(running.port());
  client.send(http_get("/", "X-Request-Id: abc-1.2_3\r\n"));
  EXPECT_EQ(client.read_response().headers.at("x-request-id"), "abc-1.2_3");
  client.send(http_get("/", "X-Request-Id: <script>\r\n"));
  EXPECT_TRUE(client.read_response().headers.at("x-request-id").starts_with("req-"));
}

TEST(Server, RefusesAmbiguousFraming) {
  RunningServer running({}, echo);
  const std::string post = "POST / HTTP/1.1\r\nHost: localhost\r\n";
  const std::string smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "malformed_request"},
      {"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", "malformed_request"},
      {"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "malformed_request"},
      {"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", "invalid_framing"},
      {"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", "malformed_request"},
      {"Content-Length: 2, 2\r\n\r\nhi", "invalid_framing"},
      {"Content-Length: +2\r\n\r\nhi", "malformed_request"},
      {"Content-Length: -2\r\n\r\nhi", "malformed_request"},
      {"Content-Length: 0x2\r\n\r\nhi", "malformed_request"},
      {"Content-Length: 99999999999999999999999\r\n\r\nhi", "malformed_request"},
      {"Content-Length:\r\n\r\nhi", "malformed_request"},
      {"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "invalid_framing"},
      {"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "invalid_framing"},
      {"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "invalid_framing"},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "malformed_request"},
      {"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "invalid_framing"},
      {"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "malformed_request"},
      {"Content-Length : 2\r\n\r\nhi", "malformed_request"},
      {"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", "malformed_request"},
      {"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", "malformed_request"},
      {"Transfer-Encoding: chunked\r\n\r\n2\r\nhiX\r\n0\r\n\r\n", "malformed_request"},
      {"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", "malformed_request"},
  };
  for (const auto& [rest, code] : cases) {
    expect_refused(running.port(), post + rest + smuggled, 400, code);
  }
  expect_refused(
      running.port(),
      "POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
      "invalid_framing");
}

TEST(Server, RefusesMalformedHeads) {
  RunningServer running({}, echo);
  const std::string host = "Host: localhost\r\n";
  for (const std::string& head : {
           "GET /\r\n" + host + "\r\n",
           "GET  / HTTP/1.1\r\n" + host + "\r\n",
           "G(T / HTTP/1.1\r\n" + host + "\r\n",
           "GET / HTTP/1.1\n" + host + "\r\n",
           "GET / HTTP/1.1\r\n" + host + "A b: c\r\n\r\n",
           "GET / HTTP/1.1\r\n" + host + "A: b\rc\r\n\r\n",
           "GET / HTTP/1.1\r\n" + host + std::string("A: b\0c\r\n\r\n", 10),
           "GET /a b HTTP/1.1\r\n" + host + "\r\n",
           "\x16\x03\x01\x02\x01\x01\xfc\x03\x03" + std::string(20, 'x'),
       }) {
    SCOPED_TRACE(head);
    LoopbackClient client(running.port());
    client.send(head);
    const int status = client.read_response().status;
    EXPECT_TRUE(status == 400 || status == 505) << status;
    client.shutdown_send();
    EXPECT_TRUE(client.wait_closed());
  }
  expect_refused(running.port(), "GET / HTTP/2.0\r\n" + host + "\r\n", 505, "unsupported_version");
  for (const char* target : {"/%", "/%zz", "/%ff", "/\xff", "/%00", "/a/../b", "/%2e%2e/etc",
                             "/a%0d", "/?x=%c3%28", "/?x=%00", "x", "*", "/%ed%a0%80"}) {
    SCOPED_TRACE(target);
    LoopbackClient client(running.port());
    client.send(http_get(target));
    EXPECT_EQ(client.read_response().status, 400);
  }
}

TEST(Server, ChecksHostAndOrigin) {
  ServerOptions options;
  options.allowed_hosts = {"hearth.example"};
  RunningServer running(options, echo);
  const auto status = [&](const std::string& headers, const std::string& target = "/") {
    LoopbackClient client(running.port());
    client.send("GET " + target + " HTTP/1.1\r\n" + headers + "\r\n");
    return client.read_response().status;
  };
  EXPECT_EQ(status("Host: localhost\r\n"), 200);
  EXPECT_EQ(status("Host: LOCALHOST:99\r\n"), 200);
  EXPECT_EQ(status("Host: 127.0.0.1:8080\r\n"), 200);
  EXPECT_EQ(status("Host: [::1]:8080\r\n"), 200);
  EXPECT_EQ(status("Host: hearth.example\r\n"), 200);
  EXPECT_EQ(status("Host: evil.example\r\n"), 421);
  EXPECT_EQ(status("Host: localhost.evil.example\r\n"), 421);
  EXPECT_EQ(status("Host: localhost:80@evil.example\r\n"), 421);
  EXPECT_EQ(status("Host: \r\n"), 421);
  EXPECT_EQ(status(""), 400);
  EXPECT_EQ(status("Host: localhost\r\nHost: localhost\r\n"), 400);
  EXPECT_EQ(status("Host: localhost\r\nOrigin: http://localhost:3000\r\n"), 200);
  EXPECT_EQ(status("Host: localhost\r\nOrigin: https://hearth.example\r\n"), 200);
  EXPECT_EQ(status("Host: localhost\r\nOrigin: http://evil.example\r\n"), 403);
  EXPECT_EQ(status("Host: localhost\r\nOrigin: null\r\n"), 403);
  EXPECT_EQ(status("Host: localhost\r\n", "http://localhost:1/x"), 200);
  EXPECT_EQ(status("Host: localhost\r\n", "http://evil.example/x"), 421);
}

TEST(Server, BoundsHeaders) {
  RunningServer running({}, echo);
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  expect_refused(running.port(), http_get("/", many), 431, "headers_too_large");
  std::string over_count;
  for (int i = 0; i < 100; ++i) over_count += "X-" + std::to_string(i) + ": y\r\n";
  expect_refused(running.port(), http_get("/", over_count), 431, "headers_too_large");
  expect_refused(running.port(), http_get("/", "X: " + std::string(17'000, 'y') + "\r\n"), 431,
                 "headers_too_large");
  expect_refused(running.port(), http_get("/" + std::string(17'000, 'y')), 431,
                 "headers_too_large");
  LoopbackClient client(running.port());
  client.send(http_get("/", "X: " + std::string(15'000, 'y') + "\r\n"));
  EXPECT_EQ(client.read_response().status, 200);
}

TEST(Server, BoundsBodies) {
  ServerOptions options;
  options.body_bytes_max = 1000;
  RunningServer running(options, echo);
  // Refused from the length alone: the body never comes.
  LoopbackClient client(running.port());
  client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n");
  const RawResponse response = client.read_response();
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(code_of(response), "body_too_large");
  expect_refused(running.port(),
                 "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3e9\r\n" +
                     std::string(1001, 'x') + "\r\n0\r\n\r\n",
                 413, "body_too_large");
  LoopbackClient fits(running.port());
  fits.send(http_post("/", std::string(1000, 'x')));
  EXPECT_EQ(fits.read_response().status, 200);
}

TEST(Server, AClientThatSendsOnStillReadsTheRefusal) {
  RunningServer running({}, echo);
  LoopbackClient client(running.port());
  client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2147483648\r\n\r\n");
  const std::string newlines(1 << 20, '\n');
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(client.send(newlines)) << i;
  EXPECT_EQ(client.read_response().status, 413);
}

TEST(Server, RefusesEncodedBodiesAndOtherExpectations) {
  RunningServer running({}, echo);
  expect_refused(running.port(), http_post("/", "x", "Content-Encoding: gzip\r\n"), 415,
                 "unsupported_content_encoding");
  expect_refused(running.port(), http_post("/", "x", "Expect: gold\r\n"), 417,
                 "unsupported_expectation");
  LoopbackClient client(running.port());
  client.send(http_post("/", "x", "Content-Encoding: identity\r\n"));
  EXPECT_EQ(client.read_response().status, 200);
}

TEST(Server, GivesDrippingClientsUp) {
  ServerOptions options;
  options.header_timeout = 150ms;
  options.body_grace = 150ms;
  options.body_bytes_per_s_min = 100;
  options.idle_timeout = 300ms;
  RunningServer running(options, echo);

  LoopbackClient head(running.port());
  const auto start = std::chrono::steady_clock::now();
  std::thread dripper([&] {
    const std::string bytes = http_get("/", "X-A: " + std::string(500, 'x') + "\r\n");
    for (const char c : bytes) {
      if (!head.send({&c, 1})) return;
      std::this_thread::sleep_for(5ms);
    }
  });
  const RawResponse late = head.read_response();
  EXPECT_EQ(late.status, 408);
  EXPECT_EQ(code_of(late), "header_timeout");
  EXPECT_LT(std::chrono::steady_clock::now() - start, 1s);
  dripper.join();

  LoopbackClient body(running.port());
  body.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nstart");
  const RawResponse slow = body.read_response();
  EXPECT_EQ(slow.status, 408);
  EXPECT_EQ(code_of(slow), "body_timeout");

  LoopbackClient idle(running.port());
  EXPECT_TRUE(idle.wait_closed(3s));
  EXPECT_EQ(idle.buffered(), "");
}

TEST(Server, RefusesToListenBeyondLoopback) {
  ServerOptions options;
  options.host = "0.0.0.0";
  options.port = 0;
  Server server(options, echo);
  const Status listening = server.listen();
  ASSERT_FALSE(listening.has_value());
  EXPECT_EQ(listening.error().code, "tls_required");
}

TEST(Server, TellsWhenThePortIsTaken) {
  RunningServer running({}, echo);
  ServerOptions options;
  options.port = running.port();
  Server second(options, echo);
  const Status listening = second.listen();
  ASSERT_FALSE(listening.has_value());
  EXPECT_EQ(listening.error().code, "listen_failed");
}

}  // namespace
}  // namespace hearth::net

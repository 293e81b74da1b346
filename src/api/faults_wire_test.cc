// Faults below the API: bytes that are no honest HTTP, or come as they should not. The numbers are
// those of docs/faults.md.
#include "api/whole_server_fixture.h"

namespace hearth::api {
namespace {

using SteadyClock = std::chrono::steady_clock;

const std::string kPost = "POST /generate HTTP/1.1\r\nHost: localhost\r\n";
const std::string kSmuggled = http_post("/generate", R"({"prompt":"smuggled","max_tokens":50})");

// Refused with that status, told why, and nothing that followed was looked at.
void expect_refused(WholeServer& whole, const std::string& bytes, const std::string& wanted) {
  SCOPED_TRACE(bytes.substr(0, 200));
  LoopbackClient client(whole.port());
  client.send(bytes);
  const RawResponse response = client.read_response(WholeServer::kPatience);
  EXPECT_EQ(verdict(response), wanted);
  EXPECT_TRUE(response.complete);
  EXPECT_EQ(response.headers.count("connection"), 1u);
  client.shutdown_send();
  EXPECT_TRUE(client.wait_closed(WholeServer::kPatience));
  EXPECT_EQ(client.buffered(), "");
}

TEST(Fault01, HeadersAndBodiesThatDripAreGivenUp) {
  WholeServerOptions options;
  options.server.header_timeout = 300ms;
  options.server.body_grace = 300ms;
  options.server.body_bytes_per_s_min = 4000;
  WholeServer whole(options);
  Undisturbed stream(whole);
  const auto start = SteadyClock::now();
  std::vector<std::thread> drippers;
  for (int i = 0; i < 8; ++i) {
    drippers.emplace_back([&, i] {
      LoopbackClient client(whole.port());
      // It would take a quarter of a minute; a byte that arrives does not give more time.
      const std::string head = i % 2 == 0 ? "GET /health HTTP/1.1\r\nHost: localhost\r\nX: "
                                          : kPost + "Content-Length: 3000\r\n\r\n";
      client.send(head);
      for (int byte = 0; byte < 3000 && client.send(" "); ++byte) {
        std::this_thread::sleep_for(5ms);
        if (client.read_until("\r\n\r\n", 0ms)) break;
      }
      const RawResponse response = client.read_response();
      EXPECT_EQ(verdict(response), i % 2 == 0 ? "408 header_timeout" : "408 body_timeout");
      EXPECT_EQ(response.headers.count("connection"), 1u);
      client.shutdown_send();
      EXPECT_TRUE(client.wait_closed());
    });
  }
  for (std::thread& dripper : drippers) dripper.join();
  EXPECT_LT(SteadyClock::now() - start, 12s);
  stream.check_after({errors_of("header_timeout"), errors_of("body_timeout")});
  EXPECT_EQ(stream.foreign_tokens(), 0);
}

TEST(Fault03, AmbiguousFramingIsRefusedAndNothingIsSmuggled) {
  WholeServer whole;
  Undisturbed stream(whole);
  const std::string empty_chunk = "0\r\n\r\n";
  for (const std::string& framing : {
           "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + empty_chunk,
           "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + empty_chunk,
           "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + empty_chunk,
       }) {
    expect_refused(whole, kPost + framing + kSmuggled, "400 malformed_request");
  }
  for (const std::string& framing : {
           std::string("Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
           std::string("Content-Length: 0, 0\r\n\r\n"),
           "Transfer-Encoding: chunked, gzip\r\n\r\n" + empty_chunk,
           "Transfer-Encoding: gzip, chunked\r\n\r\n" + empty_chunk,
           "Transfer-Encoding: chunked, chunked\r\n\r\n" + empty_chunk,
           "Transfer-Encoding: \x0b"
           "chunked\r\n\r\n" +
               empty_chunk,
       }) {
    SCOPED_TRACE(framing);
    LoopbackClient client(whole.port());
    client.send(kPost + framing + kSmuggled);
    const RawResponse response = client.read_response(WholeServer::kPatience);
    EXPECT_EQ(response.status, 400);
    client.shutdown_send();
    EXPECT_TRUE(client.wait_closed());
    EXPECT_EQ(client.buffered(), "");
  }
  stream.check_after({errors_of("malformed_request"), errors_of("invalid_framing")});
  EXPECT_EQ(stream.foreign_tokens(), 0);
}

TEST(Fault04, ThousandsOfHeadersAreRefused) {
  WholeServer whole;
  Undisturbed stream(whole);
  std::string small;  // many, but within the bytes of a head
  for (int i = 0; i < 1000; ++i) small += "a:b\r\n";
  std::string many;
  for (int i = 0; i < 50'000; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  for (const std::string& headers : {small, many, "X: " + std::string(1 << 20, 'y') + "\r\n"}) {
    expect_refused(whole, http_get("/health", headers), "431 headers_too_large");
  }
  // Without an end: refused as soon as it is too much.
  LoopbackClient endless(whole.port());
  endless.send("GET /health HTTP/1.1\r\nHost: localhost\r\n" + many);
  EXPECT_EQ(verdict(endless.read_response(WholeServer::kPatience)), "431 headers_too_large");
  endless.close();
  stream.check_after({errors_of("headers_too_large")});
}

TEST(Fault08, BodiesOverTheCapAreRefusedWithoutBeingRead) {
  WholeServer whole;
  Undisturbed stream(whole);
  for (const char* length : {"2147483648", "2147483649", "4294967296", "9223372036854775807"}) {
    expect_refused(whole, kPost + "Content-Length: " + length + "\r\n\r\n{\"prompt\":\"",
                   "413 body_too_large");
  }
  // 2^31 newlines in chunks: over at the cap, whatever is still to come.
  LoopbackClient client(whole.port());
  client.send(kPost + "Transfer-Encoding: chunked\r\n\r\n80000000\r\n");
  const std::string newlines(1 << 18, '\n');
  std::size_t sent = 0;
  while (sent < (1u << 31) && client.send(newlines)) {
    sent += newlines.size();
    if (client.read_until("\r\n\r\n", 0ms)) break;
  }
  EXPECT_EQ(verdict(client.read_response()), "413 body_too_large");
  EXPECT_LT(sent, 64u << 20);  // 8 MiB and what lay in the socket's buffers
  client.close();
  // The same in many small chunks.
  LoopbackClient small(whole.port());
  small.send(kPost + "Transfer-Encoding: chunked\r\n\r\n");
  std::string chunks;
  for (int i = 0; i < 4096; ++i) chunks += "10\r\n" + std::string(16, '\n') + "\r\n";
  for (int i = 0; i < 1000 && small.send(chunks); ++i) {
    if (small.read_until("\r\n\r\n", 0ms)) break;
  }
  EXPECT_EQ(verdict(small.read_response()), "413 body_too_large");
  small.close();
  stream.check_after({errors_of("body_too_large")});
  EXPECT_EQ(stream.foreign_tokens(), 0);
}

TEST(Fault34, PathTricksReachNothing) {
  WholeServer whole;
  Undisturbed stream(whole);
  for (const char* model : {"../../etc/passwd", "%2e%2e/etc/passwd", "%2E%2E%2fetc%2fpasswd",
                            "..%2f..%2fetc%2fpasswd", "org/../org/tiny", "org/./tiny", "org/tiny/.",
                            "org%2f..%2forg%2ftiny", "%00", "org/tiny%00", "org/tiny%00.gguf",
                            "%c0%ae%c0%ae/etc", "%ff", "org/tiny%0d%0aX:%20y", "%", "%2", "%zz"}) {
    SCOPED_TRACE(model);
    const RawResponse response = whole.send(http_get(std::string("/v1/models/") + model));
    const std::string found = verdict(response);
    EXPECT_TRUE(found == "400 invalid_target" || found == "400 malformed_request") << found;
  }
  // Decoded once and no further; a backslash and "..." are letters like others.
  for (const char* model :
       {"%252e%252e%252fetc%252fpasswd", "org%252ftiny", "..%5c..%5cetc", "...", "org//tiny",
        "/org/tiny", "org/tiny/", "ORG/TINY", "~root", "file:%2f%2f%2fetc%2fpasswd"}) {
    SCOPED_TRACE(model);
    EXPECT_EQ(verdict(whole.send(http_get(std::string("/v1/models/") + model))),
              "404 model_not_found");
  }
  EXPECT_EQ(whole.send(http_get("/v1/models/org%2Ftiny")).status, 200);
  for (const char* target : {"/../generate", "/%2e%2e/generate", "/v1/../generate", "/v1/models/..",
                             "/v1%2f..%2fhealth", "/health%00", "/health/..", "/./health"}) {
    SCOPED_TRACE(target);
    EXPECT_EQ(verdict(whole.send(http_get(target))), "400 invalid_target");
  }
  for (const char* route : {"/generate", "/tokenize", "/v1/completions"}) {
    for (const char* model :
         {"../../etc/passwd", "..", ".", "org/../org/tiny", "org/./tiny", "%2e%2e/etc/passwd",
          "org%2ftiny", "..%2f..%2fetc", "/etc/passwd", "org/tiny/", "org//tiny", "org\\\\tiny",
          "file:///etc/passwd", "org/tiny ", "~root", "\\ud800\\udc00"}) {
      SCOPED_TRACE(model);
      EXPECT_EQ(
          verdict(whole.post(route, std::string(R"({"prompt":"x","model":")") + model + "\"}")),
          "404 model_not_found");
    }
    EXPECT_EQ(verdict(whole.post(route, R"({"prompt":"x","model":"org/tiny\u0000.gguf"})")),
              "400 invalid_value");
    EXPECT_EQ(verdict(whole.post(route, R"({"prompt":"x","model":["org/tiny"]})")),
              "400 invalid_type");
  }
  stream.check_after({errors_of("invalid_target"), errors_of("model_not_found")});
  EXPECT_EQ(stream.foreign_tokens(), 0);
}

TEST(Fault40, EncodedBodiesAreRefusedBeforeTheyCome) {
  WholeServer whole;
  Undisturbed stream(whole);
  // Only the head: what would have to be inflated is never waited for.
  for (const char* encoding : {"gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "compress",
                               "gzip, gzip", "identity, gzip", "gzip;q=1", "unknown", ""}) {
    expect_refused(whole,
                   kPost + "Content-Encoding: " + encoding + "\r\nContent-Length: 1000000\r\n\r\n",
                   "415 unsupported_content_encoding");
  }
  expect_refused(whole,
                 kPost +
                     "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n",
                 "415 unsupported_content_encoding");
  // And what is compressed without saying so is no JSON.
  const RawResponse raw = whole.post("/generate", std::string("\x1f\x8b\x08\x00\x00\x00", 6));
  EXPECT_EQ(verdict(raw), "400 invalid_json");
  stream.check_after({errors_of("unsupported_content_encoding")});
  EXPECT_EQ(stream.foreign_tokens(), 0);
}

}  // namespace
}  // namespace hearth::api

// TLS at the door of net::Server: who gets in, how the others are turned away, and how connections
// end.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "net/openssl.h"
#include "net/tls_fixture.h"

namespace hearth::net {
namespace {

using testing::Authority;
using testing::Certificate;
using testing::http_get;
using testing::http_post;
using testing::LoopbackClient;
using testing::RawResponse;
using testing::TlsWire;
using testing::TlsWireOptions;
using namespace std::chrono_literals;

// A connection, and what TLS had to say on it.
struct Visit {
  explicit Visit(const RunningServer& running, TlsWireOptions options = {})
      : Visit(running, std::make_unique<TlsWire>(std::move(options))) {}
  Visit(const RunningServer& running, std::unique_ptr<TlsWire> wire)
      : tls(*wire), client(running.port(), 0, std::move(wire)) {}

  RawResponse ask(const std::string& bytes = http_get("/")) {
    client.send(bytes);
    return client.read_response();
  }
  TlsWire& tls;
  LoopbackClient client;
};

RunningServer start_tls(ServerOptions options = {}, Handler handler = echo) {
  return start(Scheme::kTls, std::move(options), std::move(handler));
}

std::uint64_t failures(RunningServer& running, TlsFailure why) {
  return running.server().stats().tls_failures[static_cast<std::size_t>(why)];
}

// What was refused so far, "parameters 2 closed 1".
std::string told(RunningServer& running) {
  std::string out;
  const ServerStats stats = running.server().stats();
  for (std::size_t i = 0; i < kTlsFailures; ++i) {
    if (stats.tls_failures[i] == 0) continue;
    if (!out.empty()) out += ' ';
    out += fmt::format("{} {}", name_of(static_cast<TlsFailure>(i)), stats.tls_failures[i]);
  }
  return out;
}

::testing::AssertionResult counts(RunningServer& running, TlsFailure why, std::uint64_t count = 1) {
  if (eventually([&] { return failures(running, why) == count; }))
    return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "refused were: " << told(running);
}

TEST(Tls, SpeaksVersion13AndItsThreeSuites) {
  RunningServer running = start_tls();
  for (const char* suite :
       {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"}) {
    Visit visit(running, {.suites = suite});
    ASSERT_TRUE(visit.client.opened()) << visit.tls.problem();
    EXPECT_EQ(visit.tls.version(), "TLSv1.3");
    EXPECT_EQ(visit.tls.suite(), suite);
    EXPECT_EQ(visit.ask().body, "GET / ");
  }
  for (const char* group : {"X25519", "P-256", "P-384"}) {
    Visit visit(running, {.groups = group});
    EXPECT_TRUE(visit.client.opened()) << group << visit.tls.problem();
  }
  EXPECT_TRUE(eventually([&] { return running.server().stats().tls_handshakes == 6; }));
  Visit strange(running, {.suites = "TLS_AES_128_CCM_SHA256"});
  EXPECT_FALSE(strange.client.opened());
  Visit weak(running, {.groups = "P-521"});
  EXPECT_FALSE(weak.client.opened());
  EXPECT_TRUE(counts(running, TlsFailure::kParameters, 2));
  // The strongest of those that both have.
  EXPECT_EQ(Visit(running).tls.suite(), "TLS_AES_256_GCM_SHA384");
}

TEST(Tls, RefusesOlderVersions) {
  RunningServer running = start_tls();
  std::uint64_t refused = 0;
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION}) {
    Visit old(running, {.version_min = version, .version_max = version});
    EXPECT_FALSE(old.client.opened());
    EXPECT_EQ(old.tls.problem(), "tlsv1 alert protocol version") << version;
    EXPECT_TRUE(counts(running, TlsFailure::kVersion, ++refused));
  }
  // Somebody in between makes a client believe that only 1.2 works: its second try says so.
  Visit fallback(running,
                 {.version_min = TLS1_2_VERSION, .version_max = TLS1_2_VERSION, .fallback = true});
  EXPECT_FALSE(fallback.client.opened());
  EXPECT_TRUE(counts(running, TlsFailure::kVersion, ++refused));
  // Whoever knows both speaks the new one.
  Visit both(running, {.version_min = TLS1_VERSION});
  ASSERT_TRUE(both.client.opened());
  EXPECT_EQ(both.tls.version(), "TLSv1.3");
  EXPECT_TRUE(eventually([&] { return running.server().stats().connections == 1; }));
}

TEST(Tls, KnowsNoRenegotiationNoTicketsAndNoEarlyData) {
  RunningServer running = start_tls();
  Visit visit(running);
  ASSERT_TRUE(visit.client.opened());
  EXPECT_EQ(visit.ask().status, 200);
  EXPECT_EQ(SSL_renegotiate(visit.tls.native()), 0);
  EXPECT_EQ(visit.tls.tickets(), 0);
  EXPECT_FALSE(visit.tls.was_resumed());
  // New keys on an old connection are another thing, and allowed.
  EXPECT_EQ(SSL_key_update(visit.tls.native(), SSL_KEY_UPDATE_REQUESTED), 1);
  EXPECT_EQ(visit.ask().status, 200);

  std::atomic<int> handled = 0;
  RunningServer counting = start_tls({}, [&](HttpRequest request, Responder responder) {
    ++handled;
    echo(std::move(request), std::move(responder));
  });
  Visit early(counting, {.early_data = http_get("/early")});
  EXPECT_FALSE(early.client.opened() && early.ask().status == 200);
  EXPECT_TRUE(counts(counting, TlsFailure::kEarlyData));
  EXPECT_EQ(handled, 0);
}

TEST(Tls, RefusesARenegotiationAsTls12HasIt) {
  RunningServer running = start_tls();
  Visit visit(running);
  ASSERT_TRUE(visit.client.opened());
  ASSERT_EQ(visit.ask().status, 200);
  // A second ClientHello within the connection, in the clear as nobody could encrypt it otherwise.
  const unsigned char hello[] = {0x16, 0x03, 0x03, 0x00, 0x04, 0x01, 0x00, 0x00, 0x00};
  ASSERT_EQ(::send(SSL_get_fd(visit.tls.native()), hello, sizeof hello, MSG_NOSIGNAL),
            static_cast<ssize_t>(sizeof hello));
  EXPECT_FALSE(visit.client.read_response().complete);
  EXPECT_TRUE(eventually([&] { return running.server().stats().connections == 0; }));
}

TEST(Tls, AgreesOnHttp11OrOnNothing) {
  RunningServer running = start_tls();
  Visit both(running, {.protocols = {"h2", "http/1.1"}});
  ASSERT_TRUE(both.client.opened());
  EXPECT_EQ(both.tls.protocol(), "http/1.1");
  Visit other(running, {.protocols = {"h2", "ftp"}});
  EXPECT_FALSE(other.client.opened());
  EXPECT_EQ(other.tls.problem(), "tlsv1 alert no application protocol");
  EXPECT_TRUE(counts(running, TlsFailure::kParameters));
}

TEST(Tls, PlainHttpIsToldSo) {
  ServerOptions options;
  std::atomic<int> refusals = 0;
  options.on_refusal = [&](int, std::string_view code) { refusals += code == "https_required"; };
  RunningServer running = start_tls(options);
  for (const std::string& bytes : {http_get("/"), http_post("/", "x")}) {
    LoopbackClient plain(running.port());
    plain.send(bytes);
    const RawResponse response = plain.read_response();
    EXPECT_EQ(response.status, 400);
    EXPECT_NE(response.body.find("https_required"), std::string::npos);
    EXPECT_EQ(response.headers.at("connection"), "close");
    plain.close();
  }
  EXPECT_TRUE(counts(running, TlsFailure::kPlainHttp, 2));
  EXPECT_EQ(refusals, 2);
}

TEST(Tls, TheOtherWayRoundIsNoHttp) {
  RunningServer running({}, echo);
  Visit visit(running);
  EXPECT_FALSE(visit.client.opened());
  visit.client.close();
  EXPECT_TRUE(eventually([&] { return running.server().stats().connections == 0; }));
}

// The bytes of a client's first flight, without a client.
std::string client_hello() {
  const SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  const SslPtr ssl(SSL_new(context.get()));
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), in, out);
  SSL_connect(ssl.get());
  ERR_clear_error();
  return text_of(out);
}

TEST(Tls, GarbageAndCutHandshakesEndTheConnectionAlone) {
  ServerOptions options;
  options.linger_timeout = 50ms;
  RunningServer running = start_tls(options);
  Visit witness(running);
  const std::string hello = client_hello();
  ASSERT_GT(hello.size(), 100u);
  std::mt19937 random(20260101);
  std::uint64_t visits = 0;
  const auto send_and_leave = [&](std::string_view bytes, bool wait) {
    LoopbackClient client(running.port());
    client.send(bytes);
    if (wait) {
      EXPECT_TRUE(client.wait_closed());
    }
    client.close();
    ++visits;
  };
  for (std::size_t cut = 0; cut < hello.size(); cut += 7)
    send_and_leave(hello.substr(0, cut), false);
  for (int i = 0; i < 100; ++i) {  // one byte of it is another
    std::string changed = hello;
    changed[random() % changed.size()] ^= static_cast<char>(1 + random() % 255);
    send_and_leave(changed, false);
  }
  for (int i = 0; i < 100; ++i) {
    std::string noise(1 + random() % 600, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    send_and_leave(noise, false);
  }
  // What can be told to be none at once is closed at once, whatever it promises to send.
  send_and_leave(std::string(64, 'x'), true);
  send_and_leave(std::string("\x16\x03\x01\xff\xff\x01\x00\xff\xfc", 9) + std::string(70'000, 'x'),
                 true);
  EXPECT_TRUE(eventually([&] { return running.server().stats().connections == 1; }));
  EXPECT_EQ(witness.ask().status, 200);
  std::uint64_t failed = 0;
  for (const std::uint64_t count : running.server().stats().tls_failures) failed += count;
  EXPECT_EQ(failed, visits);
  EXPECT_EQ(running.server().stats().tls_handshakes, 1u);
}

// Between a client and the server, passing on the client's bytes one by one.
TEST(Tls, AHandshakeInPiecesIsAsGood) {
  RunningServer running = start_tls();
  const SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  const SslPtr ssl(SSL_new(context.get()));
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), in, out);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(running.port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd, static_cast<const sockaddr*>(static_cast<const void*>(&address)),
                      sizeof address),
            0);
  const auto drip = [&] {
    const std::string bytes = text_of(out);
    ASSERT_EQ(BIO_reset(out), 1);
    for (const char c : bytes) {
      ASSERT_EQ(::send(fd, &c, 1, MSG_NOSIGNAL), 1);
      std::this_thread::sleep_for(100us);
    }
  };
  const auto feed = [&] {
    char bytes[4096];
    const ssize_t count = ::recv(fd, bytes, sizeof bytes, 0);
    ASSERT_GT(count, 0);
    BIO_write(in, bytes, static_cast<int>(count));
  };
  while (SSL_connect(ssl.get()) != 1) {
    drip();
    feed();
  }
  const std::string request = http_get("/in-pieces");
  ASSERT_GT(SSL_write(ssl.get(), request.data(), static_cast<int>(request.size())), 0);
  drip();
  std::string answer;
  while (answer.find("GET /in-pieces ") == std::string::npos) {
    feed();
    char bytes[4096];
    const int count = SSL_read(ssl.get(), bytes, sizeof bytes);
    if (count > 0) answer.append(bytes, static_cast<std::size_t>(count));
  }
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200"));
  ::close(fd);
}

TEST(Tls, SlowHandshakesHaveADeadlineAndMakeRoom) {
  ServerOptions options;
  options.header_timeout = 200ms;
  RunningServer running = start_tls(options);
  LoopbackClient silent(running.port());
  LoopbackClient half(running.port());
  half.send(client_hello().substr(0, 50));
  LoopbackClient drips(running.port());
  const auto begin = std::chrono::steady_clock::now();
  std::thread dripper([&, hello = client_hello()] {
    for (const char c : hello) {
      if (!drips.send({&c, 1})) return;
      std::this_thread::sleep_for(5ms);
    }
  });
  EXPECT_TRUE(silent.wait_closed(5s));
  EXPECT_TRUE(half.wait_closed(5s));
  EXPECT_TRUE(drips.wait_closed(5s));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
  dripper.join();
  EXPECT_TRUE(counts(running, TlsFailure::kTimeout, 3));

  ServerOptions few;  // and patience for ever
  few.connections_max = 3;
  few.header_timeout = 60s;
  RunningServer full = start_tls(few);
  std::vector<std::unique_ptr<LoopbackClient>> idlers;
  for (int i = 0; i < 10; ++i) idlers.push_back(std::make_unique<LoopbackClient>(full.port()));
  Visit visit(full);
  EXPECT_TRUE(visit.client.opened());
  EXPECT_EQ(visit.ask().status, 200);
  EXPECT_GE(full.server().stats().evicted, 7u);
}

// ---- how connections end

TEST(Tls, SaysGoodbyeWhereItEndsInOrderAndOnlyThere) {
  ServerOptions options;
  options.idle_timeout = 150ms;
  Held held;
  RunningServer running = start_tls(options, held.handler());
  Visit asked(running);  // Connection: close
  asked.client.send(http_get("/health", "Connection: close\r\n"));
  EXPECT_TRUE(asked.client.read_response().complete);
  EXPECT_TRUE(asked.client.wait_closed(2s));
  EXPECT_TRUE(asked.tls.said_goodbye());

  Visit idle(running);
  EXPECT_TRUE(idle.client.wait_closed(2s));
  EXPECT_TRUE(idle.tls.said_goodbye());

  Visit old(running);  // the end of the connection is that of the stream
  old.client.send("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
  Responder whole = held.next();
  whole.begin_stream(200, {});
  whole.write("all of it");
  whole.end();
  EXPECT_EQ(old.client.read_response().body, "all of it");
  EXPECT_TRUE(old.tls.said_goodbye());

  Visit broken(running);  // the same, of which the rest never comes
  broken.client.send("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
  Responder part = held.next();
  part.begin_stream(200, {});
  part.write("a part");
  ASSERT_TRUE(broken.client.read_until("a part"));
  part.abort();
  EXPECT_TRUE(broken.client.wait_closed(2s));
  EXPECT_FALSE(broken.tls.said_goodbye());
}

TEST(Tls, AConnectionThatIsCutIsNoHalfClosedOne) {
  Held held;
  RunningServer running = start_tls({}, held.handler());
  Visit visit(running);
  visit.client.send(http_get("/"));
  Responder responder = held.next();
  visit.client.cut_send();  // FIN without close_notify: anybody could have sent it
  EXPECT_TRUE(eventually([&] { return held.disconnects == 1; }));
  EXPECT_TRUE(eventually([&] { return running.server().stats().connections == 0; }));
}

TEST(Tls, LargeBodiesAndAnswersComeWhole) {
  RunningServer running = start_tls();
  Visit visit(running);
  std::string body(3 << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
  std::thread sender([&] { visit.client.send(http_post("/big", body)); });
  sender.join();
  const RawResponse response = visit.client.read_response();
  EXPECT_TRUE(response.complete);
  EXPECT_EQ(response.body, "POST /big " + body);
}

// ---- who the client is

struct ClientServer {
  explicit ClientServer(const std::string& authorities, bool required = false) {
    folder.write(authority_of_server.issue());
    folder.write("ca.pem", authorities);
    TlsOptions tls = folder.options();
    tls.client_ca = folder.path("ca.pem");
    tls.client_required = required;
    const auto loaded = TlsContext::load(tls, wall_now());
    EXPECT_TRUE(loaded.has_value()) << (loaded ? "" : loaded.error().message);
    ServerOptions options;
    options.tls = *loaded;
    running =
        std::make_unique<RunningServer>(options, [](HttpRequest request, Responder responder) {
          std::string names;
          for (const std::string& name : request.peer_names) names += name + ";";
          responder.send({200, {}, names});
        });
  }
  // What the handler was told; "refused" if it was not asked.
  std::string names(const Certificate& client) {
    Visit visit(*running, {.client = client});
    const RawResponse response = visit.ask(http_get("/", "X-Client-Cert: dns:forged\r\n"));
    return response.status == 200 ? response.body : "refused";
  }
  std::uint64_t refused() { return failures(*running, TlsFailure::kClientCertificate); }

  CertificateFolder folder;
  Authority authority_of_server;
  std::unique_ptr<RunningServer> running;
};

TEST(ClientCertificates, TellWhoAsks) {
  const Authority ours;
  const Authority strange;
  ClientServer server(ours.pem());
  EXPECT_EQ(server.names({}), "");
  EXPECT_EQ(
      server.names(ours.issue(
          {.names = "DNS:Ward3.Example,URI:spiffe://h/nurse,email:a@b.example,IP:192.0.2.1"})),
      "dns:ward3.example;uri:spiffe://h/nurse;email:a@b.example;");
  EXPECT_EQ(server.names(ours.issue({.names = ""})), "");
  // A name with a NUL in it is not the one before the NUL.
  EXPECT_EQ(server.names(ours.issue({.raw_dns = std::string("admin\0.evil.example", 19)})), "");
  EXPECT_EQ(server.names(ours.issue({.raw_dns = "a b"})), "");
  EXPECT_EQ(server.refused(), 0u);

  // A certificate that is no good is not the same as none.
  EXPECT_EQ(server.names(strange.issue()), "refused");
  EXPECT_EQ(server.names(ours.issue({.from_s = -7200, .until_s = -60})), "refused");
  EXPECT_EQ(server.names(ours.issue({.from_s = 3600})), "refused");
  EXPECT_EQ(server.names(ours.issue({.rsa_bits = 1024})), "refused");
  EXPECT_TRUE(counts(*server.running, TlsFailure::kClientCertificate, 4));
}

TEST(ClientCertificates, CanBeRequired) {
  const Authority ours;
  ClientServer server(ours.pem(), true);
  EXPECT_EQ(server.names({}), "refused");
  EXPECT_TRUE(counts(*server.running, TlsFailure::kClientCertificate));
  EXPECT_EQ(server.names(ours.issue({.names = "DNS:a"})), "dns:a;");
}

TEST(ClientCertificates, CanBeTakenBack) {
  const Authority ours;
  const Certificate good = ours.issue({.names = "DNS:good"});
  const Certificate lost = ours.issue({.names = "DNS:lost"});
  ClientServer server(ours.pem() + ours.list_of(lost));
  EXPECT_EQ(server.names(good), "dns:good;");
  EXPECT_EQ(server.names(lost), "refused");
  EXPECT_TRUE(counts(*server.running, TlsFailure::kClientCertificate));
}

TEST(ClientCertificates, AreNotAskedForWithoutAuthorities) {
  const Authority ours;
  RunningServer running = start_tls({}, [](HttpRequest request, Responder responder) {
    responder.send({200, {}, std::to_string(request.peer_names.size())});
  });
  Visit visit(running, {.client = ours.issue()});
  EXPECT_EQ(visit.ask().body, "0");
}

// ---- what may be asked

TEST(Tls, OriginsArePlainHttpNoMore) {
  RunningServer running = start_tls();
  const auto status = [&](const std::string& headers) {
    return Visit(running).ask("GET / HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n").status;
  };
  EXPECT_EQ(status("Origin: https://localhost\r\n"), 200);
  EXPECT_EQ(status("Origin: https://localhost:8443\r\n"), 200);
  EXPECT_EQ(status("Origin: http://localhost\r\n"), 403);
  EXPECT_EQ(status("Origin: http://localhost:8443\r\n"), 403);
  EXPECT_EQ(status("Origin: https://evil.example\r\n"), 403);
  EXPECT_EQ(status("Origin: null\r\n"), 403);
}

TEST(Tls, BeyondLoopbackAKeyIsNeededToo) {
  const auto code = [](ServerOptions options) {
    options.host = "0.0.0.0";
    options.port = 0;
    Server server(options, echo);
    const Status listening = server.listen();  // nobody is let in: run() is never called
    return listening ? "good" : listening.error().code;
  };
  EXPECT_EQ(code({}), "tls_required");
  ServerOptions with_keys;
  with_keys.has_keys = true;
  EXPECT_EQ(code(with_keys), "tls_required");
  ServerOptions with_tls;
  with_tls.tls = any_tls();
  EXPECT_EQ(code(with_tls), "key_required");
}

}  // namespace
}  // namespace hearth::net

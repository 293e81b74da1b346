// Which certificates are taken, and how they are exchanged while a server runs.
#include "net/tls.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "net/openssl.h"
#include "net/tls_fixture.h"
#include "net/tls_watch.h"
#include "testing/fake_clock.h"

namespace hearth::net {
namespace {

using testing::Authority;
using testing::Certificate;
using testing::CertificateSpec;
using testing::http_get;
using testing::LoopbackClient;
using testing::TlsWire;
using namespace std::chrono_literals;

std::string code_of(const TlsOptions& options) {
  const auto loaded = TlsContext::load(options, wall_now());
  return loaded ? "good" : loaded.error().code;
}

TEST(TlsContext, TakesAChainAndTellsItsNames) {
  const Authority authority;
  CertificateFolder folder;
  Certificate own = authority.issue(
      {.names = "DNS:Hearth.Example,DNS:*.wild.example,IP:192.0.2.7,IP:2001:db8::7,URI:x:y"});
  own.pem += authority.pem();
  folder.write(own);
  const auto loaded = TlsContext::load(folder.options(), wall_now());
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  EXPECT_EQ((*loaded)->hosts(),
            (std::vector<std::string>{"hearth.example", "192.0.2.7", "[2001:db8::7]"}));
  EXPECT_EQ((*loaded)->fingerprint().size(), 64u);
  EXPECT_FALSE((*loaded)->knows_clients());
  // That of the first of the chain to expire.
  EXPECT_LT((*loaded)->expires(), wall_now() + 31 * 24h);
  EXPECT_GT((*loaded)->expires(), wall_now() + 29 * 24h);
}

TEST(TlsContext, NamesTheFaultOfACertificate) {
  const Authority authority;
  CertificateFolder folder;
  const TlsOptions options = folder.options();
  EXPECT_EQ(code_of(options), "tls_file_unreadable");

  folder.write(authority.issue({.from_s = -7200, .until_s = -60}));
  EXPECT_EQ(code_of(options), "tls_certificate_expired");
  folder.write(authority.issue({.from_s = 3600}));
  EXPECT_EQ(code_of(options), "tls_certificate_not_yet_valid");
  folder.write(authority.issue({.rsa_bits = 1024}));
  EXPECT_EQ(code_of(options), "tls_certificate_weak");
  folder.write(authority.issue({.rsa_bits = 2048}));
  EXPECT_EQ(code_of(options), "good");

  const Certificate good = authority.issue();
  folder.write(good);
  EXPECT_EQ(code_of(options), "good");
  folder.write("key.pem", authority.issue().key);
  EXPECT_EQ(code_of(options), "tls_key_mismatch");
  for (const std::string& broken :
       {std::string(), std::string("text"), good.pem, good.key.substr(0, good.key.size() / 2)}) {
    folder.write("key.pem", broken);
    EXPECT_EQ(code_of(options), "tls_key_invalid") << broken;
  }
  folder.write(good);
  for (const std::string& broken :
       {std::string(), std::string("text"), good.key, good.pem.substr(0, good.pem.size() / 2),
        good.pem + good.pem.substr(0, good.pem.size() / 2)}) {
    folder.write("cert.pem", broken);
    EXPECT_EQ(code_of(options), "tls_certificate_invalid") << broken;
  }
  // An expired one further up breaks clients as much as the own one.
  folder.write("cert.pem", good.pem + authority.issue({.from_s = -7200, .until_s = -60}).pem);
  EXPECT_EQ(code_of(options), "tls_certificate_expired");
  folder.write("cert.pem", std::string((1 << 20) + 1, 'x'));
  EXPECT_EQ(code_of(options), "tls_file_unreadable");
}

TEST(TlsContext, AKeyThatEverybodyCanReadIsRefused) {
  const Authority authority;
  CertificateFolder folder;
  folder.write(authority.issue());
  for (const mode_t mode : {0604, 0602, 0644, 0666}) {
    ASSERT_EQ(::chmod(folder.path("key.pem").c_str(), mode), 0);
    EXPECT_EQ(code_of(folder.options()), "tls_key_exposed") << mode;
  }
  for (const mode_t mode : {0600, 0640, 0400}) {
    ASSERT_EQ(::chmod(folder.path("key.pem").c_str(), mode), 0);
    EXPECT_EQ(code_of(folder.options()), "good") << mode;
  }
}

TEST(TlsContext, AKeyWithAPassphraseIsNotAskedFor) {
  const Authority authority;
  CertificateFolder folder;
  const Certificate own = authority.issue();
  const BioPtr in = memory_bio(own.key);
  const KeyPtr key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  const BioPtr out(BIO_new(BIO_s_mem()));
  std::string passphrase = "secret";
  ASSERT_EQ(
      PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), EVP_aes_256_cbc(), passphrase.data(),
                                    static_cast<int>(passphrase.size()), nullptr, nullptr),
      1);
  folder.write({own.pem, text_of(out.get())});
  EXPECT_EQ(code_of(folder.options()), "tls_key_invalid");
}

TEST(TlsContext, RefusesAListOfAuthoritiesThatIsNone) {
  const Authority authority;
  CertificateFolder folder;
  folder.write(authority.issue());
  TlsOptions options = folder.options();
  options.client_ca = folder.path("ca.pem");
  EXPECT_EQ(code_of(options), "tls_file_unreadable");
  for (const std::string& broken :
       {std::string(), std::string("text"), authority.pem().substr(0, authority.pem().size() / 2),
        authority.empty_list()}) {
    folder.write("ca.pem", broken);
    EXPECT_EQ(code_of(options), "tls_client_ca_invalid") << broken;
  }
  folder.write("ca.pem", authority.pem() + authority.empty_list());
  EXPECT_EQ(code_of(options), "good");
}

TEST(SelfSigned, IsGoodForItsHosts) {
  testing::TempFolder folder;
  const auto made = make_self_signed({"gpu1.example", "192.0.2.1", "::1"}, 2, wall_now());
  ASSERT_TRUE(made.has_value());
  ASSERT_TRUE(write_self_signed(*made, folder.file("new")).has_value());
  const TlsOptions options = {folder.file("new/cert.pem"), folder.file("new/key.pem"), {}, false};
  const auto loaded = TlsContext::load(options, wall_now());
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  EXPECT_EQ((*loaded)->hosts(), (std::vector<std::string>{"gpu1.example", "192.0.2.1", "[::1]"}));
  EXPECT_EQ((*loaded)->fingerprint(), made->fingerprint);
  EXPECT_LT((*loaded)->expires(), wall_now() + 49h);
  struct stat st = {};
  ASSERT_EQ(::stat(options.key.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat(folder.file("new").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);

  const Status again = write_self_signed(*made, folder.file("new"));
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, "file_exists");
  // Neither is half of it made.
  ASSERT_EQ(::unlink(options.key.c_str()), 0);
  EXPECT_FALSE(write_self_signed(*made, folder.file("new")).has_value());
  EXPECT_NE(::stat(options.key.c_str(), &st), 0);
}

TEST(SelfSigned, TakesNamesAndAddressesOnly) {
  for (const char* host : {"", "a b", "a,DNS:b", "a\nb", ".a", "*.example", "1.2.3.4/8", "a:80"})
    EXPECT_EQ(make_self_signed({host}, 1, wall_now()).error().code, "invalid_host") << host;
  EXPECT_EQ(make_self_signed({}, 1, wall_now()).error().code, "invalid_host");
}

// ---- while a server runs

class Watched {
 public:
  explicit Watched(const CertificateFolder& folder, const Clock& clock = Clock::system())
      : watch_(*TlsWatch::create(folder.options(), clock)),
        running_(options(watch_->current()), echo) {
    // A day: checks come when the tests ask for them.
    watch_->start([this](auto context) { running_.server().set_tls(std::move(context)); }, 24h);
  }
  ~Watched() { watch_->stop(); }
  TlsWatch& watch() { return *watch_; }
  RunningServer& running() { return running_; }
  // The names in the certificate that a newcomer sees.
  std::string names() {
    auto wire = std::make_unique<TlsWire>();
    const TlsWire& tls = *wire;
    const LoopbackClient client(running_.port(), 0, std::move(wire));
    return client.opened() ? tls.peer_names() : tls.problem();
  }

 private:
  static ServerOptions options(std::shared_ptr<const TlsContext> tls) {
    ServerOptions options;
    options.tls = std::move(tls);
    return options;
  }
  std::unique_ptr<TlsWatch> watch_;
  RunningServer running_;
};

TEST(TlsWatch, NewcomersGetTheNewCertificateAndOthersGoOn) {
  const Authority authority;
  CertificateFolder folder;
  folder.write(authority.issue({.names = "DNS:first.example"}));
  Watched watched(folder);
  LoopbackClient early(watched.running().port(), 0, std::make_unique<TlsWire>());
  early.send(http_get("/1"));
  EXPECT_EQ(early.read_response().body, "GET /1 ");
  EXPECT_EQ(watched.names(), "DNS:first.example");
  // A name in the certificate is one to ask for.
  const std::string for_second = "GET /2 HTTP/1.1\r\nHost: second.example:8080\r\n\r\n";
  early.send(for_second);
  EXPECT_EQ(early.read_response().status, 421);

  folder.write(authority.issue({.names = "DNS:second.example"}));
  watched.watch().check();
  EXPECT_EQ(watched.names(), "DNS:second.example");
  LoopbackClient late(watched.running().port(), 0, std::make_unique<TlsWire>());
  late.send(for_second);
  EXPECT_EQ(late.read_response().status, 200);
  EXPECT_EQ(watched.watch().stats().reloads_taken, 1u);
  EXPECT_FALSE(watched.watch().stats().reload_failed);
  watched.watch().check();  // nothing new
  EXPECT_EQ(watched.watch().stats().reloads_taken, 1u);
}

TEST(TlsWatch, ABadNewOneKeepsTheOldAndRaisesTheAlarm) {
  const Authority authority;
  CertificateFolder folder;
  const Certificate first = authority.issue({.names = "DNS:first.example"});
  folder.write(first);
  Watched watched(folder);
  const auto expires = watched.watch().stats().expires;
  std::uint64_t refused = 0;
  const auto expect_alarm = [&](const char* what) {
    SCOPED_TRACE(what);
    watched.watch().check();
    EXPECT_TRUE(watched.watch().stats().reload_failed);
    EXPECT_EQ(watched.watch().stats().reloads_refused, ++refused);
    EXPECT_EQ(watched.watch().stats().expires, expires);
    EXPECT_EQ(watched.names(), "DNS:first.example");
  };
  folder.write("cert.pem", "-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n");
  expect_alarm("unparsable");
  expect_alarm("still unparsable");
  folder.write("cert.pem", authority.issue().pem);
  expect_alarm("a certificate without its key");
  folder.write(authority.issue({.from_s = -7200, .until_s = -1}));
  expect_alarm("expired");
  folder.write(authority.issue({.from_s = 3600}));
  expect_alarm("not yet valid");
  ASSERT_EQ(::unlink(folder.path("key.pem").c_str()), 0);
  expect_alarm("no key at all");
  EXPECT_EQ(watched.watch().stats().reloads_taken, 0u);

  folder.write(first);
  watched.watch().check();
  EXPECT_FALSE(watched.watch().stats().reload_failed);
  folder.write(authority.issue({.names = "DNS:second.example"}));
  watched.watch().check();
  EXPECT_FALSE(watched.watch().stats().reload_failed);
  EXPECT_EQ(watched.watch().stats().reloads_taken, 1u);
  EXPECT_EQ(watched.names(), "DNS:second.example");
}

TEST(TlsWatch, ACertificateThatExpiresMeanwhileIsServedOnAndSaid) {
  const Authority authority;
  CertificateFolder folder;
  folder.write(authority.issue({.names = "DNS:first.example"}));
  testing::SettableClock clock;
  Watched watched(folder, clock);
  clock.jump_wall(31 * 24h);
  watched.watch().check();  // what it had is good no more, but nothing better is there
  EXPECT_EQ(watched.names(), "DNS:first.example");
  EXPECT_LT(watched.watch().stats().expires, clock.wall());
  const auto starting = TlsWatch::create(folder.options(), clock);
  ASSERT_FALSE(starting.has_value());
  EXPECT_EQ(starting.error().code, "tls_certificate_expired");
}

TEST(TlsWatch, LooksByItself) {
  const Authority authority;
  CertificateFolder folder;
  folder.write(authority.issue({.names = "DNS:first.example"}));
  auto watch = *TlsWatch::create(folder.options());
  std::atomic<int> taken = 0;
  watch->start([&](auto) { ++taken; }, 5ms);
  folder.write(authority.issue({.names = "DNS:second.example"}));
  EXPECT_TRUE(eventually([&] { return taken == 1; }));
  // As Kubernetes does it: the name stays, what it leads to does not.
  std::filesystem::create_directory(folder.path("v2"));
  const Certificate third = authority.issue({.names = "DNS:third.example"});
  folder.write("v2/cert.pem", third.pem);
  folder.write("v2/key.pem", third.key);
  for (const char* name : {"cert.pem", "key.pem"}) {
    std::filesystem::create_symlink(std::string("v2/") + name, folder.path("link"));
    std::filesystem::rename(folder.path("link"), folder.path(name));
  }
  EXPECT_TRUE(eventually([&] { return taken == 2; }));
  EXPECT_TRUE(eventually([&] { return !watch->stats().reload_failed; }));
  EXPECT_EQ(watch->current()->hosts(), std::vector<std::string>{"third.example"});
  watch->stop();
  folder.write(authority.issue());
  watch->check();
  EXPECT_EQ(taken, 2);
}

TEST(TlsWatch, NoConnectionIsLostWhileCertificatesAreSwapped) {
  constexpr int kClients = 4;
  constexpr int kSwaps = 60;
  const Authority authority;
  CertificateFolder folder;
  folder.write(authority.issue());
  Watched watched(folder);
  std::atomic<bool> stop = false;
  std::atomic<int> kept_requests = 0;
  std::atomic<int> fresh_requests = 0;
  std::atomic<int> failures = 0;
  const auto ask = [&](LoopbackClient& client, std::atomic<int>& count) {
    const bool good =
        client.opened() && client.send(http_get("/x")) && client.read_response().body == "GET /x ";
    ++(good ? count : failures);
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&] {  // one connection for all requests, and one for each
      LoopbackClient kept(watched.running().port(), 0, std::make_unique<TlsWire>());
      while (!stop) {
        ask(kept, kept_requests);
        LoopbackClient fresh(watched.running().port(), 0, std::make_unique<TlsWire>());
        ask(fresh, fresh_requests);
      }
    });
  }
  for (int i = 0; i < kSwaps; ++i) {
    folder.write(authority.issue());
    watched.watch().check();
    if (i % 3 == 0) {  // and bad ones in between
      folder.write("cert.pem", "broken");
      watched.watch().check();
    }
  }
  EXPECT_TRUE(eventually([&] { return kept_requests >= 200 && fresh_requests >= 200; }, 60s));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(watched.watch().stats().reloads_taken, static_cast<std::uint64_t>(kSwaps));
  EXPECT_EQ(watched.running().server().stats().disconnects, 0u);
}

}  // namespace
}  // namespace hearth::net

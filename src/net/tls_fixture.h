// For the tests of net/ that run with and without TLS, and those about TLS itself.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "net/self_signed.h"
#include "net/server_fixture.h"
#include "testing/temp_folder.h"
#include "testing/tls_wire.h"

namespace hearth::net {

inline std::chrono::system_clock::time_point wall_now() { return std::chrono::system_clock::now(); }

// One certificate for all tests that do not care which.
inline std::shared_ptr<const TlsContext> any_tls() {
  static const std::shared_ptr<const TlsContext> context = [] {
    const auto made = make_self_signed({"localhost", "127.0.0.1"}, 1, wall_now());
    EXPECT_TRUE(made.has_value());
    TlsFiles files;
    files.certificate = made->certificate;
    files.key = made->key;
    const auto created = TlsContext::create({}, files, wall_now());
    EXPECT_TRUE(created.has_value()) << (created ? "" : created.error().message);
    return *created;
  }();
  return context;
}

enum class Scheme : std::uint8_t { kPlain, kTls };

inline RunningServer start(Scheme scheme, ServerOptions options, Handler handler) {
  if (scheme == Scheme::kTls && !options.tls) options.tls = any_tls();
  return RunningServer(std::move(options), std::move(handler));
}

inline std::unique_ptr<testing::Wire> wire_of(Scheme scheme) {
  if (scheme == Scheme::kPlain) return nullptr;
  return std::make_unique<testing::TlsWire>();
}

inline testing::LoopbackClient connect(Scheme scheme, const RunningServer& running,
                                       int receive_buffer = 0) {
  return testing::LoopbackClient(running.port(), receive_buffer, wire_of(scheme));
}

// TEST_P of such a suite runs once with each scheme.
class OverBoth : public ::testing::TestWithParam<Scheme> {
 protected:
  static RunningServer start(ServerOptions options, Handler handler) {
    return net::start(GetParam(), std::move(options), std::move(handler));
  }
  static testing::LoopbackClient connect(const RunningServer& running, int receive_buffer = 0) {
    return net::connect(GetParam(), running, receive_buffer);
  }
  static std::unique_ptr<testing::LoopbackClient> kept(const RunningServer& running) {
    return std::make_unique<testing::LoopbackClient>(running.port(), 0, wire_of(GetParam()));
  }
};

inline auto both() { return ::testing::Values(Scheme::kPlain, Scheme::kTls); }
inline std::string scheme_name(const ::testing::TestParamInfo<Scheme>& info) {
  return info.param == Scheme::kTls ? "Tls" : "Plain";
}

// Certificate files, as an operator has them.
class CertificateFolder {
 public:
  TlsOptions options() const { return {path("cert.pem"), path("key.pem"), {}, false}; }
  std::string path(const std::string& name) const { return folder_.file(name); }

  void write(const std::string& name, const std::string& content) const {
    // As it should be done: a new file takes the place of the old one.
    std::ofstream(path(name + ".new"), std::ios::binary) << content;
    std::filesystem::permissions(path(name + ".new"), std::filesystem::perms::owner_read |
                                                          std::filesystem::perms::owner_write);
    std::filesystem::rename(path(name + ".new"), path(name));
  }
  void write(const testing::Certificate& certificate) const {
    write("key.pem", certificate.key);
    write("cert.pem", certificate.pem);
  }

 private:
  testing::TempFolder folder_;
};

}  // namespace hearth::net

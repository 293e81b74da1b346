// TLS 1.3 for net::Server: certificates, what is accepted, and why handshakes fail. RFC 8446.
//
//   HEARTH_TRY(auto tls, net::TlsContext::load({.certificate = "cert.pem", .key = "key.pem"},
//   now)); options.tls = tls;  // and later server.set_tls(another)
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace hearth::net {

struct TlsOptions {
  std::string certificate;       // PEM file: the server's own, then those between it and a root
  std::string key;               // PEM file, without a passphrase, not readable by others
  std::string client_ca;         // PEM file: who may vouch for clients, and CRLs; empty: nobody
  bool client_required = false;  // clients without a certificate are refused

  bool on() const { return !certificate.empty() || !key.empty(); }
};

// The files as they are at one moment.
struct TlsFiles {
  std::string certificate;
  std::string key;
  std::string client_ca;

  // Each at most 1 MiB. Errors: kIo "tls_file_unreadable", kInvalid "tls_key_exposed" (others than
  // owner and group may read or write the key).
  static Result<TlsFiles> read(const TlsOptions& options);
  std::string digest() const;  // SHA-256 of them all, hex

  TlsFiles() = default;
  ~TlsFiles();  // wipes the key
  TlsFiles(const TlsFiles&) = delete;
  TlsFiles& operator=(const TlsFiles&) = delete;
  TlsFiles(TlsFiles&&) = default;
  TlsFiles& operator=(TlsFiles&&) = default;
};

// What handshakes need. Immutable; connections keep what they need of it.
//
// Only TLS 1.3: no renegotiation and no compression in it. No session tickets: without them nothing
// outlives a connection, so that a certificate that was taken back does not live on in a resumed
// session, and there is no pre-shared key that early data could be sent under; whoever sends some
// nevertheless is refused.
class TlsContext {
 public:
  using WallTime = std::chrono::system_clock::time_point;

  // Errors: kInvalid "tls_certificate_invalid", "tls_certificate_expired",
  // "tls_certificate_not_yet_valid", "tls_certificate_weak" (under 112 bits of security: RSA below
  // 2048), "tls_key_invalid", "tls_key_mismatch", "tls_client_ca_invalid"; and those of read().
  static Result<std::shared_ptr<const TlsContext>> create(const TlsOptions& options,
                                                          const TlsFiles& files, WallTime now);
  static Result<std::shared_ptr<const TlsContext>> load(const TlsOptions& options, WallTime now);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // The names in the certificate, as a Host header has them: DNS names in lower case and without
  // wildcards, IPv6 addresses in brackets.
  const std::vector<std::string>& hosts() const { return hosts_; }
  WallTime expires() const { return expires_; }  // the first of the chain to do so
  const std::string& fingerprint() const { return fingerprint_; }  // SHA-256, hex
  bool knows_clients() const { return knows_clients_; }            // there is a client_ca
  ssl_ctx_st* native() const { return context_.get(); }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  TlsContext() = default;

  std::unique_ptr<ssl_ctx_st, Free> context_;
  std::vector<std::string> hosts_;
  WallTime expires_;
  std::string fingerprint_;
  bool knows_clients_ = false;
};

// For clients (LoadClient): TLS 1.3, or 1.2 with servers that have no other. `ca_file`: PEM, in
// place of the system's; `insecure`: any certificate is taken. Errors: kIo "tls_file_unreadable",
// kInvalid "tls_ca_invalid".
Result<std::shared_ptr<ssl_ctx_st>> make_client_tls(const std::string& ca_file, bool insecure);

// What a server's certificate has come to, for metrics.
struct CertificateStats {
  TlsContext::WallTime expires;
  std::uint64_t reloads_taken = 0;
  std::uint64_t reloads_refused = 0;
  bool reload_failed = false;  // what lies there now cannot be used; the one before still is
};

// Why a handshake failed, for metrics.
enum class TlsFailure : std::uint8_t {
  kVersion,            // TLS 1.2 or older
  kParameters,         // no cipher suite, group, signature or protocol in common
  kEarlyData,          // data before the handshake was done
  kPlainHttp,          // no TLS at all
  kClientCertificate,  // none though required, expired, revoked, or from a stranger
  kRefusedByClient,    // the client does not like our certificate, most often
  kTimeout,            // took longer than header_timeout
  kClosed,             // the client left
  kMalformed,          // anything else that is not TLS 1.3
};
constexpr std::size_t kTlsFailures = 9;
std::string_view name_of(TlsFailure why);  // "version", "parameters", ...

}  // namespace hearth::net

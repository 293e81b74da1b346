// TLS for LoopbackClient, by OpenSSL directly and with whatever a hostile or old client would do.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "testing/certificates.h"
#include "testing/loopback_client.h"

struct ssl_ctx_st;
struct ssl_st;

namespace hearth::testing {

struct TlsWireOptions {
  // As OpenSSL has them: 0x0301 is TLS 1.0, 0x0304 is TLS 1.3.
  int version_min = 0x0304;
  int version_max = 0x0304;
  std::string ca = {};  // PEM; empty: any certificate is taken
  Certificate client = {};
  std::vector<std::string> protocols = {};  // ALPN
  std::string suites = {};                  // of TLS 1.3; empty: all
  std::string groups = {};                  // empty: the usual
  std::string early_data = {};              // sent under a made-up pre-shared key
  bool fallback = false;                    // TLS_FALLBACK_SCSV (RFC 7507)
};

class TlsWire final : public Wire {
 public:
  explicit TlsWire(TlsWireOptions options = {});
  ~TlsWire() override;

  bool open(int fd) override;
  bool send(std::string_view bytes) override;
  std::size_t receive(char* out, std::size_t bytes_max) override;
  bool has_more() const override;
  void say_goodbye() override;

  const std::string& problem() const { return problem_; }  // OpenSSL's words for the first error
  std::string version() const;                             // "TLSv1.3"
  std::string suite() const;
  std::string protocol() const;    // ALPN
  std::string peer_names() const;  // of the certificate, joined
  bool said_goodbye() const;       // the other side has
  bool was_resumed() const;
  int tickets() const { return tickets_; }
  ssl_st* native() { return ssl_; }
  void count_ticket() { ++tickets_; }

 private:
  void note_problem();

  const TlsWireOptions options_;
  mutable std::mutex mutex_;  // a test may send and receive on two threads; OpenSSL must not
  ssl_ctx_st* context_ = nullptr;
  ssl_st* ssl_ = nullptr;
  std::string problem_;
  int tickets_ = 0;
};

}  // namespace hearth::testing

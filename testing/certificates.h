// Certificates for tests, right and wrong, made when they are needed.
#pragma once

#include <cstdint>
#include <string>

namespace hearth::testing {

struct Certificate {
  std::string pem;
  std::string key;  // PEM
};

struct CertificateSpec {
  // As OpenSSL's configuration has them; empty: none.
  std::string names = "DNS:localhost,IP:127.0.0.1";
  std::string raw_dns = {};  // in place of them: one DNS name of just these bytes
  std::int64_t from_s = -3600;
  std::int64_t until_s = 30 * 86'400;
  int rsa_bits = 0;  // 0: a key on P-256
};

// An authority of its own key.
class Authority {
 public:
  Authority();
  const std::string& pem() const { return own_.pem; }
  Certificate issue(const CertificateSpec& spec = {}) const;
  // A list (CRL), in PEM, with this one certificate on it.
  std::string list_of(const Certificate& taken_back) const;
  std::string empty_list() const;

 private:
  std::string list(const std::string& taken_back) const;
  Certificate own_;
};

}  // namespace hearth::testing

// A certificate that nobody but its owner vouches for: for a first try, and for tests.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::net {

struct SelfSigned {
  std::string certificate;  // PEM
  std::string key;          // PEM, PKCS #8, without a passphrase
  std::string fingerprint;  // SHA-256 of the certificate, hex
};

// A fresh key on P-256. `hosts`: DNS names and addresses, at least one; anything else is refused
// ("invalid_host"). Valid from an hour before `now`, as clocks differ.
Result<SelfSigned> make_self_signed(const std::vector<std::string>& hosts, std::int64_t days,
                                    std::chrono::system_clock::time_point now);

// cert.pem and key.pem (mode 0600) in `folder`, which is made (0700) if it is missing. Never over
// what is there: kInvalid "file_exists".
Status write_self_signed(const SelfSigned& made, const std::string& folder);

}  // namespace hearth::net

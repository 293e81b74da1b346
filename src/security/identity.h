// Who asks, and what they may do: identities with roles, the keys and certificates by which they
// are known. All of it as the configuration states it, so that replicas that read the same files
// agree. Whoever comes over loopback with neither key nor certificate is the identity `local`: it
// may use models and read metrics, and administers nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/hmac.h"
#include "security/quota.h"
#include "security/role.h"

namespace hearth::security {

struct Identity {
  std::string name;
  std::string key_id = {};  // by which it is known this time; empty: by a certificate, or `local`
  std::vector<Grant> grants = {};
  std::vector<std::string> models =
      {};  // the only ones for it, as in a grant; empty: as grants say
  Quota quota = {};
  double weight = 1;        // of its share when many wait
  bool batch_only = false;  // its requests wait for all interactive ones

  static Identity local();
  // For this thing; without a name: for any.
  bool may(Permission permission, std::optional<std::string_view> thing = std::nullopt) const;
};

// As the configuration has them.
struct RoleEntry {
  std::string name;
  std::vector<std::string> grants;
};
struct IdentityEntry {
  std::string name;
  std::vector<std::string> roles;
  std::vector<std::string> models;
  std::vector<std::string> certificates;  // names that its client certificate has (SAN)
  Quota quota;
  double weight = 1;
  bool batch_only = false;
};
struct KeyEntry {
  std::string id;  // of hk_<id>_<secret>
  std::string identity;
  std::string hash;                // 64 hex digits: see api_key.h
  std::string expires;             // "2027-06-30" or "2027-06-30T12:00:00Z"; empty: never
  std::vector<std::string> roles;  // of those of its identity; empty: all
};
struct IdentityConfig {
  std::vector<RoleEntry> roles;  // besides the ready ones
  std::vector<IdentityEntry> identities;
  std::vector<KeyEntry> keys;
};

// Each alone: what can be said without the others. "invalid_role", "invalid_identity",
// "invalid_key".
Status check(const RoleEntry& role);
Status check(const IdentityEntry& identity);
Status check(const KeyEntry& key);

// Seconds since 1970 of a date (its end, UTC) or of a moment. "invalid_time".
Result<std::int64_t> parse_expiry(std::string_view text);

// By what somebody says who he is.
struct Credentials {
  const std::string* authorization = nullptr;     // the header's value; null without one
  std::span<const std::string> certificate = {};  // names in a verified client certificate
  bool loopback = false;                          // comes from this machine
};

struct KeyState {
  std::string id;
  std::string identity;
  std::int64_t expires_s = 0;    // since 1970; 0: never
  std::int64_t last_used_s = 0;  // 0: not since the start
};

class Identities {
 public:
  Identities() = default;  // nobody: everyone from this machine is `local`

  // Refused: what check() refuses, what is there twice, roles and identities that are named and do
  // not exist, and roles that nobody may have together ("conflicting_roles"). The use of keys that
  // `before` has too is remembered.
  static Result<Identities> create(const IdentityConfig& config,
                                   std::span<const std::byte> site_secret,
                                   const Identities* before = nullptr);

  // "invalid_api_key", "key_expired", "unknown_certificate", "key_required". While there are no
  // keys at all a key is not looked at: clients send made-up ones.
  Result<Identity> identify(const Credentials& credentials,
                            std::chrono::system_clock::time_point now) const;

  bool empty() const { return keys_.empty() && by_certificate_.empty(); }
  std::vector<KeyState> keys() const;

 private:
  struct Key {
    crypto::Digest hash;
    std::int64_t expires_s = 0;
    Identity identity;
    std::shared_ptr<std::atomic<std::int64_t>> last_used_s;
  };
  Result<Identity> identify_key(std::string_view text, std::int64_t now_s) const;

  std::vector<std::byte> site_secret_;
  std::map<std::string, Key, std::less<>> keys_;  // by id
  std::map<std::string, Identity, std::less<>> by_certificate_;
};

}  // namespace hearth::security

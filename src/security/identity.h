// Who asks, and what they may do. Whoever comes over loopback without a key is the identity
// `local`: it may use models and read metrics, and administers nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::security {

enum class Permission : std::uint8_t {
  kNone,  // open to everyone, also with a wrong key: health
  kUseModels,
  kReadMetrics,
  kManageModels,  // load and unload
};

// "use-models", "read-metrics", "manage-models"; nothing for any other word.
std::optional<Permission> permission_named(std::string_view name);
std::string_view name_of(Permission permission);

// A key as the configuration states it: its SHA-256, never itself. A key is at least 128 random
// bits, so that a plain hash tells nobody what it is.
struct KeyEntry {
  std::string name;    // of the identity, for logs
  std::string sha256;  // 64 hex digits, of the key's bytes
  std::vector<std::string> permissions;
  double weight = 1;        // of its share when many wait
  bool batch_only = false;  // its requests wait for all interactive ones
};

// Refused ("invalid_key"): an empty name, a digest or a permission that is none.
Status check(const KeyEntry& key);

struct Identity {
  std::string name;
  std::vector<Permission> permissions;
  double weight = 1;
  bool batch_only = false;

  static Identity local();  // whoever has no key
  bool may(Permission permission) const;
};

class Identities {
 public:
  Identities() = default;  // no keys: everyone is `local`

  // Refused ("invalid_key"): what check() refuses, and a key twice.
  static Result<Identities> create(const std::vector<KeyEntry>& keys);

  // `authorization`: the header's value; null without one. Nothing: a key was given that is not
  // known here. While there are no keys at all a key is not looked at: clients send made-up ones.
  std::optional<Identity> identify(const std::string* authorization) const;

 private:
  struct Key {
    std::string digest;
    Identity identity;
  };
  std::vector<Key> keys_;
};

}  // namespace hearth::security

#include "security/identity.h"

#include <algorithm>
#include <array>
#include <utility>

#include "crypto/sha256.h"

namespace hearth::security {
namespace {

constexpr std::array<std::pair<std::string_view, Permission>, 3> kNames = {
    {{"use-models", Permission::kUseModels},
     {"read-metrics", Permission::kReadMetrics},
     {"manage-models", Permission::kManageModels}}};

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string to_lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return to_lower(c); });
  return out;
}

// The key of "Bearer KEY" (RFC 6750 section 2.1); empty for anything else.
std::string_view bearer_key(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (to_lower(authorization.substr(0, kScheme.size())) != kScheme) return {};
  std::string_view key = authorization.substr(kScheme.size());
  while (key.starts_with(' ')) key.remove_prefix(1);
  while (key.ends_with(' ')) key.remove_suffix(1);
  return key;
}

}  // namespace

std::optional<Permission> permission_named(std::string_view name) {
  for (const auto& [known, permission] : kNames)
    if (known == name) return permission;
  return std::nullopt;
}

std::string_view name_of(Permission permission) {
  for (const auto& [name, known] : kNames)
    if (known == permission) return name;
  return "none";
}

Identity Identity::local() { return {"local", {Permission::kUseModels, Permission::kReadMetrics}}; }

bool Identity::may(Permission permission) const {
  return permission == Permission::kNone ||
         std::find(permissions.begin(), permissions.end(), permission) != permissions.end();
}

Status check(const KeyEntry& key) {
  if (key.name.empty()) return invalid("invalid_key", "a key needs a name");
  if (!crypto::is_sha256_hex(key.sha256))
    return invalid("invalid_key", "key {}: sha256 must be 64 hex digits", key.name);
  for (const std::string& name : key.permissions)
    if (!permission_named(name))
      return invalid("invalid_key",
                     "key {}: '{}' is no permission; there are use-models, read-metrics and "
                     "manage-models",
                     key.name, name);
  return {};
}

Result<Identities> Identities::create(const std::vector<KeyEntry>& keys) {
  Identities out;
  for (const KeyEntry& entry : keys) {
    HEARTH_TRY_VOID(check(entry));
    Key key{to_lower(entry.sha256), {entry.name, {}, entry.weight, entry.batch_only}};
    for (const std::string& name : entry.permissions)
      key.identity.permissions.push_back(*permission_named(name));
    for (const Key& other : out.keys_)
      if (other.digest == key.digest)
        return invalid("invalid_key", "{} and {} have the same key", other.identity.name,
                       entry.name);
    out.keys_.push_back(std::move(key));
  }
  return out;
}

std::optional<Identity> Identities::identify(const std::string* authorization) const {
  if (authorization == nullptr || keys_.empty()) return Identity::local();
  // Digests are compared, so how long a comparison takes tells nothing about a key.
  const std::string digest = crypto::sha256_hex(bearer_key(*authorization));
  for (const Key& key : keys_)
    if (key.digest == digest) return key.identity;
  return std::nullopt;
}

}  // namespace hearth::security

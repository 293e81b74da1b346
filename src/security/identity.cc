#include "security/identity.h"

#include <algorithm>
#include <utility>

#include "security/api_key.h"

namespace hearth::security {
namespace {

constexpr std::size_t kNameMax = 128;

// What may stand in a log line and in an audit record as it is.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-' || c == '/' || c == ':' || c == '@';
         });
}

// The key of "Bearer KEY" (RFC 6750 section 2.1); empty for anything else.
std::string_view bearer_key(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  const std::string_view scheme = authorization.substr(0, kScheme.size());
  const bool bearer = std::equal(
      scheme.begin(), scheme.end(), kScheme.begin(), kScheme.end(), [](char given, char wanted) {
        return (given >= 'A' && given <= 'Z' ? given - 'A' + 'a' : given) == wanted;
      });
  if (!bearer) return {};
  std::string_view key = authorization.substr(kScheme.size());
  while (key.starts_with(' ')) key.remove_prefix(1);
  while (key.ends_with(' ')) key.remove_suffix(1);
  return key;
}

using Roles = std::map<std::string, std::vector<Grant>, std::less<>>;

Result<Roles> all_roles(const std::vector<RoleEntry>& entries) {
  Roles roles;
  for (const Role& role : ready_roles()) roles.emplace(role.name, role.grants);
  for (const RoleEntry& entry : entries) {
    HEARTH_TRY_VOID(check(entry));
    std::vector<Grant> grants;
    for (const std::string& text : entry.grants) {
      HEARTH_TRY(grants.emplace_back(), parse_grant(text));
    }
    if (!roles.emplace(entry.name, std::move(grants)).second)
      return invalid("invalid_role", "there are two roles called {}", entry.name);
  }
  return roles;
}

Result<std::vector<Grant>> grants_of(const std::vector<std::string>& names, const Roles& roles,
                                     std::string_view whose) {
  std::vector<Grant> grants;
  for (const std::string& name : names) {
    const auto role = roles.find(name);
    if (role == roles.end()) return invalid("invalid_role", "{}: there is no role {}", whose, name);
    grants.insert(grants.end(), role->second.begin(), role->second.end());
  }
  return grants;
}

template <class T>
bool has(const std::vector<T>& list, const T& wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

// Two digits or four, as a number; -1 for anything else.
int number_in(std::string_view text, std::size_t at, std::size_t digits) {
  int value = 0;
  if (text.size() < at + digits) return -1;
  for (const char c : text.substr(at, digits)) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

Identity Identity::local() {
  return {.name = "local",
          .grants = {{{Verb::kUse, Resource::kModels}},
                     {{Verb::kRead, Resource::kModels}},
                     {{Verb::kUse, Resource::kAdapters}},
                     {{Verb::kRead, Resource::kMetrics}}}};
}

bool Identity::may(Permission permission, std::optional<std::string_view> thing) const {
  if (!allows(grants, permission, thing)) return false;
  if (permission.resource != Resource::kModels || !thing || models.empty()) return true;
  return std::any_of(models.begin(), models.end(), [&](const std::string& pattern) {
    return Grant{permission, pattern}.covers(*thing);
  });
}

Status check(const RoleEntry& role) {
  if (!is_plain_name(role.name))
    return invalid("invalid_role", "a role needs a name of letters, digits and . _ - / : @");
  for (const std::string& text : role.grants) {
    if (const auto grant = parse_grant(text); !grant)
      return invalid("invalid_role", "role {}: {}", role.name, grant.error().message);
  }
  return {};
}

Status check(const IdentityEntry& identity) {
  if (!is_plain_name(identity.name) || identity.name == "local")
    return invalid("invalid_identity",
                   "an identity needs a name of letters, digits and . _ - / : @, other than local");
  for (const std::string& name : identity.certificates)
    if (name.empty())
      return invalid("invalid_identity", "identity {}: a certificate's name is empty",
                     identity.name);
  return {};
}

Status check(const KeyEntry& key) {
  const std::string whole = "hk_" + key.id + "_" + std::string(64, '0');
  if (!id_of_api_key(whole))
    return invalid("invalid_key",
                   "a key's id has 16 hex digits: it is what stands between "
                   "\"hk_\" and the second \"_\" of the key");
  if (key.identity.empty()) return invalid("invalid_key", "key {}: whose is it?", key.id);
  if (!parse_digest(key.hash))
    return invalid("invalid_key", "key {}: hash must be 64 hex digits", key.id);
  if (!key.expires.empty()) {
    if (const auto when = parse_expiry(key.expires); !when)
      return invalid("invalid_key", "key {}: {}", key.id, when.error().message);
  }
  return {};
}

Result<std::int64_t> parse_expiry(std::string_view text) {
  using std::chrono::day;
  using std::chrono::month;
  using std::chrono::year;
  const auto bad = [&] {
    return invalid("invalid_time",
                   "'{}' is neither a date (2027-06-30) nor a moment in UTC "
                   "(2027-06-30T12:00:00Z)",
                   text);
  };
  const int y = number_in(text, 0, 4);
  const int m = number_in(text, 5, 2);
  const int d = number_in(text, 8, 2);
  if (y < 1970 || m < 0 || d < 0 || text[4] != '-' || text[7] != '-') return bad();
  const std::chrono::year_month_day date(year(y), month(static_cast<unsigned>(m)),
                                         day(static_cast<unsigned>(d)));
  if (!date.ok()) return bad();
  const std::int64_t begin = std::chrono::sys_days(date).time_since_epoch().count() * 86400LL;
  if (text.size() == 10) return begin + 86400;
  const int hours = number_in(text, 11, 2);
  const int minutes = number_in(text, 14, 2);
  const int seconds = number_in(text, 17, 2);
  if (text.size() != 20 || text[10] != 'T' || text[13] != ':' || text[16] != ':' ||
      text[19] != 'Z' || hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || seconds < 0 ||
      seconds > 59)
    return bad();
  return begin + hours * 3600 + minutes * 60 + seconds;
}

Result<Identities> Identities::create(const IdentityConfig& config,
                                      std::span<const std::byte> site_secret,
                                      const Identities* before) {
  Identities out;
  out.site_secret_.assign(site_secret.begin(), site_secret.end());
  HEARTH_TRY(const Roles roles, all_roles(config.roles));
  std::map<std::string, std::pair<const IdentityEntry*, Identity>, std::less<>> identities;
  for (const IdentityEntry& entry : config.identities) {
    HEARTH_TRY_VOID(check(entry));
    Identity identity = {.name = entry.name,
                         .models = entry.models,
                         .quota = entry.quota,
                         .weight = entry.weight,
                         .batch_only = entry.batch_only};
    HEARTH_TRY(identity.grants, grants_of(entry.roles, roles, entry.name));
    if (auto apart = check_separation(identity.grants); !apart)
      return prefixed(entry.name, std::move(apart).error());
    for (const std::string& name : entry.certificates)
      if (!out.by_certificate_.emplace(name, identity).second)
        return invalid("invalid_identity", "{}: the certificate's name {} is another's already",
                       entry.name, name);
    if (!identities.emplace(entry.name, std::pair(&entry, std::move(identity))).second)
      return invalid("invalid_identity", "there are two identities called {}", entry.name);
  }
  for (const KeyEntry& entry : config.keys) {
    HEARTH_TRY_VOID(check(entry));
    const auto whose = identities.find(entry.identity);
    if (whose == identities.end())
      return invalid("invalid_key", "key {}: there is no identity {}", entry.id, entry.identity);
    Key key = {*parse_digest(entry.hash), 0, whose->second.second, nullptr};
    key.identity.key_id = entry.id;
    for (const std::string& role : entry.roles)
      if (!has(whose->second.first->roles, role))
        return invalid("invalid_key", "key {}: {} has no role {}", entry.id, entry.identity, role);
    if (!entry.roles.empty()) {
      HEARTH_TRY(key.identity.grants, grants_of(entry.roles, roles, entry.id));
    }
    if (!entry.expires.empty()) {
      HEARTH_TRY(key.expires_s, parse_expiry(entry.expires));
    }
    key.last_used_s = std::make_shared<std::atomic<std::int64_t>>(0);
    if (before != nullptr) {
      const auto known = before->keys_.find(entry.id);
      if (known != before->keys_.end() && known->second.hash == key.hash)
        key.last_used_s = known->second.last_used_s;
    }
    if (!out.keys_.emplace(entry.id, std::move(key)).second)
      return invalid("invalid_key", "there are two keys with the id {}", entry.id);
  }
  return out;
}

Result<Identity> Identities::identify(const Credentials& credentials,
                                      std::chrono::system_clock::time_point now) const {
  if (credentials.authorization != nullptr && !keys_.empty())
    return identify_key(
        bearer_key(*credentials.authorization),
        std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
  for (const std::string& name : credentials.certificate)
    if (const auto found = by_certificate_.find(name); found != by_certificate_.end())
      return found->second;
  if (!credentials.certificate.empty())
    return invalid("unknown_certificate", "nobody here is known by this certificate");
  if (!credentials.loopback) return invalid("key_required", "this needs a key");
  return Identity::local();
}

Result<Identity> Identities::identify_key(std::string_view text, std::int64_t now_s) const {
  // Found by the part that is no secret. The rest is compared by a digest, in constant time, and
  // for an id that is not known a digest is made as well.
  const auto id = id_of_api_key(text);
  const auto found = id ? keys_.find(*id) : keys_.end();
  const crypto::Digest given = hash_api_key(site_secret_, text);
  constexpr crypto::Digest kNobody = {};
  const bool same =
      crypto::equal_in_constant_time(given, found == keys_.end() ? kNobody : found->second.hash);
  if (found == keys_.end() || !same)
    return invalid("invalid_api_key", "this key is not known here");
  const Key& key = found->second;
  if (key.expires_s != 0 && now_s >= key.expires_s)
    return invalid("key_expired", "this key has expired");
  key.last_used_s->store(now_s, std::memory_order_relaxed);
  return key.identity;
}

std::vector<KeyState> Identities::keys() const {
  std::vector<KeyState> out;
  for (const auto& [id, key] : keys_)
    out.push_back({id, key.identity.name, key.expires_s, key.last_used_s->load()});
  return out;
}

}  // namespace hearth::security

#include "security/role.h"

#include <algorithm>
#include <array>
#include <utility>

namespace hearth::security {
namespace {

constexpr std::array<std::pair<std::string_view, Verb>, 4> kVerbs = {{{"use", Verb::kUse},
                                                                      {"read", Verb::kRead},
                                                                      {"manage", Verb::kManage},
                                                                      {"grant", Verb::kGrant}}};
constexpr std::array<std::pair<std::string_view, Resource>, 8> kResources = {
    {{"models", Resource::kModels},
     {"adapters", Resource::kAdapters},
     {"metrics", Resource::kMetrics},
     {"keys", Resource::kKeys},
     {"roles", Resource::kRoles},
     {"audit", Resource::kAudit},
     {"config", Resource::kConfig},
     {"rollout", Resource::kRollout}}};

template <class T, std::size_t N>
std::optional<T> named(const std::array<std::pair<std::string_view, T>, N>& names,
                       std::string_view name) {
  for (const auto& [known, value] : names)
    if (known == name) return value;
  return std::nullopt;
}

template <class T, std::size_t N>
std::string_view name_of(const std::array<std::pair<std::string_view, T>, N>& names, T value) {
  return std::find_if(names.begin(), names.end(),
                      [&](const auto& entry) { return entry.second == value; })
      ->first;
}

std::vector<Role> make_ready_roles() {
  const auto role = [](std::string name, std::initializer_list<std::string_view> grants) {
    Role out = {std::move(name), {}};
    for (const std::string_view text : grants) {
      auto grant = parse_grant(text);
      HEARTH_CHECK(grant.has_value());
      out.grants.push_back(*std::move(grant));
    }
    return out;
  };
  return {
      role("user", {"use models", "read models", "use adapters", "read adapters"}),
      role("model-admin", {"read models", "manage models", "read adapters", "manage adapters",
                           "read rollout", "manage rollout", "read metrics"}),
      role("system-admin", {"read config", "manage config", "read metrics", "read models"}),
      role("security-admin", {"read keys", "manage keys", "read roles", "grant roles:user",
                              "grant roles:model-admin", "read config"}),
      role("auditor", {"read audit", "read keys", "read roles", "read config", "read metrics"}),
  };
}

}  // namespace

std::string to_text(Permission permission) {
  return fmt::format("{} {}", name_of(kVerbs, permission.verb),
                     name_of(kResources, permission.resource));
}

bool Grant::covers(std::string_view name) const {
  if (names.ends_with('*'))
    return name.starts_with(std::string_view(names).substr(0, names.size() - 1));
  return names == name;
}

bool Grant::covers(const Grant& other) const {
  if (permission != other.permission) return false;
  if (!other.names.ends_with('*')) return covers(other.names);
  return names.ends_with('*') &&
         covers(std::string_view(other.names).substr(0, other.names.size() - 1));
}

Result<Grant> parse_grant(std::string_view text) {
  const std::size_t space = text.find(' ');
  const std::size_t colon = std::min(text.find(':'), text.size());
  if (space == std::string_view::npos || space > colon)
    return invalid("invalid_grant",
                   "'{}' is no grant: it takes a verb and a resource, as in "
                   "\"use models\" or \"use models:smollm2*\"",
                   text);
  const auto verb = named(kVerbs, text.substr(0, space));
  const auto resource = named(kResources, text.substr(space + 1, colon - space - 1));
  if (!verb)
    return invalid("invalid_grant", "'{}': the verbs are use, read, manage and grant", text);
  if (!resource)
    return invalid("invalid_grant",
                   "'{}': the resources are models, adapters, metrics, keys, "
                   "roles, audit, config and rollout",
                   text);
  if (*verb == Verb::kGrant && *resource != Resource::kRoles)
    return invalid("invalid_grant", "'{}': only roles are granted", text);
  Grant grant = {{*verb, *resource}};
  if (colon == text.size()) return grant;
  grant.names = std::string(text.substr(colon + 1));
  if (grant.names.empty() || grant.names.find('*') < grant.names.size() - 1)
    return invalid("invalid_grant",
                   "'{}': after the colon stands a name, or the beginning of one "
                   "and a '*'",
                   text);
  return grant;
}

std::string to_text(const Grant& grant) {
  return to_text(grant.permission) + (grant.names == "*" ? "" : ":" + grant.names);
}

std::span<const Role> ready_roles() {
  static const std::vector<Role> roles = make_ready_roles();
  return roles;
}

bool allows(std::span<const Grant> grants, Permission permission,
            std::optional<std::string_view> name) {
  return std::any_of(grants.begin(), grants.end(), [&](const Grant& grant) {
    return grant.permission == permission && (!name || grant.covers(*name));
  });
}

Status check_separation(std::span<const Grant> grants) {
  constexpr std::array<Permission, 3> kOffices = {{{Verb::kManage, Resource::kConfig},
                                                   {Verb::kManage, Resource::kKeys},
                                                   {Verb::kRead, Resource::kAudit}}};
  std::vector<Permission> held;
  for (const Permission& office : kOffices)
    if (allows(grants, office)) held.push_back(office);
  if (held.size() < 2) return {};
  return invalid("conflicting_roles", "nobody may both {} and {}", to_text(held[0]),
                 to_text(held[1]));
}

bool may_give(std::span<const Grant> own, const Role& role) {
  if (allows(own, {Verb::kGrant, Resource::kRoles}, role.name)) return true;
  return std::all_of(role.grants.begin(), role.grants.end(), [&](const Grant& wanted) {
    return std::any_of(own.begin(), own.end(),
                       [&](const Grant& grant) { return grant.covers(wanted); });
  });
}

}  // namespace hearth::security

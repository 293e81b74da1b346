// Who may do what: a grant is a verb, a kind of thing and, where things have names, which of them.
// Grants only add up; what nobody granted is denied (NIST RBAC, ANSI INCITS 359-2004, core and
// static separation of duty).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::security {

enum class Verb : std::uint8_t {
  kUse,     // have it work: a model answers, an adapter is applied
  kRead,    // see what there is, and its state
  kManage,  // load, unload, create, change, revoke
  kGrant,   // give a role to somebody
};

enum class Resource : std::uint8_t {
  kModels,
  kAdapters,
  kMetrics,
  kKeys,  // with the identities that they belong to
  kRoles,
  kAudit,
  kConfig,
  kRollout,
};

// What a route asks for.
struct Permission {
  Verb verb;
  Resource resource;
  friend bool operator==(const Permission&, const Permission&) = default;
};
std::string to_text(Permission permission);  // "use models"

struct Grant {
  Permission permission;
  std::string names = "*";  // one, or with a '*' at its end all that begin so

  friend bool operator==(const Grant&, const Grant&) = default;
  bool covers(std::string_view name) const;
  bool covers(const Grant& other) const;
};
// "use models", "use models:smollm2*". "invalid_grant" for anything else.
Result<Grant> parse_grant(std::string_view text);
std::string to_text(const Grant& grant);

struct Role {
  std::string name;
  std::vector<Grant> grants;
};

// user, model-admin, system-admin, security-admin, auditor.
std::span<const Role> ready_roles();

// Whether one of `grants` allows it for this thing; without a name: for any.
bool allows(std::span<const Grant> grants, Permission permission,
            std::optional<std::string_view> name = std::nullopt);

// Level 3 of GB/T 22239 keeps three offices apart: who runs the system (manage config), who says
// who may do what (manage keys), and who looks at what both did (read audit). "conflicting_roles"
// where grants put two of them into one hand, by whichever roles.
Status check_separation(std::span<const Grant> grants);

// Whether somebody with `own` may give `role` to another: he may grant just that role, or has all
// of it himself.
bool may_give(std::span<const Grant> own, const Role& role);

}  // namespace hearth::security

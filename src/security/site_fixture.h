// For tests: a site whose keys the test knows.
//
//   TestSite site;
//   const std::string key = site.add("ops", {"model-admin", "user"});
//   app.set_identities(site.shared());
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "security/api_key.h"
#include "security/identity.h"

namespace hearth::security {

inline std::vector<std::byte> test_secret(char c = 's') {
  return std::vector<std::byte>(32, static_cast<std::byte>(c));
}

struct TestSite {
  IdentityConfig config;

  // The text of a new key of that identity, which is made if it is not there.
  std::string add(const std::string& identity, std::vector<std::string> roles,
                  std::string expires = "", std::vector<std::string> scopes = {}) {
    if (std::none_of(config.identities.begin(), config.identities.end(),
                     [&](const IdentityEntry& entry) { return entry.name == identity; })) {
      IdentityEntry& entry = config.identities.emplace_back();
      entry.name = identity;
      entry.roles = std::move(roles);
    }
    const NewApiKey key = make_api_key();
    config.keys.push_back({key.id, identity, crypto::hex(hash_api_key(test_secret(), key.text)),
                           std::move(expires), std::move(scopes)});
    return key.text;
  }
  IdentityEntry& of(const std::string& identity) {
    return *std::find_if(config.identities.begin(), config.identities.end(),
                         [&](const IdentityEntry& entry) { return entry.name == identity; });
  }
  Identities make(const Identities* before = nullptr) const {
    auto made = Identities::create(config, test_secret(), before);
    EXPECT_TRUE(made) << made.error().message;
    return made ? *std::move(made) : Identities();
  }
  std::shared_ptr<const Identities> shared() const {
    return std::make_shared<const Identities>(make());
  }
};

// The header that says it, with its end of line.
inline std::string bearer(const std::string& key) {
  return "Authorization: Bearer " + key + "\r\n";
}

}  // namespace hearth::security

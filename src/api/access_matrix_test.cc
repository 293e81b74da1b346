// Each route by each method and each identity: who passes, and who does not. Made from the route
// table, so that no route can be forgotten.
#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <set>

#include "api/app_fixture.h"
#include "api/route_table.h"
#include "security/site_fixture.h"

namespace hearth::api {
namespace {

struct Caller {
  std::string name;
  std::string header;                                  // empty: no key
  std::optional<std::vector<security::Grant>> grants;  // none: nobody, 401 wherever a key matters
};

std::vector<security::Grant> grants_of(const security::Identities& identities,
                                       const std::string& header) {
  const std::string value = header.substr(15, header.size() - 17);  // "Authorization: ", "\r\n"
  const auto identity = identities.identify({.authorization = &value, .loopback = true},
                                            std::chrono::system_clock::now());
  EXPECT_TRUE(identity) << header;
  return identity ? identity->grants : std::vector<security::Grant>();
}

std::vector<Caller> callers(const security::TestSite& site, const security::Identities& identities,
                            const std::vector<std::pair<std::string, std::string>>& keys) {
  std::vector<Caller> out = {{"local", "", security::Identity::local().grants}};
  for (const auto& [name, key] : keys)
    out.push_back({name, security::bearer(key), grants_of(identities, security::bearer(key))});
  const std::string good = keys.front().second;
  for (const std::string& wrong :
       {std::string("x"), good.substr(0, good.size() - 1), good + "0", std::string(),
        good.substr(0, 20) + std::string(64, '0'), site.config.keys[0].hash})
    out.push_back({"wrong " + wrong, security::bearer(wrong), std::nullopt});
  out.push_back({"another scheme", "Authorization: Basic " + good + "\r\n", std::nullopt});
  return out;
}

TEST(AccessMatrix, NobodyPassesWhoShouldNot) {
  Service service;
  security::TestSite site;
  std::vector<std::pair<std::string, std::string>> keys;
  for (const security::Role& role : security::ready_roles())
    keys.emplace_back(role.name, site.add(role.name, {role.name}));
  for (const Permission& each : {kUseModels, kReadModels, kManageModels, kReadMetrics, kReadKeys}) {
    const std::string name = "only-" + std::to_string(site.config.roles.size());
    site.config.roles.push_back({name, {security::to_text(each)}});
    keys.emplace_back(name, site.add(name, {name}));
  }
  site.config.roles.push_back({"nothing", {}});
  keys.emplace_back("nothing", site.add("nothing", {"nothing"}));
  keys.emplace_back("scoped", site.add("scoped", {"model-admin", "user"}, "", {"user"}));
  const std::string expired = site.add("gone", {"model-admin", "user"}, "2020-01-01");
  const auto identities = site.shared();
  service.app().set_identities(identities);
  std::vector<Caller> all = callers(site, *identities, keys);
  all.push_back({"expired", security::bearer(expired), std::nullopt});

  // Several connections at once would not be more of a test: one after the other, kept alive.
  int asked = 0;
  int passed = 0;
  std::mt19937 random(11);
  const auto routes = service.app().routes().routes();
  while (asked < 10'000) {
    for (const Route& route : routes) {
      const std::string path = route.path.substr(0, route.path.find('{'));
      const std::string target =
          path == route.path ? path : path + "x" + std::to_string(random() % 1000);
      std::set<std::string> taken;
      for (const Route& other : routes)
        if (other.path == route.path) taken.insert(other.method);
      if (taken.count("GET") != 0) taken.insert("HEAD");
      LoopbackClient client(service.port());
      for (const Caller& caller : all) {
        for (const char* method : {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
          if (taken.count(method) != 0 && method != route.method) continue;  // another route's turn
          client.send(std::string(method) + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" +
                      caller.header + "Content-Length: 0\r\n\r\n");
          const RawResponse response =
              client.read_response(std::chrono::seconds(60), method == std::string("HEAD"));
          ++asked;
          const std::string what = std::string(method) + " " + target + " by " + caller.name;
          if (taken.count(method) == 0) {
            EXPECT_EQ(response.status, 405) << what;
          } else if (!route.access) {
            EXPECT_TRUE(response.status != 401 && response.status != 403) << what;
            ++passed;
          } else if (!caller.grants) {
            EXPECT_EQ(response.status, 401) << what;
          } else if (security::allows(*caller.grants, *route.access)) {
            EXPECT_TRUE(response.status != 401 && response.status != 403)
                << what << response.status;
            ++passed;
          } else {
            EXPECT_EQ(response.status, caller.header.empty() ? 401 : 403) << what;
          }
        }
      }
    }
  }
  EXPECT_GT(passed, 1000);
}

}  // namespace
}  // namespace hearth::api

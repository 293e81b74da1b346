#include "security/identity.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "security/site_fixture.h"

namespace hearth::security {
namespace {

using namespace std::chrono_literals;

constexpr Permission kUseModels = {Verb::kUse, Resource::kModels};
constexpr Permission kReadMetrics = {Verb::kRead, Resource::kMetrics};
constexpr Permission kManageModels = {Verb::kManage, Resource::kModels};
const std::chrono::system_clock::time_point kNow{std::chrono::seconds(1'800'000'000)};

Result<Identity> who(const Identities& identities, const std::string& header,
                     std::chrono::system_clock::time_point now = kNow) {
  return identities.identify({.authorization = &header, .loopback = true}, now);
}
std::string code_of(const Result<Identity>& result) {
  return result ? "welcome " + result->name : result.error().code;
}

TEST(ApiKey, HasTwoHundredAndFiftySixRandomBitsBehindAnId) {
  const NewApiKey a = make_api_key();
  const NewApiKey b = make_api_key();
  EXPECT_EQ(a.text.size(), 3 + 16 + 1 + 64u);
  EXPECT_TRUE(a.text.starts_with("hk_" + a.id + "_"));
  EXPECT_EQ(id_of_api_key(a.text), a.id);
  EXPECT_NE(a.id, b.id);
  EXPECT_NE(a.text.substr(20), b.text.substr(20));
  for (const std::string& text :
       {std::string(), std::string("hk_"), a.text + "0", a.text.substr(1),
        a.text.substr(0, a.text.size() - 1), std::string(a.text).replace(0, 3, "HK_"),
        std::string(a.text).replace(30, 1, "g"), std::string(a.text).replace(5, 1, "A"),
        std::string(a.text).replace(19, 1, "-")})
    EXPECT_FALSE(id_of_api_key(text)) << text;
}

TEST(ApiKey, WhatIsKeptDependsOnTheSitesSecret) {
  const NewApiKey key = make_api_key();
  EXPECT_EQ(hash_api_key(test_secret(), key.text), hash_api_key(test_secret(), key.text));
  EXPECT_NE(hash_api_key(test_secret(), key.text), hash_api_key(test_secret('t'), key.text));
  // RFC 4231, test case 2.
  const std::string jefe = "Jefe";
  EXPECT_EQ(crypto::hex(crypto::hmac_sha256(std::as_bytes(std::span(jefe)),
                                            "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Identities, WithoutKeysEveryoneFromThisMachineIsLocal) {
  const Identities none;
  const std::string made_up = "Bearer anything";
  for (const std::string* header : {static_cast<const std::string*>(nullptr), &made_up}) {
    const auto identity = none.identify({.authorization = header, .loopback = true}, kNow);
    ASSERT_TRUE(identity.has_value());
    EXPECT_EQ(identity->name, "local");
    EXPECT_TRUE(identity->may(kUseModels, "any"));
    EXPECT_TRUE(identity->may(kReadMetrics));
    EXPECT_FALSE(identity->may(kManageModels));
    EXPECT_EQ(code_of(none.identify({.authorization = header}, kNow)), "key_required");
  }
}

TEST(Identities, AKeyHasTheRolesOfItsIdentityOrFewer) {
  TestSite site;
  const std::string all = site.add("ops", {"model-admin", "user"});
  const std::string few = site.add("ops", {}, "", {"user"});
  const Identities identities = site.make();
  const auto a = who(identities, "Bearer " + all);
  ASSERT_TRUE(a);
  EXPECT_TRUE(a->may(kManageModels) && a->may(kUseModels));
  EXPECT_EQ(a->key_id, site.config.keys[0].id);
  const auto b = who(identities, "bearer   " + few + " ");
  ASSERT_TRUE(b);
  EXPECT_EQ(b->name, "ops");
  EXPECT_TRUE(b->may(kUseModels));
  EXPECT_FALSE(b->may(kManageModels));
}

TEST(Identities, NoKeyButTheRightOneOpens) {
  TestSite site;
  const std::string key = site.add("app", {"user"});
  const std::string other = site.add("other", {"user"});
  const Identities identities = site.make();
  EXPECT_EQ(code_of(who(identities, "Bearer " + key)), "welcome app");
  for (const std::string& header :
       {std::string(), std::string("Bearer"), std::string("Bearer "), key, "Basic " + key,
        "Bearer " + key.substr(0, key.size() - 1), "Bearer " + key + "0", "Bearer x" + key,
        "Bearer " + key.substr(0, 20) + other.substr(20),
        "Bearer " + other.substr(0, 20) + key.substr(20)})
    EXPECT_EQ(code_of(who(identities, header)), "invalid_api_key") << header;
  std::mt19937 random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string wrong = key;
    wrong[random() % wrong.size()] = "0123456789abcdef_hk"[random() % 19];
    EXPECT_EQ(code_of(who(identities, "Bearer " + wrong)),
              wrong == key ? "welcome app" : "invalid_api_key");
  }
  // Another site's secret: what is written in the file opens nothing there.
  const auto elsewhere = Identities::create(site.config, test_secret('x'));
  ASSERT_TRUE(elsewhere);
  EXPECT_EQ(code_of(who(*elsewhere, "Bearer " + key)), "invalid_api_key");
}

TEST(Identities, AKeyExpires) {
  TestSite site;
  const std::string key = site.add("app", {"user"}, "2027-01-15T08:00:00Z");  // 1'800'000'000
  const Identities identities = site.make();
  EXPECT_EQ(code_of(who(identities, "Bearer " + key, kNow - 1s)), "welcome app");
  EXPECT_EQ(code_of(who(identities, "Bearer " + key, kNow)), "key_expired");
  EXPECT_EQ(code_of(who(identities, "Bearer " + key + "0", kNow)), "invalid_api_key");
}

TEST(Identities, TimesAreDatesOrMoments) {
  EXPECT_EQ(*parse_expiry("2027-01-15T08:00:00Z"), 1'800'000'000);
  EXPECT_EQ(*parse_expiry("2027-01-14"), 1'799'971'200);  // with its last second
  EXPECT_EQ(*parse_expiry("2028-02-29") - *parse_expiry("2028-02-28"), 86400);
  for (const char* text : {"", "2027", "2027-1-15", "2027-02-29", "2027-13-01", "2027-00-01",
                           "2027/01/15", "2027-01-15T08:00:00", "2027-01-15 08:00:00Z",
                           "2027-01-15T24:00:00Z", "2027-01-15T08:60:00Z", "never", "-027-01-15"})
    EXPECT_EQ(parse_expiry(text).error().code, "invalid_time") << text;
}

TEST(Identities, UseOfAKeyIsRememberedOverAReload) {
  TestSite site;
  const std::string key = site.add("app", {"user"});
  const Identities first = site.make();
  EXPECT_EQ(first.keys().at(0).last_used_s, 0);
  EXPECT_TRUE(who(first, "Bearer " + key));
  EXPECT_FALSE(who(first, "Bearer " + key + "0"));
  EXPECT_EQ(first.keys().at(0).last_used_s, 1'800'000'000);
  EXPECT_EQ(site.make(&first).keys().at(0).last_used_s, 1'800'000'000);
  site.config.keys[0].hash = std::string(64, '1');  // another key under that id
  EXPECT_EQ(site.make(&first).keys().at(0).last_used_s, 0);
}

TEST(Identities, ACertificateIsKnownByItsNames) {
  TestSite site;
  const std::string key = site.add("app", {"user"});
  site.add("gateway", {"user"});
  site.of("gateway").certificates = {"dns:gw.example", "uri:spiffe://example/gw"};
  const Identities identities = site.make();
  const std::vector<std::string> known = {"dns:other.example", "uri:spiffe://example/gw"};
  const std::vector<std::string> unknown = {"dns:gw.example.org"};
  EXPECT_EQ(code_of(identities.identify({.certificate = known}, kNow)), "welcome gateway");
  EXPECT_EQ(code_of(identities.identify({.certificate = unknown, .loopback = true}, kNow)),
            "unknown_certificate");
  // A key says more than the connection it comes over.
  const std::string header = "Bearer " + key;
  EXPECT_EQ(code_of(identities.identify({.authorization = &header, .certificate = known}, kNow)),
            "welcome app");
  const std::string wrong = "Bearer nothing";
  EXPECT_EQ(code_of(identities.identify({.authorization = &wrong, .certificate = known}, kNow)),
            "invalid_api_key");
}

TEST(Identities, ModelsMayBeFewerThanTheRolesSay) {
  TestSite site;
  const std::string key = site.add("ward", {"user"});
  site.config.identities[0].models = {"ward-*", "small"};
  const auto identity = who(site.make(), "Bearer " + key);
  ASSERT_TRUE(identity);
  EXPECT_TRUE(identity->may(kUseModels, "ward-3") && identity->may(kUseModels, "small"));
  EXPECT_FALSE(identity->may(kUseModels, "large") || identity->may(kUseModels, "small2"));
}

TEST(Identities, MistakesAreToldWithTheirPlace) {
  TestSite good;
  good.add("app", {"user"});
  const auto refused = [&](const std::function<void(IdentityConfig&)>& spoil) {
    IdentityConfig config = good.config;
    spoil(config);
    const auto made = Identities::create(config, test_secret());
    return made ? std::string("taken") : made.error().code;
  };
  using C = IdentityConfig;
  EXPECT_EQ(refused([](C&) {}), "taken");
  EXPECT_EQ(refused([](C& c) { c.identities[0].roles = {"nobody"}; }), "invalid_role");
  EXPECT_EQ(refused([](C& c) { c.identities[0].roles = {"auditor", "system-admin"}; }),
            "conflicting_roles");
  EXPECT_EQ(refused([](C& c) { c.identities[0].name = "local"; }), "invalid_identity");
  EXPECT_EQ(refused([](C& c) { c.identities[0].name = "a b"; }), "invalid_identity");
  EXPECT_EQ(refused([](C& c) { c.identities.push_back(c.identities[0]); }), "invalid_identity");
  EXPECT_EQ(refused([](C& c) { c.keys.push_back(c.keys[0]); }), "invalid_key");
  EXPECT_EQ(refused([](C& c) { c.keys[0].identity = "none"; }), "invalid_key");
  EXPECT_EQ(refused([](C& c) { c.keys[0].hash.pop_back(); }), "invalid_key");
  EXPECT_EQ(refused([](C& c) { c.keys[0].id = "x"; }), "invalid_key");
  EXPECT_EQ(refused([](C& c) { c.keys[0].expires = "soon"; }), "invalid_key");
  EXPECT_EQ(refused([](C& c) { c.keys[0].roles = {"auditor"}; }), "invalid_key");
  EXPECT_EQ(refused([](C& c) { c.roles = {{"user", {"use models"}}}; }), "invalid_role");
  EXPECT_EQ(refused([](C& c) { c.roles = {{"mine", {"use everything"}}}; }), "invalid_role");
  EXPECT_EQ(refused([](C& c) {
              c.roles = {{"both", {"manage config", "read audit"}}};
              c.identities[0].roles = {"both"};
            }),
            "conflicting_roles");
}

}  // namespace
}  // namespace hearth::security

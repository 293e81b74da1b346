#include "security/role.h"

#include <gtest/gtest.h>

#include <random>

namespace hearth::security {
namespace {

std::vector<Grant> grants(std::initializer_list<std::string_view> texts) {
  std::vector<Grant> out;
  for (const std::string_view text : texts) {
    auto grant = parse_grant(text);
    EXPECT_TRUE(grant) << text;
    if (grant) out.push_back(*std::move(grant));
  }
  return out;
}

const Role& ready(std::string_view name) {
  for (const Role& role : ready_roles())
    if (role.name == name) return role;
  ADD_FAILURE() << name;
  return ready_roles().front();
}

constexpr Permission kUseModels = {Verb::kUse, Resource::kModels};
constexpr Permission kManageModels = {Verb::kManage, Resource::kModels};

TEST(Grant, IsWrittenAsItIsRead) {
  for (const char* text : {"use models", "use models:smollm2", "read audit", "manage keys",
                           "grant roles:user", "manage models:ward/*", "read roles"}) {
    const auto grant = parse_grant(text);
    ASSERT_TRUE(grant) << text;
    EXPECT_EQ(to_text(*grant), text);
  }
  EXPECT_EQ(to_text(*parse_grant("use models:*")), "use models");
  for (const char* text : {"", "use", "models", "use model", "Use models", "use  models",
                           "use models:", "use models:*a", "use models:a*b*", "grant models",
                           "grant keys:user", " use models", "use models ", ":"}) {
    const auto grant = parse_grant(text);
    ASSERT_FALSE(grant) << text;
    EXPECT_EQ(grant.error().code, "invalid_grant");
  }
}

TEST(Grant, CoversNamesAndOtherGrants) {
  const Grant all = *parse_grant("use models");
  const Grant some = *parse_grant("use models:ward-*");
  const Grant one = *parse_grant("use models:ward-3");
  EXPECT_TRUE(all.covers("anything") && all.covers("") && all.covers(some) && all.covers(one));
  EXPECT_TRUE(some.covers("ward-3") && some.covers("ward-") && some.covers(one));
  EXPECT_FALSE(some.covers("ward") || some.covers("a ward-3") || some.covers(all));
  EXPECT_TRUE(one.covers("ward-3") && one.covers(one));
  EXPECT_FALSE(one.covers("ward-33") || one.covers("ward-") || one.covers(some));
  EXPECT_FALSE(all.covers(*parse_grant("read models")) || all.covers(*parse_grant("use adapters")));
}

TEST(Roles, WhatNobodyGrantedIsDenied) {
  EXPECT_FALSE(allows({}, kUseModels));
  const auto held = grants({"use models:a*", "read metrics"});
  EXPECT_TRUE(allows(held, kUseModels));
  EXPECT_TRUE(allows(held, kUseModels, "abc"));
  EXPECT_FALSE(allows(held, kUseModels, "b"));
  EXPECT_FALSE(allows(held, kManageModels));
  EXPECT_FALSE(allows(held, {Verb::kRead, Resource::kModels}));
}

// Grants only add up: whatever is allowed stays allowed with one more.
TEST(Roles, GrantsOnlyAddUp) {
  std::mt19937 random(7);
  const char* names[] = {"*", "a*", "ab*", "ab", "b", "a"};
  const auto any = [&] {
    return Grant{{static_cast<Verb>(random() % 4), static_cast<Resource>(random() % 8)},
                 names[random() % 6]};
  };
  for (int round = 0; round < 2000; ++round) {
    std::vector<Grant> held;
    for (unsigned i = random() % 5; i > 0; --i) held.push_back(any());
    const Grant asked = any();
    const bool before = allows(held, asked.permission, asked.names);
    bool by_one = false;
    for (const Grant& grant : held)
      by_one = by_one || allows(std::vector<Grant>{grant}, asked.permission, asked.names);
    EXPECT_EQ(before, by_one);
    held.push_back(any());
    EXPECT_TRUE(!before || allows(held, asked.permission, asked.names));
  }
}

TEST(Roles, TheThreeOfficesAreApart) {
  std::vector<const Role*> offices = {&ready("system-admin"), &ready("security-admin"),
                                      &ready("auditor")};
  for (const Role* a : offices) {
    EXPECT_TRUE(check_separation(a->grants)) << a->name;
    for (const Role* b : offices) {
      if (a == b) continue;
      std::vector<Grant> both = a->grants;
      both.insert(both.end(), b->grants.begin(), b->grants.end());
      const auto verdict = check_separation(both);
      ASSERT_FALSE(verdict) << a->name << " " << b->name;
      EXPECT_EQ(verdict.error().code, "conflicting_roles");
    }
    for (const char* other : {"user", "model-admin"}) {
      std::vector<Grant> both = a->grants;
      both.insert(both.end(), ready(other).grants.begin(), ready(other).grants.end());
      EXPECT_TRUE(check_separation(both)) << a->name << " " << other;
    }
  }
  // By grants, not by names: a role of one's own is no way round.
  EXPECT_FALSE(check_separation(grants({"manage keys:a*", "read audit"})));
}

TEST(Roles, NobodyGivesWhatHeLacks) {
  EXPECT_TRUE(may_give(ready("security-admin").grants, ready("user")));
  EXPECT_TRUE(may_give(ready("security-admin").grants, ready("model-admin")));
  for (const char* role : {"system-admin", "security-admin", "auditor"}) {
    EXPECT_EQ(may_give(ready("security-admin").grants, ready(role)),
              role == std::string_view("security-admin"))
        << role;
    EXPECT_FALSE(may_give(ready("user").grants, ready(role))) << role;
    EXPECT_FALSE(may_give(ready("model-admin").grants, ready(role))) << role;
  }
  EXPECT_TRUE(may_give(ready("user").grants, ready("user")));
  const auto few = grants({"use models:a*"});
  EXPECT_TRUE(may_give(few, {"one", grants({"use models:abc"})}));
  EXPECT_TRUE(may_give(few, {"same", few}));
  EXPECT_FALSE(may_give(few, {"more", grants({"use models:abc", "read metrics"})}));
  EXPECT_FALSE(may_give(few, {"all", grants({"use models"})}));
}

}  // namespace
}  // namespace hearth::security

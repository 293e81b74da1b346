#include "security/identity.h"

#include <gtest/gtest.h>

#include "crypto/sha256.h"

namespace hearth::security {
namespace {

std::optional<Identity> who(const Identities& identities, const std::string& header) {
  return identities.identify(&header);
}

TEST(Identities, WithoutKeysEveryoneIsLocal) {
  const Identities none;
  for (const auto& identity : {none.identify(nullptr), who(none, "Bearer anything")}) {
    ASSERT_TRUE(identity.has_value());
    EXPECT_EQ(identity->name, "local");
    EXPECT_TRUE(identity->may(Permission::kNone));
    EXPECT_TRUE(identity->may(Permission::kUseModels));
    EXPECT_TRUE(identity->may(Permission::kReadMetrics));
    EXPECT_FALSE(identity->may(Permission::kManageModels));
  }
}

TEST(Identities, AKeyHasJustThePermissionsThatItsEntryNames) {
  const auto identities = Identities::create(
      {{"ops", crypto::sha256_hex("secret-of-ops"), {"manage-models"}},
       {"app", crypto::sha256_hex("secret-of-app"), {"use-models", "read-metrics"}}});
  ASSERT_TRUE(identities) << identities.error().message;
  const auto ops = who(*identities, "Bearer secret-of-ops");
  ASSERT_TRUE(ops.has_value());
  EXPECT_EQ(ops->name, "ops");
  EXPECT_TRUE(ops->may(Permission::kManageModels));
  EXPECT_FALSE(ops->may(Permission::kUseModels));
  const auto app = who(*identities, "bearer  secret-of-app ");
  ASSERT_TRUE(app.has_value());
  EXPECT_FALSE(app->may(Permission::kManageModels));
  EXPECT_TRUE(app->may(Permission::kReadMetrics));
}

// A wrong key is never nobody: it is refused, also where no key at all would do.
TEST(Identities, AWrongKeyIsRefused) {
  const auto identities =
      Identities::create({{"ops", crypto::sha256_hex("secret"), {"manage-models"}}});
  ASSERT_TRUE(identities);
  for (const char* header : {"Bearer other", "Bearer ", "Bearer", "", "secret", "Basic secret",
                             "Bearer secret2", "Bearer secre", "Bearer SECRET"}) {
    EXPECT_FALSE(who(*identities, header).has_value()) << header;
  }
  EXPECT_EQ(identities->identify(nullptr)->name, "local");
}

TEST(Identities, EntriesAreChecked) {
  const std::string digest = crypto::sha256_hex("k");
  EXPECT_FALSE(Identities::create({{"", digest, {}}}));
  EXPECT_FALSE(Identities::create({{"a", "abc", {}}}));
  EXPECT_FALSE(Identities::create({{"a", digest, {"everything"}}}));
  EXPECT_FALSE(Identities::create({{"a", digest, {}}, {"b", digest, {}}}));
  EXPECT_TRUE(Identities::create({{"a", digest, {}}}));
}

}  // namespace
}  // namespace hearth::security

#include "security/audit_signer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "testing/temp_folder.h"

namespace hearth::security {
namespace {

using hearth::testing::TempFolder;

TEST(AuditSigner, IsMadeOnceAndForItsOwnerAlone) {
  const TempFolder folder;
  const std::string path = folder.file("audit");
  const auto made = own_audit_signer(path);
  ASSERT_TRUE(made) << made.error().message;
  struct stat info = {};
  ASSERT_EQ(::stat((path + "/signer.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto again = own_audit_signer(path);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->public_key(), made->public_key());
  const auto pem = read_small_file(FileSystem::real(), path + "/signer.pub");
  ASSERT_TRUE(pem);
  const auto read = crypto::ed25519_public_from_pem(*pem);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, made->public_key());
}

TEST(AuditSigner, RefusesWhatIsNoKeyOrOpenToOthers) {
  const TempFolder folder;
  const std::string path = folder.write("key", std::string(64, 'a') + "\n");
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  EXPECT_FALSE(read_audit_signer(path));
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  EXPECT_TRUE(read_audit_signer(path));
  const std::string wrong = folder.write("wrong", "no key\n");
  ASSERT_EQ(::chmod(wrong.c_str(), 0600), 0);
  EXPECT_FALSE(read_audit_signer(wrong));
  EXPECT_FALSE(read_audit_signer(folder.file("missing")));
  EXPECT_FALSE(read_audit_signer(folder.path()));
}

}  // namespace
}  // namespace hearth::security

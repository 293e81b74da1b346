#include "security/site_secret.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "crypto/hmac.h"
#include "testing/temp_folder.h"

namespace hearth::security {
namespace {

std::string code_of(const std::string& source) {
  const auto read = read_site_secret(source);
  return read ? crypto::hex(*read) : read.error().code;
}

TEST(SiteSecret, IsReadFromAFileOrTheEnvironment) {
  const testing::TempFolder folder;
  const std::string digits(64, 'a');
  folder.write("good", " " + digits + "\n");
  folder.write("bad", digits + "0");
  const auto path = [&](const char* name) { return folder.path() + "/" + name; };
  for (const char* name : {"good", "bad"}) ::chmod(path(name).c_str(), 0640);
  EXPECT_EQ(code_of("file:" + path("good")), digits);
  EXPECT_EQ(code_of("file:" + path("bad")), "invalid_site_secret");
  EXPECT_EQ(code_of("file:" + path("none")), "no_site_secret");
  EXPECT_EQ(code_of("file:" + folder.path()), "invalid_site_secret");
  EXPECT_EQ(code_of(path("good")), "invalid_site_secret");
  ::chmod(path("good").c_str(), 0644);
  EXPECT_EQ(code_of("file:" + path("good")), "invalid_site_secret");
  ::setenv("HEARTH_TEST_SITE_SECRET", digits.c_str(), 1);
  EXPECT_EQ(code_of("env:HEARTH_TEST_SITE_SECRET"), digits);
  ::unsetenv("HEARTH_TEST_SITE_SECRET");
  EXPECT_EQ(code_of("env:HEARTH_TEST_SITE_SECRET"), "no_site_secret");
}

TEST(SiteSecret, IsMadeOnceAndForItsOwnerAlone) {
  const testing::TempFolder folder;
  const std::string path = folder.path() + "/site.key";
  ASSERT_TRUE(make_site_secret(path));
  const std::string first = code_of("file:" + path);
  EXPECT_EQ(first.size(), 64u);
  struct stat info = {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  ASSERT_TRUE(make_site_secret(path));
  EXPECT_EQ(code_of("file:" + path), first);
  EXPECT_EQ(make_site_secret(folder.path() + "/no/folder").error().code, "disk_write_failed");
}

}  // namespace
}  // namespace hearth::security

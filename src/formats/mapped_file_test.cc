#include "formats/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "testing/temp_folder.h"

namespace hearth {
namespace {

using ::testing::HasSubstr;

class MappedFileTest : public ::testing::Test {
 protected:
  void expect_refused(const std::string& path, ErrorKind kind, const char* why) {
    const auto file = MappedFile::open(path);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().kind, kind);
    EXPECT_THAT(file.error().message, HasSubstr(why));
  }
  testing::TempFolder folder_;
};

TEST_F(MappedFileTest, ShowsTheContent) {
  const std::string content(10000, 'x');
  const auto file = MappedFile::open(folder_.write("a", content));
  ASSERT_TRUE(file) << file.error().message;
  const auto bytes = (*file)->bytes();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), content);
}

TEST_F(MappedFileTest, ContentStaysAfterDropping) {
  const std::string content(20000, 'x');
  const auto file = MappedFile::open(folder_.write("a", content));
  ASSERT_TRUE(file);
  const auto bytes = (*file)->bytes();
  (*file)->drop_pages(bytes);
  (*file)->drop_pages(bytes.subspan(5, 100));
  (*file)->drop_pages(bytes.subspan(20000));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), content);
}

TEST_F(MappedFileTest, RefusesWhatIsNoFile) {
  ASSERT_EQ(::mkfifo(folder_.file("fifo").c_str(), 0600), 0);
  expect_refused(folder_.file("fifo"), ErrorKind::kInvalid, "not a regular file");
  expect_refused(folder_.path(), ErrorKind::kInvalid, "is a folder");
  expect_refused("/dev/null", ErrorKind::kInvalid, "not a regular file");
  expect_refused(folder_.write("empty", ""), ErrorKind::kInvalid, "empty");
  expect_refused(folder_.file("none"), ErrorKind::kNotFound, "no such file");
  expect_refused(folder_.write("a", "x") + "/b", ErrorKind::kNotFound, "no such file");
  expect_refused(std::string("a\0b", 3), ErrorKind::kInvalid, "NUL");
}

}  // namespace
}  // namespace hearth

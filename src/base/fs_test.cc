#include "base/fs.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "testing/failing_fs.h"
#include "testing/temp_folder.h"

namespace hearth {
namespace {

class RealFsTest : public ::testing::Test {
 protected:
  const testing::TempFolder temp_;
  FileSystem& fs_ = FileSystem::real();
  const std::string& folder_ = temp_.path();
};

TEST_F(RealFsTest, WritesRenamesListsAndRemoves) {
  ASSERT_TRUE(fs_.make_folders(folder_ + "/a/b", 0700));
  const std::string part = folder_ + "/a/b/x.part";
  {
    auto file = fs_.open_append(part, false);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->append("hello "));
  }
  {
    auto file = fs_.open_append(part, false);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->append("world"));
    ASSERT_TRUE((*file)->sync());
  }
  ASSERT_TRUE(fs_.rename(part, folder_ + "/a/b/x"));
  ASSERT_TRUE(fs_.sync_folder(folder_ + "/a/b"));
  EXPECT_EQ(read_small_file(fs_, folder_ + "/a/b/x").value(), "hello world");
  const auto entries = fs_.list(folder_ + "/a/b");
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ(entries->front().name, "x");
  EXPECT_EQ(entries->front().size, 11u);
  EXPECT_FALSE(fs_.remove(folder_ + "/a"));  // not empty
  EXPECT_TRUE(fs_.remove(folder_ + "/a/b/x"));
  EXPECT_TRUE(fs_.remove(folder_ + "/a/b"));
  struct stat st = {};
  ASSERT_EQ(::stat((folder_ + "/a").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
}

TEST_F(RealFsTest, ReadsFromAnOffsetAndStopsAtTheEnd) {
  std::ofstream(folder_ + "/x") << "0123456789";
  const auto file = fs_.open_read(folder_ + "/x");
  ASSERT_TRUE(file);
  EXPECT_EQ((*file)->size(), 10u);
  std::string bytes(6, '?');
  EXPECT_EQ((*file)->read_at(7, bytes).value(), 3u);
  EXPECT_EQ(bytes, "789???");
  EXPECT_EQ((*file)->read_at(100, bytes).value(), 0u);
}

TEST_F(RealFsTest, NamesWhatIsWrong) {
  const auto missing = fs_.open_read(folder_ + "/none");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  EXPECT_NE(missing.error().message.find("/none"), std::string::npos);
  EXPECT_FALSE(fs_.open_read(folder_));  // a folder
  std::ofstream(folder_ + "/x") << "0123456789";
  const auto large = read_small_file(fs_, folder_ + "/x", 9);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().kind, ErrorKind::kTooLarge);
  EXPECT_EQ(fs_.remove(folder_ + "/none").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(fs_.info(folder_ + "/none").error().kind, ErrorKind::kNotFound);
}

TEST_F(RealFsTest, NeverWritesThroughASymlink) {
  std::ofstream(folder_ + "/target") << "mine";
  ASSERT_EQ(::symlink((folder_ + "/target").c_str(), (folder_ + "/link").c_str()), 0);
  EXPECT_FALSE(fs_.open_append(folder_ + "/link", true));
  EXPECT_EQ(fs_.info(folder_ + "/link").value().kind, FileKind::kSymlink);
  EXPECT_EQ(read_small_file(fs_, folder_ + "/target").value(), "mine");
}

TEST_F(RealFsTest, AFullDiskIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const auto file = fs_.open_append("/dev/full", false);
  ASSERT_TRUE(file);
  const auto status = (*file)->append("x");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, "disk_full");
}

TEST_F(RealFsTest, OnlyOneHoldsALock) {
  auto first = fs_.lock(folder_ + "/lock");
  ASSERT_TRUE(first);
  const auto second = fs_.lock(folder_ + "/lock");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "locked");
  first->reset();
  EXPECT_TRUE(fs_.lock(folder_ + "/lock"));
}

TEST_F(RealFsTest, TellsHowMuchRoomThereIs) {
  EXPECT_GT(fs_.free_bytes(folder_).value(), 0u);
  EXPECT_FALSE(fs_.free_bytes(folder_ + "/none"));
}

TEST_F(RealFsTest, AtomicWriteReplaces) {
  ASSERT_TRUE(write_file_atomically(fs_, folder_ + "/x", "one"));
  ASSERT_TRUE(write_file_atomically(fs_, folder_ + "/x", "two"));
  EXPECT_EQ(read_small_file(fs_, folder_ + "/x").value(), "two");
  EXPECT_EQ(fs_.list(folder_)->size(), 1u);
}

// Every step may be the last one before the power goes: old or new, never half.
TEST(FailingFsTest, AtomicWriteSurvivesAPowerCutAtEachStep) {
  bool seen_old = false;
  bool seen_new = false;
  for (std::uint64_t step = 1; step <= 6; ++step) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      testing::FailingFs fs(seed);
      ASSERT_TRUE(fs.make_folders("/d", 0700));
      ASSERT_TRUE(write_file_atomically(fs, "/d/x", "old content"));
      fs.fail_operation(step, /*and_all_after=*/true);
      const bool reported = write_file_atomically(fs, "/d/x", "new content").has_value();
      fs.power_cut();
      const std::string content = read_small_file(fs, "/d/x").value();
      ASSERT_TRUE(content == "old content" || content == "new content") << content;
      if (reported) ASSERT_EQ(content, "new content");
      seen_old |= content == "old content";
      seen_new |= content == "new content";
    }
  }
  EXPECT_TRUE(seen_old && seen_new);
}

// The double itself: it must lose what a careless writer leaves unsynced.
TEST(FailingFsTest, LosesWhatWasNotSynced) {
  bool lost_name = false;
  bool lost_bytes = false;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    testing::FailingFs fs(seed);
    {
      auto file = fs.open_append("/x", false);
      ASSERT_TRUE(file);
      ASSERT_TRUE((*file)->append("kept"));
      if (seed % 2 == 0) {
        ASSERT_TRUE((*file)->sync());
        ASSERT_TRUE(fs.sync_folder("/"));
        ASSERT_TRUE((*file)->append("maybe"));
      }
    }
    fs.power_cut();
    const auto content = read_small_file(fs, "/x");
    if (seed % 2 == 0) {
      ASSERT_TRUE(content);
      ASSERT_TRUE(content->starts_with("kept"));
      lost_bytes |= content->size() < 9;
    } else {
      lost_name |= !content.has_value();
    }
  }
  EXPECT_TRUE(lost_name);
  EXPECT_TRUE(lost_bytes);
}

TEST(FailingFsTest, FailsTheNthOperationOnly) {
  testing::FailingFs fs(1);
  auto file = fs.open_append("/x", false);
  ASSERT_TRUE(file);
  fs.fail_operation(2, /*and_all_after=*/false);
  EXPECT_TRUE((*file)->append("a"));
  EXPECT_FALSE((*file)->append("b"));
  EXPECT_TRUE(fs.has_failed());
  EXPECT_TRUE((*file)->append("c"));
}

}  // namespace
}  // namespace hearth

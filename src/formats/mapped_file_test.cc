#include "formats/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "base/fault_point.h"
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

// Memory for read_direct().
struct alignas(MappedFile::kDirectBytes) Block {
  std::byte bytes[5 * MappedFile::kDirectBytes];
  std::string_view text(std::size_t n) const { return {reinterpret_cast<const char*>(bytes), n}; }
};

std::string numbered(std::size_t size) {
  std::string out(size, 0);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 2654435761u >> 13);
  return out;
}

TEST_F(MappedFileTest, ReadsPastThePageCacheUpToTheEndOfTheFile) {
  const std::string content = numbered(10000);
  const auto file = MappedFile::open(folder_.write("a", content));
  ASSERT_TRUE(file);
  const auto block = std::make_unique<Block>();
  auto read = (*file)->read_direct(0, {block->bytes, 8192});
  ASSERT_TRUE(read) << read.error().message;
  if (!*read) GTEST_SKIP() << "this file system does not read past the page cache";
  EXPECT_EQ(block->text(8192), content.substr(0, 8192));
  std::fill(std::begin(block->bytes), std::end(block->bytes), std::byte{7});
  read = (*file)->read_direct(4096, {block->bytes, 16384});
  ASSERT_TRUE(read && *read);
  EXPECT_EQ(block->text(10000 - 4096), content.substr(4096));
  EXPECT_EQ(block->bytes[16384], std::byte{7});
}

TEST_F(MappedFileTest, DirectReadsThatAreRefusedAreNoErrors) {
  const auto file = MappedFile::open(folder_.write("a", std::string(10000, 'x')));
  ASSERT_TRUE(file);
  const auto block = std::make_unique<Block>();
  fault::arm("file.refuses_direct", 1);
  auto read = (*file)->read_direct(0, {block->bytes, 8192});
  fault::disarm_all();
  ASSERT_TRUE(read);
  EXPECT_FALSE(*read);
}

TEST_F(MappedFileTest, DirectReadsOfAFileThatWasCutAreErrors) {
  const std::string path = folder_.write("a", std::string(20000, 'x'));
  const auto file = MappedFile::open(path);
  ASSERT_TRUE(file);
  const auto block = std::make_unique<Block>();
  if (!(*file)->read_direct(0, {block->bytes, 4096}).value_or(false)) GTEST_SKIP();
  for (const ::off_t size : {9000, 8192, 0}) {
    ASSERT_EQ(::truncate(path.c_str(), size), 0);
    const auto read = (*file)->read_direct(4096, {block->bytes, 16384});
    ASSERT_FALSE(read) << size;
    EXPECT_EQ(read.error().kind, ErrorKind::kIo);
    EXPECT_THAT(read.error().message, HasSubstr("shorter"));
  }
}

TEST_F(MappedFileTest, WhatWasJustWrittenIsInThePageCache) {
  const auto file = MappedFile::open(folder_.write("a", std::string(300000, 'x')));
  ASSERT_TRUE(file);
  const auto bytes = (*file)->bytes();
  EXPECT_TRUE((*file)->in_page_cache(bytes));
  EXPECT_TRUE((*file)->in_page_cache(bytes.subspan(299999)));
  EXPECT_TRUE((*file)->in_page_cache(bytes.subspan(4095, 2)));
}

TEST_F(MappedFileTest, FindsTheFileThatHoldsARange) {
  const auto a = MappedFile::open(folder_.write("a", std::string(100, 'x')));
  const auto b = MappedFile::open(folder_.write("b", std::string(100, 'x')));
  ASSERT_TRUE(a && b);
  const std::shared_ptr<const MappedFile> files[] = {*a, *b};
  EXPECT_EQ(file_holding(files, (*b)->bytes().subspan(99)), b->get());
  EXPECT_EQ(file_holding(files, (*a)->bytes()), a->get());
  const std::byte elsewhere{};
  EXPECT_EQ(file_holding(files, {&elsewhere, 1}), nullptr);
}

}  // namespace
}  // namespace hearth

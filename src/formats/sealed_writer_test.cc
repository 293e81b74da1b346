#include "formats/sealed_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "formats/sealed_reader.h"
#include "testing/failing_fs.h"
#include "testing/sealed_sample.h"
#include "testing/temp_folder.h"

namespace hearth::sealed {
namespace {

using testing::FailingFs;
using testing::sample_key;
using testing::sample_text;
using testing::seal_sample;

constexpr std::size_t kChunk = kChunkBytesMin;

void put(FailingFs& fs, const std::string& path, const std::string& content) {
  HEARTH_CHECK(write_file_atomically(fs, path, content).has_value());
}

std::string content(FileSystem& fs, const std::string& path) {
  const auto text = read_small_file(fs, path, 1 << 24);
  return text ? *text : "<" + text.error().code + ">";
}

bool exists(FileSystem& fs, const std::string& path) { return fs.info(path).has_value(); }

class SealedWriterTest : public ::testing::Test {
 protected:
  FileSystem& fs_ = FileSystem::real();
  testing::TempFolder folder_;
};

TEST_F(SealedWriterTest, UnsealGivesTheSameBytes) {
  for (const std::size_t size : {0ul, 1ul, kChunk, 5 * kChunk + 3}) {
    const std::string n = std::to_string(size);
    const std::string plain = folder_.write("plain" + n, sample_text(size));
    ASSERT_TRUE(seal_sample(fs_, plain, folder_.file("sealed" + n)));
    const Status back =
        unseal_file(fs_, folder_.file("sealed" + n), folder_.file("back" + n), {sample_key(), {}});
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(content(fs_, folder_.file("back" + n)), sample_text(size));
  }
}

TEST_F(SealedWriterTest, TheRealChunkSize) {
  const std::string text = sample_text(kChunkBytes + 12345);
  ASSERT_TRUE(
      seal_sample(fs_, folder_.write("plain", text), folder_.file("sealed"), nullptr, kChunkBytes));
  ASSERT_TRUE(unseal_file(fs_, folder_.file("sealed"), folder_.file("back"), {sample_key(), {}}));
  EXPECT_EQ(content(fs_, folder_.file("back")), text);
}

TEST_F(SealedWriterTest, NothingIsOverwrittenOrSealedTwice) {
  const std::string plain = folder_.write("plain", "content");
  const std::string there = folder_.write("there", "precious");
  EXPECT_EQ(seal_sample(fs_, plain, there).error().code, "file_exists");
  EXPECT_EQ(content(fs_, there), "precious");
  ASSERT_TRUE(seal_sample(fs_, plain, folder_.file("sealed")));
  EXPECT_EQ(unseal_file(fs_, folder_.file("sealed"), there, {sample_key(), {}}).error().code,
            "file_exists");
  EXPECT_EQ(content(fs_, there), "precious");
  EXPECT_EQ(seal_sample(fs_, folder_.file("sealed"), folder_.file("twice")).error().code,
            "already_sealed");
  EXPECT_EQ(unseal_file(fs_, plain, folder_.file("x"), {sample_key(), {}}).error().code,
            "sealed_damaged");
}

TEST_F(SealedWriterTest, NothingOfADamagedFileIsLeft) {
  ASSERT_TRUE(
      seal_sample(fs_, folder_.write("plain", sample_text(3 * kChunk)), folder_.file("sealed")));
  std::string bytes = content(fs_, folder_.file("sealed"));
  bytes[kBodyOffset + 2 * kChunk + 5] ^= 1;  // the last chunk
  const std::string damaged = folder_.write("damaged", bytes);
  EXPECT_EQ(unseal_file(fs_, damaged, folder_.file("out"), {sample_key(), {}}).error().code,
            "sealed_damaged");
  EXPECT_FALSE(exists(fs_, folder_.file("out")));
  EXPECT_FALSE(exists(fs_, folder_.file("out.tmp")));
}

TEST_F(SealedWriterTest, RewrappingLeavesTheRestAsItIs) {
  ASSERT_TRUE(
      seal_sample(fs_, folder_.write("plain", sample_text(2 * kChunk)), folder_.file("sealed")));
  const std::string before = content(fs_, folder_.file("sealed"));
  const KeyRef fresh = sample_key('n');
  ASSERT_TRUE(rewrap_file(fs_, folder_.file("sealed"), sample_key(), {&fresh, 1}));
  const std::string after = content(fs_, folder_.file("sealed"));
  EXPECT_EQ(before.substr(0, kHeaderBytes), after.substr(0, kHeaderBytes));
  EXPECT_NE(before.substr(kHeaderBytes, kSlotAreaBytes),
            after.substr(kHeaderBytes, kSlotAreaBytes));
  EXPECT_EQ(before.substr(kHeaderBytes + kSlotAreaBytes),
            after.substr(kHeaderBytes + kSlotAreaBytes));
  EXPECT_FALSE(exists(fs_, pending_slots_path(folder_.file("sealed"))));
  const auto code = [&](char c) {
    const auto reader = SealedReader::open(folder_.file("sealed"), {sample_key(c), {}});
    return reader ? std::string() : reader.error().code;
  };
  EXPECT_EQ(code('n'), "");
  EXPECT_EQ(code('k'), "sealed_wrong_key");
  EXPECT_EQ(rewrap_file(fs_, folder_.file("sealed"), sample_key(), {&fresh, 1}).error().code,
            "sealed_wrong_key");
}

// Which of the two keys opens what is left: exactly one of them.
char opening_key(FailingFs& fs, const testing::TempFolder& folder) {
  // The reader is one of real files.
  const std::string path = folder.write("f", content(fs, "/f"));
  const std::string slots = pending_slots_path(path);
  (void)FileSystem::real().remove(slots);
  if (exists(fs, pending_slots_path("/f")))
    folder.write("f.slots", content(fs, pending_slots_path("/f")));
  char out = '-';
  for (const char c : {'k', 'n'}) {
    const auto reader = SealedReader::open(path, {sample_key(c), {}});
    if (!reader) continue;
    alignas(SealedReader::kAlignment) std::byte chunk[kChunk];
    EXPECT_TRUE(reader->read_chunk(0, chunk));
    out = out == '-' ? c : '+';
  }
  return out;
}

TEST_F(SealedWriterTest, APowerCutWhileRewrappingLeavesOldOrNew) {
  int old_kept = 0, new_there = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    for (std::uint64_t step = 1;; ++step) {
      FailingFs fs(seed);
      put(fs, "/plain", sample_text(100));
      ASSERT_TRUE(seal_sample(fs, "/plain", "/f"));
      fs.fail_operation(step, /*and_all_after=*/true);
      const KeyRef fresh = sample_key('n');
      const Status done = rewrap_file(fs, "/f", sample_key(), {&fresh, 1});
      const bool failed = fs.has_failed();
      fs.power_cut();
      const char opens = opening_key(fs, folder_);
      ASSERT_TRUE(opens == 'k' || opens == 'n') << opens << " seed " << seed << " step " << step;
      (opens == 'k' ? old_kept : new_there)++;
      if (done) ASSERT_EQ(opens, 'n');
      // Once more, with the disk in order: whatever was left, it ends with the new key.
      const KeyRef now = sample_key(opens);
      ASSERT_TRUE(rewrap_file(fs, "/f", now, {&fresh, 1}));
      ASSERT_EQ(opening_key(fs, folder_), 'n');
      ASSERT_FALSE(exists(fs, pending_slots_path("/f")));
      if (!failed) break;
    }
  }
  EXPECT_GT(old_kept, 40);
  EXPECT_GT(new_there, 40);
}

TEST_F(SealedWriterTest, APowerCutWhileSealingLeavesNoneOrAll) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    for (std::uint64_t step = 1;; ++step) {
      FailingFs fs(seed);
      put(fs, "/plain", sample_text(2 * kChunk));
      fs.fail_operation(step, /*and_all_after=*/true);
      const Status done = seal_sample(fs, "/plain", "/f");
      const bool failed = fs.has_failed();
      fs.power_cut();
      if (exists(fs, "/f"))
        ASSERT_EQ(opening_key(fs, folder_), 'k');
      else
        ASSERT_FALSE(done);
      if (!failed) break;
    }
  }
}

TEST_F(SealedWriterTest, SlotsOfAnotherFileBesideItAreRefused) {
  ASSERT_TRUE(seal_sample(fs_, folder_.write("plain", "x"), folder_.file("one")));
  ASSERT_TRUE(seal_sample(fs_, folder_.file("plain"), folder_.file("two")));
  const std::string two = content(fs_, folder_.file("two"));
  folder_.write("one.slots", two.substr(32, 16) + two.substr(kHeaderBytes, kSlotAreaBytes));
  EXPECT_EQ(SealedReader::open(folder_.file("one"), {sample_key(), {}}).error().code,
            "sealed_damaged");
}

}  // namespace
}  // namespace hearth::sealed

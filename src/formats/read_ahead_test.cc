#include "formats/read_ahead.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/fault_point.h"
#include "testing/temp_folder.h"

namespace hearth {
namespace {

using ::testing::HasSubstr;
using Choice = ReadAhead::Choice;
using Ranges = ReadAhead::Ranges;

// Files without a format, and some bytes that are in no file.
class Bytes final : public Weights {
 public:
  const TensorView* find(std::string_view) const override { return nullptr; }
  std::span<const TensorView> tensors() const override { return {}; }
  std::int64_t file_bytes() const override {
    std::int64_t n = 0;
    for (const auto& file : files) n += static_cast<std::int64_t>(file->bytes().size());
    return n;
  }
  const MappedFile* file_of(std::span<const std::byte> range) const override {
    return file_holding(files, range);
  }
  std::vector<std::shared_ptr<const MappedFile>> files;
};

class ReadAheadTest : public ::testing::Test {
 protected:
  ~ReadAheadTest() override { fault::disarm_all(); }

  // Every byte differs from its neighbours in the file and in other files.
  std::span<const std::byte> add(std::size_t size) {
    std::string content(size, 0);
    std::uint64_t state = weights_.files.size() + 1;
    for (char& c : content) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      c = static_cast<char>(state >> 56);
    }
    const std::string name = std::to_string(weights_.files.size());
    auto file = MappedFile::open(folder_.write(name, content));
    HEARTH_CHECK(file.has_value());
    weights_.files.push_back(*file);
    return (*file)->bytes();
  }
  void cut(std::size_t file, std::size_t size) {
    std::filesystem::resize_file(folder_.file(std::to_string(file)), size);
  }
  static std::int64_t total(const std::vector<Ranges>& steps) {
    std::int64_t n = 0;
    for (const Ranges& ranges : steps)
      for (const auto& range : ranges) n += static_cast<std::int64_t>(range.size());
    return n;
  }
  // Asks for everything, compares it with the mapping, and returns how much did not come from it.
  // `pause` at every fifth step lets the readers run as far ahead as they may.
  std::int64_t read(const std::vector<Ranges>& steps, Choice choice = Choice::kEverything,
                    std::chrono::milliseconds pause = {}) {
    int asked = 0;
    ReadAhead ahead(weights_, steps, choice);
    for (const Ranges& wanted : steps) {
      const auto got = ahead.next(wanted);
      if (!got) {
        ADD_FAILURE() << got.error().message;
        return -1;
      }
      EXPECT_EQ(got->size(), wanted.size());
      if (asked++ % 5 == 0) std::this_thread::sleep_for(pause);
      for (std::size_t i = 0; i < wanted.size(); ++i)
        EXPECT_TRUE(
            std::equal((*got)[i].begin(), (*got)[i].end(), wanted[i].begin(), wanted[i].end()));
    }
    return ahead.direct_bytes();
  }
  bool refused() {  // by the file system of this machine's temporary files
    add(MappedFile::kDirectBytes);
    const Ranges all = {weights_.files.back()->bytes()};
    const bool out = read({all}) == 0;
    weights_.files.pop_back();
    return out;
  }

  testing::TempFolder folder_;
  Bytes weights_;
};

#define SKIP_IF_REFUSED() \
  if (refused()) GTEST_SKIP() << "this file system does not read past the page cache"

TEST_F(ReadAheadTest, GivesAnyRange) {
  SKIP_IF_REFUSED();
  const auto a = add(50001);
  const auto b = add(4096);
  const auto c = add(3);
  const std::vector<Ranges> steps = {
      {a.subspan(1, 1)},
      {a.subspan(4095, 2), b, a.subspan(0, 4096)},
      {a.subspan(50000)},
      {c.subspan(2), c},
      {},
      {a.subspan(49152, 849), b.subspan(4095), a},
      {a.subspan(1, 1)},
  };
  EXPECT_EQ(read(steps), total(steps));
}

// More than memory is taken for, so that it is used again and again.
TEST_F(ReadAheadTest, GoesRoundInItsMemory) {
  SKIP_IF_REFUSED();
  const auto all = add((100 << 20) + 77);
  std::vector<Ranges> steps;
  std::size_t at = 13;
  for (std::size_t i = 0; at < all.size(); ++i) {
    const std::size_t n = std::min(all.size() - at, i % 3 == 0 ? 10'000'019 : i * 100'003);
    steps.push_back({all.subspan(at, n / 2), all.subspan(at + n / 2, n - n / 2)});
    at += n;
  }
  EXPECT_EQ(read(steps), total(steps));  // the file may have to be written first, which is slow
  EXPECT_EQ(read(steps, Choice::kEverything, std::chrono::milliseconds(100)), total(steps));
}

TEST_F(ReadAheadTest, LeavesWhatIsTooLargeInTheMapping) {
  SKIP_IF_REFUSED();
  const auto all = add(70 << 20);
  const auto small = all.subspan(100, 1000);
  EXPECT_EQ(read({{small}, {all}, {small}}), 2000);
}

TEST_F(ReadAheadTest, LeavesWhatIsCachedInTheMapping) {
  const auto all = add(1 << 20);  // just written
  EXPECT_EQ(read({{all}}, Choice::kUncached), 0);
}

TEST_F(ReadAheadTest, LeavesBytesThatAreInNoFile) {
  const std::vector<std::byte> memory(10000, std::byte{5});
  const auto a = add(10000);
  EXPECT_EQ(read({{a, memory}, {memory}}), 0);
}

TEST_F(ReadAheadTest, TakesWhatIsRefusedFromTheMapping) {
  SKIP_IF_REFUSED();
  const auto all = add(50000);
  fault::arm("file.refuses_direct", 2);
  const std::vector<Ranges> steps(4, {all});
  EXPECT_EQ(read(steps), total(steps) - 50000);
}

TEST_F(ReadAheadTest, DoesWithFewerThreadsOrNone) {
  SKIP_IF_REFUSED();
  const auto all = add(50000);
  const std::vector<Ranges> steps(8, {all});
  fault::arm("read_ahead.thread", 2);
  EXPECT_EQ(read(steps), total(steps));
  fault::arm("read_ahead.thread", 1);
  EXPECT_EQ(read(steps), 0);
}

TEST_F(ReadAheadTest, AFileThatWasCutIsAnError) {
  SKIP_IF_REFUSED();
  const auto whole = add(30000);
  const auto shorter = add(30000);
  cut(1, 20480);
  const std::vector<Ranges> steps = {{whole}, {shorter.subspan(0, 20000)}, {whole, shorter}};
  ReadAhead ahead(weights_, steps, Choice::kEverything);
  ASSERT_TRUE(ahead.next(steps[0]));
  ASSERT_TRUE(ahead.next(steps[1]));  // its pages are still there
  const auto got = ahead.next(steps[2]);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, "file_unreadable");
  EXPECT_THAT(got.error().message, HasSubstr("shorter"));
}

TEST_F(ReadAheadTest, MayBeLeftAtAnyTime) {
  const auto all = add(40 << 20);
  const std::vector<Ranges> steps(10, {all});
  for (std::size_t taken = 0; taken < 3; ++taken) {
    ReadAhead ahead(weights_, steps, Choice::kEverything);
    for (std::size_t i = 0; i < taken; ++i) ASSERT_TRUE(ahead.next(steps[i]));
  }
}

using ReadAheadDeathTest = ReadAheadTest;
TEST_F(ReadAheadDeathTest, WantsThePlannedOrder) {
  const auto all = add(5000);
  EXPECT_DEATH(
      {
        ReadAhead ahead(weights_, {{all}}, Choice::kUncached);
        (void)ahead.next({all.subspan(1)});
      },
      "");
}

}  // namespace
}  // namespace hearth

#include "formats/sealed_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/fault_point.h"
#include "formats/mapped_file.h"
#include "formats/unseal_ahead.h"
#include "testing/sealed_sample.h"
#include "testing/temp_folder.h"

namespace hearth {
namespace {

using testing::sample_key;
using testing::sample_text;

constexpr std::size_t kChunk = sealed::kChunkBytesMin;

class SealedFileTest : public ::testing::Test {
 protected:
  ~SealedFileTest() override { fault::disarm_all(); }

  std::shared_ptr<const ModelFile> open(const std::string& text, std::size_t broken_chunk = 99) {
    const std::string path = folder_.file("sealed" + std::to_string(++files_));
    HEARTH_CHECK(
        testing::seal_sample(FileSystem::real(), folder_.write("plain", text), path).has_value());
    if (broken_chunk != 99) {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(sealed::kBodyOffset + broken_chunk * kChunk + 3));
      file.put('!');
    }
    auto opened = open_model_file(path, {sample_key(), {}});
    HEARTH_CHECK(opened.has_value());
    HEARTH_CHECK((*opened)->as_sealed() != nullptr && (*opened)->as_mapped() == nullptr);
    return *opened;
  }
  static bool is(std::span<const std::byte> bytes, std::string_view text) {
    return std::ranges::equal(bytes, std::as_bytes(std::span(text)));
  }

  testing::TempFolder folder_;
  int files_ = 0;
};

using SealedFileDeathTest = SealedFileTest;

// Whether the page at `at` can be read: /proc/self/maps says it for all threads.
std::string protection_at(const std::byte* at) {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  while (std::getline(maps, line)) {
    std::size_t end = 0;
    const std::uintptr_t first = std::stoull(line, &end, 16);
    const std::uintptr_t last = std::stoull(line.substr(end + 1), &end, 16);
    if (address >= first && address < last) return line.substr(line.find(' ') + 1, 4);
  }
  return "none";
}

TEST_F(SealedFileTest, GivesWhatWasAskedFor) {
  const std::string text = sample_text(5 * kChunk + 100);
  const auto file = open(text);
  ASSERT_EQ(file->bytes().size(), text.size());
  for (const auto& [at, n] : std::vector<std::pair<std::size_t, std::size_t>>{
           {kChunk + 5, 10}, {2 * kChunk - 1, 2}, {0, 0}, {0, 1}, {5 * kChunk + 99, 1}}) {
    const auto range = file->bytes().subspan(at, n);
    ASSERT_TRUE(file->need(range));
    EXPECT_TRUE(is(range, std::string_view(text).substr(at, n)));
  }
  ASSERT_TRUE(file->need(file->bytes()));
  EXPECT_TRUE(is(file->bytes(), text));
}

TEST_F(SealedFileTest, NothingElseCanBeTouched) {
  const auto file = open(sample_text(4 * kChunk));
  EXPECT_EQ(protection_at(file->bytes().data()), "---p");
  ASSERT_TRUE(file->need(file->bytes().subspan(kChunk, 1)));
  EXPECT_EQ(protection_at(&file->bytes()[0]), "---p");
  EXPECT_EQ(protection_at(&file->bytes()[kChunk]), "r--p");
  EXPECT_EQ(protection_at(&file->bytes()[2 * kChunk - 1]), "r--p");
  EXPECT_EQ(protection_at(&file->bytes()[2 * kChunk]), "---p");
}

TEST_F(SealedFileDeathTest, TouchingWhatWasNotVerifiedEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto file = open(sample_text(2 * kChunk));
  const volatile std::byte* const at = &file->bytes()[kChunk];
  EXPECT_DEATH({ [[maybe_unused]] const std::byte b = *at; }, "");
}

TEST_F(SealedFileTest, AChangedChunkStaysOutOfReach) {
  const std::string text = sample_text(3 * kChunk);
  const auto file = open(text, 1);
  const Status needed = file->need(file->bytes());
  ASSERT_FALSE(needed);
  EXPECT_EQ(needed.error().code, "sealed_damaged");
  EXPECT_NE(needed.error().message.find("sealed1"), std::string::npos);
  EXPECT_EQ(protection_at(&file->bytes()[kChunk]), "---p");
  EXPECT_EQ(file->need(file->bytes().subspan(kChunk + 7, 1)).error().code, "sealed_damaged");
  ASSERT_TRUE(file->need(file->bytes().first(kChunk)));
  EXPECT_TRUE(is(file->bytes().first(kChunk), text.substr(0, kChunk)));
}

TEST_F(SealedFileTest, WhatNobodyUsesIsGone) {
  const std::string text = sample_text(2 * kChunk);
  const auto file = open(text);
  const SealedFile& sealed = *file->as_sealed();
  ASSERT_TRUE(sealed.acquire(1));
  ASSERT_TRUE(sealed.acquire(1));
  sealed.release(1);
  EXPECT_EQ(protection_at(&file->bytes()[kChunk]), "r--p");
  sealed.release(1);
  EXPECT_EQ(protection_at(&file->bytes()[kChunk]), "---p");
  ASSERT_TRUE(sealed.acquire(1));
  EXPECT_TRUE(is(file->bytes().subspan(kChunk), std::string_view(text).substr(kChunk)));
  ASSERT_TRUE(file->need(file->bytes()));  // for good
  sealed.release(1);
  EXPECT_TRUE(is(file->bytes(), text));
}

// As on kernels before 5.7: at first, and on the way back.
TEST_F(SealedFileTest, WherePagesCannotBeMovedTheyAreCopied) {
  const std::string text = sample_text(3 * kChunk);
  const auto file = open(text);
  const SealedFile& sealed = *file->as_sealed();
  for (const int nth : {1, 2}) {
    fault::arm("sealed.move", nth);
    ASSERT_TRUE(sealed.acquire(1));
    EXPECT_TRUE(is(file->bytes().subspan(kChunk, kChunk), text.substr(kChunk, kChunk)));
    EXPECT_EQ(protection_at(&file->bytes()[kChunk]), "r--p");
    sealed.release(1);
    EXPECT_EQ(protection_at(&file->bytes()[kChunk]), "---p");
    fault::disarm_all();
  }
  ASSERT_TRUE(file->need(file->bytes()));
  EXPECT_TRUE(is(file->bytes(), text));
}

TEST_F(SealedFileTest, ManyThreadsAskForTheSame) {
  const std::string text = sample_text(20 * kChunk);
  const auto file = open(text);
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      const SealedFile& sealed = *file->as_sealed();
      for (int i = 0; i < 200; ++i) {
        const auto chunk = static_cast<std::size_t>((i * (t + 1)) % 20);
        if (!sealed.acquire(chunk)) {
          ADD_FAILURE();
          continue;
        }
        EXPECT_TRUE(is(file->bytes().subspan(chunk * kChunk, kChunk),
                       std::string_view(text).substr(chunk * kChunk, kChunk)));
        sealed.release(chunk);
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(protection_at(file->bytes().data()), "---p");
}

// The flag "dd" of a mapping: it is in no core file.
TEST_F(SealedFileTest, IsInNoCoreFile) {
  const auto file = open(sample_text(3 * kChunk));
  ASSERT_TRUE(file->need(file->bytes().subspan(kChunk, 1)));
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  bool inside = false;
  int checked = 0;
  const auto begin = reinterpret_cast<std::uintptr_t>(file->bytes().data());
  while (std::getline(smaps, line)) {
    if (line.find('-') < line.find(' ') && line.find(':') > line.find(' ')) {
      std::size_t end = 0;
      const std::uintptr_t first = std::stoull(line, &end, 16);
      const std::uintptr_t last = std::stoull(line.substr(end + 1), &end, 16);
      inside = first < begin + file->bytes().size() && last > begin;
    } else if (inside && line.starts_with("VmFlags:")) {
      EXPECT_NE(line.find(" dd"), std::string::npos) << line;
      ++checked;
    }
  }
  EXPECT_GE(checked, 3);  // without access, readable, without access
}

TEST_F(SealedFileTest, PlainFilesAreMapped) {
  const auto file = open_model_file(folder_.write("p", "plain text"), {sample_key(), {}});
  ASSERT_TRUE(file);
  EXPECT_EQ((*file)->as_sealed(), nullptr);
  EXPECT_TRUE(is((*file)->bytes(), "plain text"));
  const auto pinned = open_model_file(folder_.file("p"), {sample_key(), crypto::Ed25519Public{}});
  EXPECT_EQ(pinned.error().code, "sealed_not_signed");
}

// One sealed file and one that is not, as a model's.
class Bytes final : public Weights {
 public:
  const TensorView* find(std::string_view) const override { return nullptr; }
  std::span<const TensorView> tensors() const override { return {}; }
  std::int64_t file_bytes() const override {
    std::int64_t n = 0;
    for (const auto& file : files) n += static_cast<std::int64_t>(file->bytes().size());
    return n;
  }
  const ModelFile* file_of(std::span<const std::byte> range) const override {
    return file_holding(files, range);
  }
  std::vector<std::shared_ptr<const ModelFile>> files;
};

class UnsealAheadTest : public SealedFileTest {
 protected:
  void make(std::size_t chunks, std::size_t broken = 99) {
    text_ = sample_text(chunks * kChunk);
    weights_.files = {open(text_, broken),
                      *open_model_file(folder_.write("beside", "not sealed"), {})};
  }
  std::span<const std::byte> range(std::size_t at, std::size_t n) const {
    return weights_.files[0]->bytes().subspan(at, n);
  }
  void expect_right(const UnsealAhead::Ranges& ranges) const {
    const auto bytes = weights_.files[0]->bytes();
    for (const auto& r : ranges) {
      if (weights_.file_of(r) != weights_.files[0].get()) continue;
      const auto at = static_cast<std::size_t>(r.data() - bytes.data());
      EXPECT_TRUE(is(r, std::string_view(text_).substr(at, r.size())));
    }
  }
  bool all_gone() const {
    for (std::size_t c = 0; c < text_.size() / kChunk; ++c)
      if (protection_at(&weights_.files[0]->bytes()[c * kChunk]) != "---p") return false;
    return true;
  }

  std::string text_;
  Bytes weights_;
};

TEST_F(UnsealAheadTest, StepsAreReadableInTheirTurn) {
  make(50);
  std::vector<UnsealAhead::Ranges> steps;
  for (std::size_t i = 0; i < 120; ++i) {
    const std::size_t at = i * 7919 % (45 * kChunk);
    steps.push_back(
        {range(at, 1 + i * 37 % (3 * kChunk)), range(i, 1), weights_.files[1]->bytes()});
    if (i % 10 == 0) steps.emplace_back();
  }
  for (const bool threads : {true, false}) {
    if (!threads) fault::arm("unseal_ahead.thread", 1);
    {
      UnsealAhead ahead(weights_, steps);
      for (const auto& step : steps) {
        ASSERT_TRUE(ahead.next());
        expect_right(step);
      }
    }
    EXPECT_TRUE(all_gone());
  }
}

TEST_F(UnsealAheadTest, EndingEarlyLeavesNothing) {
  make(50);
  std::vector<UnsealAhead::Ranges> steps;
  for (std::size_t i = 0; i < 50; ++i) steps.push_back({range(i * kChunk, kChunk)});
  for (std::size_t end = 0; end < 50; end += 7) {
    {
      UnsealAhead ahead(weights_, steps);
      for (std::size_t i = 0; i < end; ++i) ASSERT_TRUE(ahead.next());
    }
    EXPECT_TRUE(all_gone()) << end;
  }
}

TEST_F(UnsealAheadTest, AChangedChunkFailsTheStepsThatWantIt) {
  make(10, 4);
  std::vector<UnsealAhead::Ranges> steps;
  for (std::size_t i = 0; i < 10; ++i) steps.push_back({range(i * kChunk, kChunk)});
  UnsealAhead ahead(weights_, steps);
  for (std::size_t i = 0; i < 10; ++i) {
    const Status step = ahead.next();
    EXPECT_EQ(step.has_value(), i != 4) << i;
    if (!step) EXPECT_EQ(step.error().code, "sealed_damaged");
  }
}

}  // namespace
}  // namespace hearth

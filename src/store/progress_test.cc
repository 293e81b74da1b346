#include "store/progress.h"

#include <gtest/gtest.h>

#include "store/part_file.h"
#include "testing/fake_clock.h"

namespace hearth::store {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ProgressTest : public ::testing::Test {
 protected:
  ProgressPrinter::Write writer() {
    return [this](std::string_view text) { out_ += text; };
  }
  testing::FakeClock clock_;
  std::string out_;
};

TEST_F(ProgressTest, ATerminalShowsABarSpeedAndTimeLeft) {
  ProgressPrinter printer(writer(), 100, clock_);
  PullProgress progress = {.file = "m.gguf", .done = 0, .total = 100'000'000};
  printer.update(progress);
  clock_.advance(seconds(2));
  progress.done = 50'000'000;
  out_.clear();
  printer.update(progress);
  EXPECT_TRUE(out_.starts_with("\r\x1b[K")) << out_;
  EXPECT_NE(out_.find("[################"), std::string::npos) << out_;
  EXPECT_NE(out_.find(" 50 %  50.0 MB of 100 MB  25.0 MB/s  2 s left"), std::string::npos) << out_;
  EXPECT_LE(out_.size(), 4u + 99u);
  EXPECT_EQ(out_.find('\n'), std::string::npos);
  out_.clear();
  printer.finish();
  EXPECT_EQ(out_, "\n");
}

TEST_F(ProgressTest, ATerminalIsNotFlooded) {
  ProgressPrinter printer(writer(), 80, clock_);
  PullProgress progress = {.file = "m", .total = 1000};
  for (progress.done = 0; progress.done < 1000; ++progress.done) {
    printer.update(progress);
    clock_.advance(milliseconds(1));
  }
  EXPECT_LE(std::count(out_.begin(), out_.end(), '\r'), 11);
}

TEST_F(ProgressTest, ElsewhereThereAreFewPlainLines) {
  {
    ProgressPrinter printer(writer(), 0, clock_);
    PullProgress progress = {.file = "m", .total = 100};
    for (progress.done = 0; progress.done <= 100; ++progress.done) {
      printer.update(progress);
      clock_.advance(milliseconds(300));
    }
  }
  EXPECT_EQ(std::count(out_.begin(), out_.end(), '\n'), 4) << out_;  // start, 10 s, 20 s, end
  EXPECT_EQ(out_.find('\r'), std::string::npos);
  EXPECT_NE(out_.find("100 %"), std::string::npos);
}

TEST_F(ProgressTest, WhatWasThereBeforeIsNotSpeed) {
  ProgressPrinter printer(writer(), 0, clock_);
  PullProgress progress = {.file = "m", .done = 90'000'000, .total = 100'000'000};
  printer.update(progress);
  clock_.advance(seconds(10));
  progress.done = 100'000'000;
  printer.update(progress);
  EXPECT_NE(out_.find(" 1.00 MB/s"), std::string::npos) << out_;
}

TEST_F(ProgressTest, AnUnknownSizeHasNoPercentage) {
  ProgressPrinter printer(writer(), 80, clock_);
  printer.update({.file = "m", .done = 5000});
  EXPECT_EQ(out_.find('%'), std::string::npos);
  EXPECT_NE(out_.find("5.00 kB"), std::string::npos);
}

TEST(FormatBytesTest, ThreeDigits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.00 kB");
  EXPECT_EQ(format_bytes(98'362'432), "98.4 MB");
  EXPECT_EQ(format_bytes(999'600), "1.00 MB");
  EXPECT_EQ(format_bytes(123'456'789'012), "123 GB");
}

}  // namespace
}  // namespace hearth::store

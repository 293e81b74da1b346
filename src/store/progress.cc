#include "store/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "store/part_file.h"

namespace hearth::store {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};  // on a terminal
constexpr std::chrono::seconds kSparse{10};        // elsewhere
constexpr int kBarMin = 10;
constexpr int kBarMax = 40;

std::string format_left(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::min(seconds + 0.5, 359'999.0));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole % 3600 / 60);
}

}  // namespace

ProgressPrinter::ProgressPrinter(Write write, int columns, const Clock& clock)
    : write_(std::move(write)), columns_(columns), clock_(clock) {}

ProgressPrinter::~ProgressPrinter() { finish(); }

void ProgressPrinter::finish() {
  if (line_open_) write_("\n");
  line_open_ = false;
}

std::string ProgressPrinter::text(const PullProgress& progress, Clock::time_point now) const {
  std::string label = progress.phase == PullProgress::Phase::kUnpack ? "unpacking " : "";
  label += progress.file;
  if (progress.count > 1) label += fmt::format(" ({}/{})", progress.index + 1, progress.count);

  const double seconds = std::chrono::duration<double>(now - began_).count();
  const std::uint64_t moved = progress.done - std::min(progress.done, bytes_before_);
  const double speed = seconds > 0 ? static_cast<double>(moved) / seconds : 0;
  std::string numbers = format_bytes(progress.done);
  if (progress.total) numbers += " of " + format_bytes(*progress.total);
  if (speed > 0) numbers += fmt::format("  {}/s", format_bytes(static_cast<std::uint64_t>(speed)));
  if (!progress.total || *progress.total == 0) return label + "  " + numbers;

  const double share =
      std::min(1.0, static_cast<double>(progress.done) / static_cast<double>(*progress.total));
  const double left = static_cast<double>(*progress.total) * (1 - share);
  if (speed > 0 && left > 0) numbers += "  " + format_left(left / speed) + " left";
  const std::string percent = fmt::format("{:3.0f} %", share * 100);
  if (columns_ == 0) return label + "  " + percent + "  " + numbers;

  const int room = columns_ - 1 - static_cast<int>(label.size() + percent.size() + numbers.size()) -
                   8;  // spaces and brackets
  if (room < kBarMin) return label + "  " + percent + "  " + numbers;
  const int width = std::min(room, kBarMax);
  const int full = static_cast<int>(share * width);
  return fmt::format("{}  [{}{}]  {}  {}", label, std::string(static_cast<std::size_t>(full), '#'),
                     std::string(static_cast<std::size_t>(width - full), '.'), percent, numbers);
}

void ProgressPrinter::update(const PullProgress& progress) {
  const Clock::time_point now = clock_.now();
  const std::string step =
      fmt::format("{}/{}/{}", static_cast<int>(progress.phase), progress.index, progress.file);
  if (step != step_) {
    finish();
    step_ = step;
    began_ = now;
    bytes_before_ = progress.done;
    shown_.reset();
    whole_ = false;
  }
  if (progress.done < bytes_before_) bytes_before_ = progress.done;  // it began anew
  const bool last = progress.total && progress.done >= *progress.total;
  const Clock::duration pause = columns_ > 0 ? Clock::duration(kRedraw) : Clock::duration(kSparse);
  if (whole_ || (!last && shown_ && now - *shown_ < pause)) return;
  shown_ = now;
  whole_ = last;
  std::string line = text(progress, now);
  if (columns_ == 0) {
    write_(line + "\n");
    return;
  }
  line.resize(std::min<std::size_t>(line.size(), static_cast<std::size_t>(columns_ - 1)));
  write_("\r\x1b[K" + line);  // to the line's start, and clear it
  line_open_ = true;
}

int ProgressPrinter::terminal_columns() {
  if (::isatty(STDERR_FILENO) != 1) return 0;
  winsize size = {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
  return size.ws_col;
}

void ProgressPrinter::write_to_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace hearth::store

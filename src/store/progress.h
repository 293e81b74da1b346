// Shows a pull: one line redrawn in place on a terminal (bar, speed, time left), a line now and
// then elsewhere.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "store/store.h"

namespace hearth::store {

class ProgressPrinter {
 public:
  using Write = std::function<void(std::string_view)>;

  // `columns`: of the terminal, or 0 when the output is not one.
  ProgressPrinter(Write write, int columns, const Clock& clock = Clock::system());
  ~ProgressPrinter();  // ends the line
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;

  void update(const PullProgress& progress);
  // Ends the line, so that other text can follow.
  void finish();

  // To standard error, as wide as its terminal if it is one.
  static int terminal_columns();
  static void write_to_stderr(std::string_view text);

 private:
  std::string text(const PullProgress& progress, Clock::time_point now) const;

  Write write_;
  int columns_;
  const Clock& clock_;
  std::string step_;                // which file and phase the following is about
  Clock::time_point began_{};       // of this step
  std::uint64_t bytes_before_ = 0;  // there already when it began: not part of the speed
  std::optional<Clock::time_point> shown_;
  bool whole_ = false;  // the step's last line has been shown
  bool line_open_ = false;
};

}  // namespace hearth::store

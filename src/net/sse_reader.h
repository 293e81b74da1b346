// The data lines of an event stream (WHATWG HTML, section 9.2), out of pieces as they come. Each
// line is told for itself; comments and other fields are passed over.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace hearth::net {

class SseReader {
 public:
  // `on_data` gets what stands behind "data:"; it is valid during the call only.
  explicit SseReader(std::function<void(std::string_view)> on_data)
      : on_data_(std::move(on_data)) {}

  // A line ends in LF, CR LF or CR. False: a line is longer than kLineBytesMax; stop reading.
  [[nodiscard]] bool feed(std::string_view bytes);

  static constexpr std::size_t kLineBytesMax = 8u << 20;

 private:
  void line(std::string_view text);

  std::function<void(std::string_view)> on_data_;
  std::string begun_;      // a line whose end has not come
  bool after_cr_ = false;  // an LF that comes now belongs to the line before
};

}  // namespace hearth::net

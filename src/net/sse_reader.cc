#include "net/sse_reader.h"

#include <algorithm>

namespace hearth::net {

bool SseReader::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (after_cr_ && bytes.front() == '\n') bytes.remove_prefix(1);
    after_cr_ = false;
    const std::size_t end = bytes.find_first_of("\r\n");
    if (begun_.size() + std::min(end, bytes.size()) > kLineBytesMax) return false;
    if (end == std::string_view::npos) {
      begun_ += bytes;
      break;
    }
    after_cr_ = bytes[end] == '\r';
    if (begun_.empty()) {
      line(bytes.substr(0, end));  // the most frequent case copies nothing
    } else {
      begun_ += bytes.substr(0, end);
      line(begun_);
      begun_.clear();
    }
    bytes.remove_prefix(end + 1);
  }
  return true;
}

void SseReader::line(std::string_view text) {
  if (!text.starts_with("data:")) return;
  text.remove_prefix(5);
  if (text.starts_with(' ')) text.remove_prefix(1);
  on_data_(text);
}

}  // namespace hearth::net

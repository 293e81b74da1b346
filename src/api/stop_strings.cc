#include "api/stop_strings.h"

#include <algorithm>
#include <utility>

namespace hearth::api {

std::string StopStrings::push(std::string_view text) {
  if (matched_) return {};
  if (stops_.empty()) return std::string(text);
  const std::size_t seen = held_.size();
  std::string all = std::move(held_);
  held_.clear();
  all += text;
  for (std::size_t end = seen + 1; end <= all.size(); ++end) {
    const std::string_view upto = std::string_view(all).substr(0, end);
    std::size_t longest = 0;
    for (const std::string& stop : stops_) {
      if (upto.ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) {
      matched_ = true;
      return all.substr(0, end - longest);
    }
  }
  // The longest end of the text that is the beginning of a stop string.
  std::size_t keep = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t length = std::min(stop.size() - 1, all.size()); length > keep; --length) {
      if (std::string_view(all).ends_with(std::string_view(stop).substr(0, length))) {
        keep = length;
        break;
      }
    }
  }
  held_ = all.substr(all.size() - keep);
  all.resize(all.size() - keep);
  return all;
}

std::string StopStrings::finish() { return std::exchange(held_, {}); }

}  // namespace hearth::api

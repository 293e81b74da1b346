// Finds stop strings in text that arrives in pieces. What may still become a stop string is held
// back. The result does not depend on where the text is cut: the match that ends first counts, and
// among those that end together the longest.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hearth::api {

class StopStrings {
 public:
  explicit StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // The text that is certain now, without any part of a stop string. After a match: nothing more.
  std::string push(std::string_view text);
  // What was held back, at the end of a text without a match.
  std::string finish();
  bool matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;  // valid UTF-8, none empty
  std::string held_;                // a proper prefix of some stop string
  bool matched_ = false;
};

}  // namespace hearth::api

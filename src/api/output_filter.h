// The output filter of one choice: its text passes through a security::Redactor before it leaves.
// If the filter fails, nothing more leaves.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "security/redactor.h"

namespace hearth::api {

// What the filter tells besides the text. Any may be empty.
struct FilterEvents {
  std::function<void(const security::Match& match, const std::string& type)> matched;
  std::function<void()> failed;
};

class OutputFilter {
 public:
  // `for_tokens`: shown() will be asked.
  OutputFilter(std::shared_ptr<const security::RedactionPolicy> policy, bool for_tokens,
               FilterEvents events);

  // The text that may leave now; whole code points if `text` is. Once withheld() nothing more.
  std::string push(std::string_view text);
  std::string finish();

  bool withheld() const { return failed_ || redactor_.blocked(); }
  // Bytes of the text of which it is known whether they leave.
  std::int64_t decided() const { return decided_; }
  // Nothing leaves of the text from here on; known only once withheld().
  std::int64_t end() const { return end_; }

  // The part of the text from byte `begin` on, as it leaves: `original` without what is hidden, and
  // kRedacted where something hidden begins. Asked for in order, and only for what is decided.
  // `changed`: something of it is hidden, or, if it `touches_next`, of the code point behind it.
  std::string shown(std::int64_t begin, std::string_view original, bool touches_next,
                    bool& changed);

 private:
  template <class Work>
  std::string guarded(Work work);
  void take_matches();

  security::Redactor redactor_;
  const bool for_tokens_;
  const FilterEvents events_;
  std::vector<security::Match> hidden_;  // those that shown() may meet
  std::int64_t decided_ = 0;
  std::int64_t end_ = std::numeric_limits<std::int64_t>::max();
  bool failed_ = false;
};

}  // namespace hearth::api

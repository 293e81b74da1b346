// Hides phone, card and identity numbers, addresses, words and patterns in a text that arrives in
// pieces. Only what can still become a match is held back.
//
// The text is read from left to right. At each place the detectors of the policy are asked; what
// begins first counts, of several that begin there the one with the strongest action, then the
// longest. A detector decides by the kContextBytes before a place and by what follows; where it
// asks for more than has come, the place waits. So the result does not hang on how the text was
// cut, and nothing that was given out is hidden later.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "security/redaction_policy.h"
#include "security/text_window.h"

namespace hearth::security {

struct Match {
  RedactionType type = 0;
  RedactionAction action = RedactionAction::kMask;
  std::uint64_t begin = 0;  // bytes of the text as it came
  std::uint64_t end = 0;
  // More digits of a long run whose beginning was the match before: hidden without another
  // kRedacted, and not counted again.
  bool continues = false;
};

// Not thread-safe; one for each text.
class Redactor {
 public:
  explicit Redactor(std::shared_ptr<const RedactionPolicy> policy);

  // Appends to `out` what is certain. Any bytes are taken; what is not UTF-8 passes as it is.
  void push(std::string_view text, std::string& out);
  // What was held back; once, at the end.
  void finish(std::string& out);

  // Something with the action `block` was met: the text ended before it, all else is dropped.
  bool blocked() const { return blocked_; }
  // Bytes of the text of which it is known whether they are shown.
  std::uint64_t decided() const { return base_ + pos_; }
  // Those met since the last call, in order; of the action `log` ones may lie inside of others.
  std::vector<Match> take_matches();

  const RedactionPolicy& policy() const { return *policy_; }

 private:
  struct Best;
  void scan(bool whole, std::string& out);
  std::size_t plain_end(std::size_t pos, std::size_t limit) const;
  std::size_t digits_end(std::size_t pos, std::size_t limit) const;
  void find_at_sign();
  void look_at_place(TextWindow& text, Best& best);
  void look_at_number(TextWindow& text, Best& best);
  void consider(RedactionType type, std::size_t end, Best& best);
  std::size_t address_end(TextWindow& text);
  void measure_run(bool whole);
  void swallow(TextWindow& text);
  std::size_t pattern_stop(const TextWindow& text);

  const std::shared_ptr<const RedactionPolicy> policy_;
  std::string text_;             // what came before, kContextBytes of it, and what is undecided
  std::uint64_t base_ = 0;       // where text_ begins in the whole text
  std::size_t pos_ = 0;          // in text_: the first undecided byte
  std::uint64_t match_end_ = 0;  // of the last one, in the whole text
  bool blocked_ = false;
  bool swallowing_ = false;  // digits that follow belong to a match
  // All in text_. Characters of a local part stand from pos_ up to run_end_; run_open_: the text
  // ended there.
  std::size_t run_end_ = 0;
  bool run_open_ = false;
  std::size_t next_at_ = 0;                  // no @ before
  std::size_t no_address_until_ = 0;         // none begins before
  std::vector<std::uint64_t> logged_until_;  // by type, in the whole text
  std::vector<std::size_t> pattern_next_;    // by pattern: no match begins before
  std::vector<Match> matches_;
};

// `text` as a whole; `matches`, if wanted, gets what was met. Blocked: the beginning.
std::string redact(const std::shared_ptr<const RedactionPolicy>& policy, std::string_view text,
                   std::vector<Match>* matches = nullptr);

}  // namespace hearth::security

// Streams tokens as text that is valid UTF-8 at every step.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "text/tokenizer.h"

namespace hearth::text {

class Detokenizer {
 public:
  // Continues a text: nothing is stripped, a first token " is" gives its space.
  explicit Detokenizer(std::shared_ptr<const Tokenizer> tokenizer);

  // Text that became final with this token: whole code points only. Bytes that can no longer become
  // valid UTF-8 come out as U+FFFD; an unfinished code point is kept back.
  std::string push(TokenId id);
  // What is kept back, as U+FFFD; call once at the end.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::string pending_;  // the bytes of at most one unfinished code point
};

// The text of all `ids` as a whole, always valid UTF-8. Undoes add_space_prefix: one space at the
// start goes. `control`: control tokens are written out.
std::string decode(const Tokenizer& tokenizer, std::span<const TokenId> ids, bool control = false);

}  // namespace hearth::text

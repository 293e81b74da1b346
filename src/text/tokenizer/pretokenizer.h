// Cuts text into the words inside which byte-level BPE merges. The rules are the regular
// expressions that came with the published models, written as scanners; every scanner is linear in
// its text.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/unicode.h"

namespace hearth::text {

// A text as code points. Each piece of invalid UTF-8 counts as one U+FFFD and keeps its bytes.
struct Chars {
  explicit Chars(std::string_view text);

  std::vector<char32_t> code_points;  // (n)
  std::vector<CharClass> classes;     // (n)
  std::vector<std::uint32_t> begins;  // (n + 1), byte offsets; the last is the text's size
};

struct PretokenizerRules;

class Pretokenizer {
 public:
  // `name` as in GGUF's tokenizer.ggml.pre; an unknown one is kUnsupported, named in the message.
  static Result<Pretokenizer> find(std::string_view name);

  // Byte offsets of the ends of the words, ascending; the last one is text.size(). No word is
  // empty.
  void split(std::string_view text, std::vector<std::uint32_t>& ends) const;

  // Whether a word that is itself a token is taken whole, without looking at merges.
  bool ignore_merges() const;

 private:
  explicit Pretokenizer(const PretokenizerRules& rules) : rules_(&rules) {}

  const PretokenizerRules* rules_;  // static
};

}  // namespace hearth::text

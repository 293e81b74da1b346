// What administrators add: words, and expressions for RE2 (linear in the text, whatever the
// expression).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "security/text_window.h"

namespace re2 {
class RE2;
}

namespace hearth::security {

inline constexpr std::size_t kWordBytesMax = 256;
inline constexpr std::size_t kWordsMax = 10'000;
inline constexpr std::size_t kPatternBytesMax = 256;
inline constexpr std::size_t kPatternsMax = 64;
// Behind a match, for what an expression says of its surroundings (\b).
inline constexpr std::size_t kPatternLookahead = 1;

// Literal words, found wherever they stand, also inside of other words. A trie in the form of a
// sorted list.
class WordList {
 public:
  WordList() = default;
  static Result<WordList> create(std::vector<std::string> words, bool ignore_case);

  bool empty() const { return words_.empty(); }
  bool begins_with(unsigned char byte) const { return first_[byte].begin != first_[byte].end; }
  std::size_t longest() const { return longest_; }

  // The byte after the longest word that begins at `pos`, or 0; counts only if `text` did not run
  // out.
  std::size_t find(TextWindow& text, std::size_t pos) const;

 private:
  struct Range {
    std::uint32_t begin = 0, end = 0;
  };
  unsigned char folded(char byte) const;

  std::vector<std::string> words_;  // sorted; in lower case if case is ignored
  std::array<Range, 256> first_{};
  std::size_t longest_ = 0;
  bool ignore_case_ = false;
};

struct PatternOptions {
  std::string name;   // of the type it makes, for metrics and logs: a-z, 0-9, _ and -
  std::string regex;  // RE2's syntax
  std::string action = "mask";
  std::int64_t bytes_max = 64;  // longer matches do not count
};

// One expression. A match at a place is the longest one of at most `bytes_max` bytes that begins
// there.
class Pattern {
 public:
  static Result<Pattern> create(const PatternOptions& options);

  std::size_t bytes_max() const { return bytes_max_; }

  // No match begins from `pos` up to this place, nor will one once more text has come; the end of
  // the text: nowhere.
  std::size_t next(const TextWindow& text, std::size_t pos) const;

  // The byte after the match at `pos`, or 0; counts only if `text` did not run out.
  std::size_t find(TextWindow& text, std::size_t pos) const;

 private:
  std::shared_ptr<const re2::RE2> regex_;
  std::size_t bytes_max_ = 0;
  // Every match lies between them, if RE2 can tell.
  std::string least_, most_;
  bool bounded_ = false;
};

}  // namespace hearth::security

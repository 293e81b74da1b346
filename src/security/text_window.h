// Text as the detectors read it: code points, with digits and letters of other widths folded to
// ASCII. A detector that asks for more than there is yet is told so: what it then says is no
// decision. So a decision never hangs on how the text was cut.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hearth::security {

inline constexpr char32_t kNoChar = 0xFFFFFFFF;  // before the beginning, or after the end

// As many bytes of what came before a place as may decide about it.
inline constexpr std::size_t kContextBytes = 256;

struct FoldedChar {
  char32_t code = kNoChar;
  std::size_t size = 0;  // bytes as written
};

// Full-width forms to ASCII; Arabic-Indic, Persian and mathematical digits to ASCII digits.
char32_t fold(char32_t code_point);

constexpr bool is_digit(char32_t c) { return c >= U'0' && c <= U'9'; }
constexpr bool is_letter(char32_t c) { return (c | 0x20) >= U'a' && (c | 0x20) <= U'z'; }
// What people and typesetters put between the groups of a number: spaces, hyphens, dots.
bool is_separator(char32_t c);
// What is not seen: zero-width and direction marks, variation selectors, the emoji key cap.
bool is_invisible(char32_t c);

class TextWindow {
 public:
  // `whole`: nothing follows. `text` must stay as it is.
  TextWindow(std::string_view text, bool whole) : text_(text), whole_(whole) {}

  FoldedChar at(std::size_t pos) {
    if (pos < text_.size()) {
      const auto byte = static_cast<unsigned char>(text_[pos]);
      if (byte < 0x80) return {byte, 1};
    }
    return beyond_ascii(pos);
  }
  // The one that ends at `pos`.
  FoldedChar before(std::size_t pos) const {
    if (pos > 0) {
      const auto byte = static_cast<unsigned char>(text_[pos - 1]);
      if (byte < 0x80) return {byte, 1};
    }
    return before_beyond_ascii(pos);
  }

  // The last bytes before `pos` in its line, kContextBytes at most; ASCII letters in lower case.
  std::string line_before(std::size_t pos) const;

  // Where the match before ended, if it is known; kNoMatch: nowhere in this text.
  static constexpr std::size_t kNoMatch = std::string_view::npos;
  std::size_t match_end() const { return match_end_; }
  void set_match_end(std::size_t pos) { match_end_ = pos; }

  std::string_view text() const { return text_; }
  bool whole() const { return whole_; }
  bool ran_out() const { return ran_out_; }
  void run_out() { ran_out_ = ran_out_ || !whole_; }
  void clear() { ran_out_ = false; }

 private:
  FoldedChar beyond_ascii(std::size_t pos);
  FoldedChar before_beyond_ascii(std::size_t pos) const;

  const std::string_view text_;
  const bool whole_;
  std::size_t match_end_ = kNoMatch;
  bool ran_out_ = false;
};

}  // namespace hearth::security

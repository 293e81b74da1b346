#include "security/text_window.h"

#include <algorithm>

#include "text/unicode.h"

namespace hearth::security {

char32_t fold(char32_t c) {
  if (c < 0x80) return c;
  if (c >= 0xFF01 && c <= 0xFF5E) return c - 0xFF01 + U'!';
  if (c >= 0x0660 && c <= 0x0669) return c - 0x0660 + U'0';
  if (c >= 0x06F0 && c <= 0x06F9) return c - 0x06F0 + U'0';
  if (c >= 0x1D7CE && c <= 0x1D7FF) return (c - 0x1D7CE) % 10 + U'0';
  return c;
}

bool is_separator(char32_t c) {
  switch (c) {
    case U' ':
    case U'-':
    case U'.':
    case 0x00A0:  // no-break space
    case 0x202F:  // narrow no-break space
    case 0x205F:
    case 0x2212:  // minus
    case 0x3000:  // ideographic space
    case 0xFE58:  // small em dash
    case 0xFE63:  // small hyphen
      return true;
    default:
      return (c >= 0x2000 && c <= 0x200A) || (c >= 0x2010 && c <= 0x2015);
  }
}

bool is_invisible(char32_t c) {
  switch (c) {
    case 0x00AD:  // soft hyphen
    case 0x180E:
    case 0x20E3:  // combining key cap
    case 0xFEFF:
      return true;
    default:
      return (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
             (c >= 0x2060 && c <= 0x2069) || (c >= 0xFE00 && c <= 0xFE0F);
  }
}

FoldedChar TextWindow::beyond_ascii(std::size_t pos) {
  if (pos >= text_.size()) {
    run_out();
    return {};
  }
  const text::Utf8Step step = text::utf8_step(text_, pos);
  if (step.state == text::Utf8State::kIncomplete && !whole_) {
    run_out();
    return {};
  }
  return {fold(step.code_point), step.size};
}

FoldedChar TextWindow::before_beyond_ascii(std::size_t pos) const {
  if (pos == 0) return {};
  std::size_t start = pos - 1;
  const std::size_t first = pos - std::min<std::size_t>(pos, 4);
  while (start > first && (static_cast<unsigned char>(text_[start]) & 0xC0) == 0x80) --start;
  const text::Utf8Step step = text::utf8_step(text_.substr(0, pos), start);
  if (step.state != text::Utf8State::kValid || start + step.size != pos)
    return {text::kReplacement, 1};
  return {fold(step.code_point), step.size};
}

std::string TextWindow::line_before(std::size_t pos) const {
  std::string_view line =
      text_.substr(pos - std::min(pos, kContextBytes), std::min(pos, kContextBytes));
  const std::size_t line_break = line.find_last_of("\r\n");
  if (line_break != std::string_view::npos) line.remove_prefix(line_break + 1);
  std::string lower(line);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return lower;
}

}  // namespace hearth::security

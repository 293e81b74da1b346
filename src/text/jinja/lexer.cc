#include "text/jinja/lexer.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "text/jinja/marked.h"

namespace hearth::text::jinja {
namespace {

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}
bool is_decimal(char c) { return c >= '0' && c <= '9'; }

int hex_value(char c) {
  if (is_decimal(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Length of digits with single underscores between them, at the start of `text`; 0: none.
std::size_t digits(std::string_view text, int base = 10) {
  std::size_t n = 0;
  while (n < text.size()) {
    const std::size_t digit = n > 0 && text[n] == '_' ? n + 1 : n;
    if (digit >= text.size()) break;
    const int value = hex_value(text[digit]);
    if (value < 0 || value >= base) break;
    n = digit + 1;
  }
  return n;
}

// Length of a float literal at the start of `text`; 0: none. "1." is none, "1e5" and "1.5" are.
std::size_t float_size(std::string_view text) {
  std::size_t n = digits(text);
  if (n == 0) return 0;
  bool fraction = false;
  if (n < text.size() && text[n] == '.') {
    const std::size_t more = digits(text.substr(n + 1));
    if (more > 0) {
      n += 1 + more;
      fraction = true;
    }
  }
  if (n < text.size() && (text[n] == 'e' || text[n] == 'E')) {
    std::size_t sign = n + 1;
    if (sign < text.size() && (text[sign] == '+' || text[sign] == '-')) ++sign;
    const std::size_t exponent = sign < text.size() ? digits(text.substr(sign)) : 0;
    if (exponent > 0) return sign + exponent;
  }
  return fraction ? n : 0;
}

int literal_base(std::string_view text) {
  if (text.size() < 3 || text[0] != '0') return 10;
  switch (text[1]) {
    case 'b':
    case 'B':
      return 2;
    case 'o':
    case 'O':
      return 8;
    case 'x':
    case 'X':
      return 16;
    default:
      return 10;
  }
}

}  // namespace

std::string normalise_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

Position Lexer::position(std::size_t at) {
  if (at < counted_to_) {  // an earlier place: only for messages about unclosed tags
    const std::string_view head = source_.substr(0, at);
    const auto lines = std::count(head.begin(), head.end(), '\n');
    const std::size_t start = head.rfind('\n') + 1;
    return {static_cast<std::uint32_t>(lines + 1), static_cast<std::uint32_t>(at - start + 1)};
  }
  for (; counted_to_ < at; ++counted_to_) {
    if (source_[counted_to_] != '\n') continue;
    ++line_;
    line_start_ = counted_to_ + 1;
  }
  return {line_, static_cast<std::uint32_t>(at - line_start_ + 1)};
}

Token Lexer::token(TokenKind kind, std::size_t from, std::size_t size) {
  Token t;
  t.kind = kind;
  t.at = position(from);
  t.text = source_.substr(from, size);
  return t;
}

std::size_t Lexer::skip_space(std::size_t at) const {
  while (at < source_.size()) {
    const CodePoint point = decode(source_, at);
    if (!is_space(point.value)) break;
    at += point.bytes;
  }
  return at;
}

Result<Token> Lexer::next() { return state_ == State::kData ? next_data() : next_expression(); }

std::string_view Lexer::before_tag(std::size_t from, std::size_t tag, char sign,
                                   bool variable) const {
  const std::string_view text = source_.substr(from, tag - from);
  if (sign == '-') return text.substr(0, strip_space(text, false, true).to);
  if (sign == '+' || variable) return text;
  const std::size_t line = text.rfind('\n') + 1;
  const bool at_line_start = line > 0 || from == 0 || source_[from - 1] == '\n';
  if (!at_line_start) return text;
  const std::string_view indent = text.substr(line);
  return strip_space(indent, true, false).from == indent.size() ? text.substr(0, line) : text;
}

Result<Token> Lexer::next_data() {
  while (pos_ < source_.size()) {
    std::size_t tag = pos_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string_view::npos) break;
      const char c = at_char(tag + 1);
      if (c == '{' || c == '%' || c == '#') break;
    }
    const std::size_t from = pos_;
    if (tag == std::string_view::npos) {
      pos_ = source_.size();
      return token(TokenKind::kData, from, pos_ - from);
    }
    const char sign_char = at_char(tag + 2);
    const char sign = sign_char == '-' || sign_char == '+' ? sign_char : '\0';
    const char type = source_[tag + 1];
    const std::string_view text = before_tag(from, tag, sign, type == '{');
    if (!text.empty()) {
      pos_ = tag;  // what was stripped goes too
      return token(TokenKind::kData, from, text.size());
    }
    std::size_t body = 0;
    opened_at_ = tag;
    if (type == '%' && raw_begins(tag, body)) {
      HEARTH_TRY(const std::string_view raw, read_raw(body, tag));
      if (raw.empty()) continue;
      return token(TokenKind::kData, body, raw.size());
    }
    pos_ = tag + (sign == '\0' ? 2 : 3);
    if (type == '#') {
      HEARTH_TRY_VOID(skip_comment());
      continue;
    }
    state_ = type == '{' ? State::kVariable : State::kBlock;
    return token(type == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, tag, 2);
  }
  return token(TokenKind::kEnd, source_.size(), 0);
}

bool Lexer::raw_begins(std::size_t tag, std::size_t& body) const {
  std::size_t at = tag + 2;
  if (at_char(at) == '-' || at_char(at) == '+') ++at;
  at = skip_space(at);
  if (!at_text(at, "raw")) return false;
  at = skip_space(at + 3);
  if (at_text(at, "-%}")) {
    body = skip_space(at + 3);
    return true;
  }
  body = at + 2;
  return at_text(at, "%}");
}

Result<std::string_view> Lexer::read_raw(std::size_t body, std::size_t tag) {
  for (std::size_t end = source_.find("{%", body); end != std::string_view::npos;
       end = source_.find("{%", end + 2)) {
    std::size_t at = end + 2;
    const char sign = at_char(at) == '-' || at_char(at) == '+' ? source_[at] : '\0';
    if (sign != '\0') ++at;
    at = skip_space(at);
    if (!at_text(at, "endraw")) continue;
    at = skip_space(at + 6);
    if (at_text(at, "+%}")) {
      pos_ = at + 3;
    } else if (at_text(at, "-%}")) {
      pos_ = skip_space(at + 3);
    } else if (at_text(at, "%}")) {
      pos_ = at + 2 + (at_char(at + 2) == '\n' ? 1 : 0);
    } else {
      continue;
    }
    return before_tag(body, end, sign, false);
  }
  return syntax_error(position(tag), "raw block is not closed");
}

Status Lexer::skip_comment() {
  if (pos_ >= source_.size()) return {};  // Jinja2 lets a template end so
  const std::size_t end = source_.find("#}", pos_);
  if (end == std::string_view::npos) {
    return syntax_error(position(opened_at_), "comment is not closed");
  }
  const char sign = end > pos_ ? source_[end - 1] : '\0';
  pos_ = end + 2;
  if (sign == '-') {
    pos_ = skip_space(pos_);
  } else if (sign != '+' && at_char(pos_) == '\n') {
    ++pos_;
  }
  return {};
}

Result<Token> Lexer::next_expression() {
  pos_ = skip_space(pos_);
  if (pos_ >= source_.size()) return syntax_error(position(opened_at_), "tag is not closed");
  if (brackets_.empty()) {
    const bool block = state_ == State::kBlock;
    const std::string_view end = block ? "%}" : "}}";
    const std::size_t from = pos_;
    const char sign = at_char(pos_);
    std::size_t size = 0;
    if (at_text(pos_, end)) {
      size = 2 + (block && at_char(pos_ + 2) == '\n' ? 1 : 0);  // trim_blocks
    } else if ((sign == '-' || (block && sign == '+')) && at_text(pos_ + 1, end)) {
      size = sign == '-' ? skip_space(pos_ + 3) - pos_ : 3;
    }
    if (size > 0) {
      Token t = token(block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, from, size);
      pos_ += size;
      state_ = State::kData;
      return t;
    }
  }
  const char c = source_[pos_];
  if (is_decimal(c)) {
    const bool after_dot = pos_ > 0 && source_[pos_ - 1] == '.';  // a.0.1 is two subscripts
    const std::string_view rest = source_.substr(pos_);
    const std::size_t size = after_dot ? 0 : float_size(rest);
    if (size > 0) return read_number(true, size);
    const int base = literal_base(rest);
    if (base != 10) {
      const std::size_t skip = rest[2] == '_' ? 3 : 2;
      const std::size_t n = digits(rest.substr(skip), base);
      if (n > 0) return read_number(false, skip + n);
    }
    return read_number(false, digits(rest));
  }
  if (is_name_char(c)) {
    std::size_t end = pos_;
    while (end < source_.size() && is_name_char(source_[end])) ++end;
    Token t = token(TokenKind::kName, pos_, end - pos_);
    pos_ = end;
    return t;
  }
  if (c == '"' || c == '\'') return read_string();
  return read_operator();
}

Result<Token> Lexer::read_number(bool is_float, std::size_t size) {
  Token t = token(is_float ? TokenKind::kFloat : TokenKind::kInteger, pos_, size);
  std::string plain(t.text);
  std::erase(plain, '_');
  const int base = is_float ? 10 : literal_base(plain);
  const char* first = plain.data() + (base == 10 ? 0 : 2);
  const char* last = plain.data() + plain.size();
  const auto [end, error] = is_float ? std::from_chars(first, last, t.real)
                                     : std::from_chars(first, last, t.integer, base);
  if (is_float && error == std::errc::result_out_of_range) {
    t.real = std::strtod(plain.c_str(), nullptr);  // infinite, or as good as zero, as in Python
  } else if (error != std::errc() || end != last)
    return syntax_error(t.at, "number out of range");
  if (!is_float && base == 10 && plain.size() > 1 && plain[0] == '0' && t.integer != 0) {
    return syntax_error(t.at, "numbers do not start with 0");
  }
  pos_ += size;
  return t;
}

Result<Token> Lexer::read_string() {
  const char quote = source_[pos_];
  std::size_t end = pos_ + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
  if (end >= source_.size()) return syntax_error(position(pos_), "string is not closed");
  Token t = token(TokenKind::kString, pos_, end + 1 - pos_);
  const std::string_view body = source_.substr(pos_ + 1, end - pos_ - 1);
  for (std::size_t i = 0; i < body.size();) {
    if (body[i] != '\\') {
      t.string += body[i++];
      continue;
    }
    HEARTH_TRY_VOID(read_escape(t.at, body, i, t.string));
  }
  pos_ = end + 1;
  return t;
}

Status Lexer::read_escape(Position at, std::string_view body, std::size_t& i, std::string& out) {
  const char c = body[i + 1];
  i += 2;
  static constexpr std::string_view kFrom = "\\'\"abfnrtv";
  static constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
  const std::size_t simple = kFrom.find(c);
  if (simple != std::string_view::npos) {
    out += kTo[simple];
    return {};
  }
  if (c == '\n') return {};
  std::int32_t value = 0;
  if (c >= '0' && c <= '7') {
    --i;
    for (int n = 0; n < 3 && i < body.size() && body[i] >= '0' && body[i] <= '7'; ++n) {
      value = value * 8 + (body[i++] - '0');
    }
    append_utf8(out, value);
    return {};
  }
  const int count = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (count == 0) {
    if (c == 'N') return syntax_error(at, "\\N escapes are not supported");
    out += '\\';  // Python keeps unknown escapes as they are
    out += c;
    return {};
  }
  for (int n = 0; n < count; ++n, ++i) {
    const int digit = i < body.size() ? hex_value(body[i]) : -1;
    if (digit < 0 || value > 0x10ffff) return syntax_error(at, "bad escape in string");
    value = value * 16 + digit;
  }
  if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
    return syntax_error(at, "escape in string is no code point");
  }
  append_utf8(out, value);
  return {};
}

Result<Token> Lexer::read_operator() {
  static constexpr std::string_view kTwo[] = {"**", "//", "==", "!=", ">=", "<="};
  static constexpr std::string_view kOne = "+-/*%~[](){}><=.:|,";
  const char c = source_[pos_];
  if (kOne.find(c) == std::string_view::npos && !at_text(pos_, "!=")) {
    return syntax_error(position(pos_), "unexpected character");
  }
  std::size_t size = 1;
  for (const std::string_view two : kTwo) {
    if (at_text(pos_, two)) size = 2;
  }
  Token t = token(TokenKind::kOperator, pos_, size);
  if (c == '(' || c == '[' || c == '{') {
    brackets_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
  } else if (c == ')' || c == ']' || c == '}') {
    if (brackets_.empty() || brackets_.back() != c) {
      return syntax_error(t.at, "unexpected '{}'", c);
    }
    brackets_.pop_back();
  }
  pos_ += size;
  return t;
}

}  // namespace hearth::text::jinja

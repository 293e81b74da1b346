// Splits template source into tokens the way Jinja2 does with trim_blocks and lstrip_blocks on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::text::jinja {

struct Position {
  std::uint32_t line = 1;    // from 1
  std::uint32_t column = 1;  // from 1, in bytes
};

enum class TokenKind : std::uint8_t {
  kData,  // text between tags
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  Position at;
  std::string_view text;  // into the source; of strings: with the quotes
  std::string string;     // kString: the value
  std::int64_t integer = 0;
  double real = 0;

  bool is(TokenKind k, std::string_view t) const { return kind == k && text == t; }
  bool is_name(std::string_view t) const { return is(TokenKind::kName, t); }
  bool is_op(std::string_view t) const { return is(TokenKind::kOperator, t); }
};

// ErrorKind::kInvalid, "template_syntax", with the place.
template <class... Args>
[[nodiscard]] tl::unexpected<Error> syntax_error(Position at, fmt::format_string<Args...> format,
                                                 Args&&... args) {
  return invalid("template_syntax", "{} (line {}, column {})",
                 fmt::format(format, std::forward<Args>(args)...), at.line, at.column);
}

// Line ends become \n and one at the end is dropped, as Jinja2 does.
std::string normalise_newlines(std::string_view source);

class Lexer {
 public:
  // `source` is normalised, valid UTF-8 and outlives the lexer and its tokens.
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<Token> next();

 private:
  enum class State : std::uint8_t { kData, kBlock, kVariable };

  Result<Token> next_data();
  Result<Token> next_expression();
  Result<Token> read_string();
  Result<Token> read_number(bool is_float, std::size_t size);
  Result<Token> read_operator();
  static Status read_escape(Position at, std::string_view body, std::size_t& i, std::string& out);
  Status skip_comment();
  // At "{%": the text of a raw block, if it is one; moves behind its end.
  bool raw_begins(std::size_t tag, std::size_t& body) const;
  Result<std::string_view> read_raw(std::size_t body, std::size_t tag);
  // Text before a tag, as the tag's sign and lstrip_blocks leave it.
  std::string_view before_tag(std::size_t from, std::size_t tag, char sign, bool variable) const;

  std::size_t skip_space(std::size_t at) const;
  bool at_text(std::size_t at, std::string_view text) const {
    return source_.substr(at, text.size()) == text;
  }
  char at_char(std::size_t at) const { return at < source_.size() ? source_[at] : '\0'; }
  Position position(std::size_t at);
  Token token(TokenKind kind, std::size_t from, std::size_t size);

  std::string_view source_;
  std::size_t pos_ = 0;
  State state_ = State::kData;
  std::vector<char> brackets_;  // the closing ones still due
  std::size_t opened_at_ = 0;   // where the tag being read began
  std::size_t counted_to_ = 0;  // position() has counted lines up to here
  std::size_t line_start_ = 0;
  std::uint32_t line_ = 1;
};

}  // namespace hearth::text::jinja

// Recursive descent over the grammar of Jinja2 3.1, as far as chat templates use it.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"
#include "text/jinja/template.h"

namespace hearth::text::jinja {

class Parser {
 public:
  Parser(Ast& ast, const Budget& budget) : ast_(ast), budget_(budget), lexer_(ast.source) {}

  Status parse();  // fills ast.body

 private:
  enum class Tuple : std::uint8_t { kPlain, kNoIf, kParentheses };

  // Tokens.
  Status advance();             // current_ becomes the next one
  Result<const Token*> look();  // the one after current_
  Result<bool> skip_name(std::string_view name);
  Result<bool> skip_op(std::string_view op);
  Status expect_op(std::string_view op);
  Status expect(TokenKind kind, std::string_view what);
  Result<std::string_view> expect_identifier();
  Result<const std::string*> dotted_name();  // of a filter or a test
  tl::unexpected<Error> unexpected(std::string_view wanted) const;

  // Statements (parser.cc).
  Result<Body> parse_body(std::initializer_list<std::string_view> ends);  // from the tag's end on
  Result<Body> parse_until(std::initializer_list<std::string_view> ends);
  Result<Stmt*> parse_statement();
  Status parse_if(Stmt& stmt);
  Status parse_for(Stmt& stmt);
  Status parse_set(Stmt& stmt);
  Status parse_macro(Stmt& stmt);
  Status parse_call_block(Stmt& stmt);
  Status parse_filter_block(Stmt& stmt);
  Status parse_with(Stmt& stmt);
  Status parse_parameters(Stmt& stmt);
  Result<Body> parse_function_body(Stmt& stmt, std::string_view end);
  Result<Expr*> parse_target(bool with_namespace);
  Result<Expr*> parse_target_item(bool with_namespace);

  // Expressions (parser_expr.cc).
  Result<Expr*> parse_expression(bool with_if = true);
  Result<Expr*> parse_tuple(Tuple mode);
  Result<Expr*> parse_or();
  Result<Expr*> parse_and();
  Result<Expr*> parse_not();
  Result<Expr*> parse_compare();
  Result<Expr*> parse_sum();
  Result<Expr*> parse_concat();
  Result<Expr*> parse_product();
  Result<Expr*> parse_power();
  Result<Expr*> parse_unary(bool with_filter = true);
  Result<Expr*> parse_primary();
  Result<Expr*> parse_string();
  Result<Expr*> parse_list();
  Result<Expr*> parse_dict();
  Result<Expr*> parse_postfix(Expr* left);
  Result<Expr*> parse_filters_and_tests(Expr* left);
  Result<Expr*> parse_filter(Expr* left);  // at its name; left may be null
  Result<Expr*> parse_test(Expr* left);
  Result<Expr*> parse_subscript(Expr* left);
  Result<Expr*> parse_subscribed(Expr* left);
  Result<std::unique_ptr<CallArgs>> parse_call_args();
  Result<std::optional<Op>> compare_operator();

  Result<Expr*> make(Expr::Kind kind, Position at, std::initializer_list<Expr*> args = {});
  Result<Expr*> literal(Position at, const Value& value);
  const std::string* intern(std::string_view name) {
    return &ast_.symbol_names[static_cast<std::size_t>(ast_.symbol(name))];
  }
  bool at_tuple_end(Tuple mode) const;

  // Counts nesting for as long as it lives.
  struct Nested {
    explicit Nested(Parser& p) : parser(p) { ++parser.depth_; }
    ~Nested() { --parser.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;
    Status check() const;
    Parser& parser;
  };

  Ast& ast_;
  Budget budget_;
  Lexer lexer_;
  Token current_;
  std::optional<Token> ahead_;
  std::int64_t depth_ = 0;
  int loops_ = 0;             // for loops around, within the innermost function
  Stmt* function_ = nullptr;  // the innermost macro or call block
};

}  // namespace hearth::text::jinja

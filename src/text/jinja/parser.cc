#include "text/jinja/parser.h"

#include <algorithm>

#include "text/jinja/context.h"

namespace hearth::text::jinja {
namespace {

// Names of Jinja2's tags that need other templates or extensions.
constexpr std::string_view kRefused[] = {"include", "import",     "from",  "extends",
                                         "block",   "autoescape", "trans", "do"};

// Puts a flag back at the end of a block.
template <class T>
class Restore {
 public:
  Restore(T& variable, T value) : variable_(variable), old_(variable) { variable = value; }
  ~Restore() { variable_ = old_; }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

 private:
  T& variable_;
  T old_;
};

}  // namespace

Status Parser::Nested::check() const {
  if (parser.depth_ > parser.budget_.depth_max) {
    return syntax_error(parser.current_.at, "source nests deeper than {} levels",
                        parser.budget_.depth_max);
  }
  return {};
}

Status Parser::advance() {
  if (ahead_) {
    current_ = std::move(*ahead_);
    ahead_.reset();
    return {};
  }
  HEARTH_TRY(current_, lexer_.next());
  return {};
}

Result<const Token*> Parser::look() {
  if (!ahead_) {
    HEARTH_TRY(ahead_, lexer_.next());
  }
  return &*ahead_;
}

Result<bool> Parser::skip_name(std::string_view name) {
  if (!current_.is_name(name)) return false;
  HEARTH_TRY_VOID(advance());
  return true;
}

Result<bool> Parser::skip_op(std::string_view op) {
  if (!current_.is_op(op)) return false;
  HEARTH_TRY_VOID(advance());
  return true;
}

Status Parser::expect_op(std::string_view op) {
  if (!current_.is_op(op)) return unexpected(op);
  return advance();
}

Status Parser::expect(TokenKind kind, std::string_view what) {
  if (current_.kind != kind) return unexpected(what);
  return advance();
}

Result<std::string_view> Parser::expect_identifier() {
  if (current_.kind != TokenKind::kName) return unexpected("a name");
  const std::string_view name = current_.text;
  HEARTH_TRY_VOID(advance());
  return name;
}

tl::unexpected<Error> Parser::unexpected(std::string_view wanted) const {
  std::string_view got;
  switch (current_.kind) {
    case TokenKind::kEnd:
      got = "end of template";
      break;
    case TokenKind::kBlockEnd:
    case TokenKind::kVariableEnd:
      got = "end of tag";
      break;
    default:
      got = current_.text;
  }
  return syntax_error(current_.at, "expected {}, got '{}'", wanted, shown(got));
}

Status Parser::parse() {
  HEARTH_TRY_VOID(advance());
  HEARTH_TRY(ast_.body, parse_until({}));
  return {};
}

Result<Body> Parser::parse_body(std::initializer_list<std::string_view> ends) {
  HEARTH_TRY_VOID(skip_op(":"));
  HEARTH_TRY_VOID(expect(TokenKind::kBlockEnd, "end of tag"));
  return parse_until(ends);
}

Result<Body> Parser::parse_until(std::initializer_list<std::string_view> ends) {
  const Nested nested(*this);
  HEARTH_TRY_VOID(nested.check());
  Body body;
  for (;;) {
    const Position at = current_.at;
    if (current_.kind == TokenKind::kEnd) {
      if (ends.size() == 0) return body;
      return syntax_error(at, "expected '{}', got end of template", *ends.begin());
    }
    if (current_.kind == TokenKind::kData) {
      Stmt& stmt = ast_.stmts.emplace_back();
      stmt.at = at;
      stmt.text = &ast_.strs.emplace_back(Str{current_.text, true, {}});
      body.push_back(&stmt);
      HEARTH_TRY_VOID(advance());
      continue;
    }
    const bool output = current_.kind == TokenKind::kVariableBegin;
    HEARTH_TRY_VOID(advance());
    if (output) {
      Stmt& stmt = ast_.stmts.emplace_back();
      stmt.kind = Stmt::Kind::kOutput;
      stmt.at = at;
      HEARTH_TRY(Expr * value, parse_tuple(Tuple::kPlain));
      stmt.values.push_back(value);
      body.push_back(&stmt);
      HEARTH_TRY_VOID(expect(TokenKind::kVariableEnd, "end of expression"));
      continue;
    }
    if (current_.kind == TokenKind::kName &&
        std::find(ends.begin(), ends.end(), current_.text) != ends.end()) {
      return body;  // the end's name is the current token
    }
    HEARTH_TRY(Stmt * stmt, parse_statement());
    body.push_back(stmt);
    HEARTH_TRY_VOID(expect(TokenKind::kBlockEnd, "end of tag"));
  }
}

Result<Stmt*> Parser::parse_statement() {
  if (current_.kind != TokenKind::kName) return unexpected("the name of a tag");
  const std::string_view tag = current_.text;
  Stmt& stmt = ast_.stmts.emplace_back();
  stmt.at = current_.at;
  if (std::find(std::begin(kRefused), std::end(kRefused), tag) != std::end(kRefused)) {
    return syntax_error(stmt.at, "tag '{}' is not supported", tag);
  }
  HEARTH_TRY_VOID(advance());
  Status status;
  if (tag == "if") {
    status = parse_if(stmt);
  } else if (tag == "for") {
    status = parse_for(stmt);
  } else if (tag == "set") {
    status = parse_set(stmt);
  } else if (tag == "macro") {
    status = parse_macro(stmt);
  } else if (tag == "call") {
    status = parse_call_block(stmt);
  } else if (tag == "filter") {
    status = parse_filter_block(stmt);
  } else if (tag == "print") {
    stmt.kind = Stmt::Kind::kOutput;
    while (current_.kind != TokenKind::kBlockEnd) {
      if (!stmt.values.empty()) HEARTH_TRY_VOID(expect_op(","));
      HEARTH_TRY(Expr * value, parse_expression());
      stmt.values.push_back(value);
    }
  } else if (tag == "with") {
    status = parse_with(stmt);
  } else if (tag == "generation") {
    // Marks what an assistant said, for training; here only a scope of its own.
    stmt.kind = Stmt::Kind::kScope;
    const Restore loops(loops_, 0);
    HEARTH_TRY(stmt.body, parse_body({"endgeneration"}));
    status = advance();
  } else if (tag == "break" || tag == "continue") {
    if (loops_ == 0) return syntax_error(stmt.at, "'{}' outside of a loop", tag);
    stmt.kind = tag == "break" ? Stmt::Kind::kBreak : Stmt::Kind::kContinue;
  } else {
    return syntax_error(stmt.at, "unknown tag '{}'", shown(tag));
  }
  if (!status) return tl::unexpected(status.error());
  return &stmt;
}

Status Parser::parse_if(Stmt& stmt) {
  stmt.kind = Stmt::Kind::kIf;
  for (bool more = true; more;) {
    Branch branch{nullptr, {}};
    HEARTH_TRY(branch.condition, parse_tuple(Tuple::kNoIf));
    HEARTH_TRY(branch.body, parse_body({"elif", "else", "endif"}));
    stmt.branches.push_back(std::move(branch));
    more = current_.is_name("elif");
    const bool otherwise = current_.is_name("else");
    HEARTH_TRY_VOID(advance());
    if (!otherwise) continue;
    HEARTH_TRY(Body body, parse_body({"endif"}));
    stmt.branches.push_back({nullptr, std::move(body)});
    HEARTH_TRY_VOID(advance());
  }
  return {};
}

Status Parser::parse_for(Stmt& stmt) {
  stmt.kind = Stmt::Kind::kFor;
  HEARTH_TRY(stmt.target, parse_target(false));
  if (!current_.is_name("in")) return unexpected("in");
  HEARTH_TRY_VOID(advance());
  HEARTH_TRY(Expr * items, parse_tuple(Tuple::kNoIf));
  HEARTH_TRY(const bool filtered, skip_name("if"));
  stmt.values = {items, nullptr};
  if (filtered) {
    HEARTH_TRY(stmt.values[1], parse_expression());
  }
  if (current_.is_name("recursive")) {
    return syntax_error(current_.at, "recursive loops are not supported");
  }
  {
    const Restore loops(loops_, loops_ + 1);
    HEARTH_TRY(stmt.body, parse_body({"endfor", "else"}));
  }
  const bool otherwise = current_.is_name("else");
  HEARTH_TRY_VOID(advance());
  if (!otherwise) return {};
  HEARTH_TRY(stmt.otherwise, parse_body({"endfor"}));
  return advance();
}

Status Parser::parse_set(Stmt& stmt) {
  HEARTH_TRY(stmt.target, parse_target(true));
  HEARTH_TRY(const bool assigned, skip_op("="));
  if (assigned) {
    stmt.kind = Stmt::Kind::kSet;
    HEARTH_TRY(Expr * value, parse_tuple(Tuple::kPlain));
    stmt.values.push_back(value);
    return {};
  }
  stmt.kind = Stmt::Kind::kSetBlock;
  while (current_.is_op("|")) {
    HEARTH_TRY_VOID(advance());
    HEARTH_TRY(Expr * filter, parse_filter(nullptr));
    stmt.filters.push_back(filter);
  }
  HEARTH_TRY(stmt.body, parse_body({"endset"}));
  return advance();
}

Status Parser::parse_filter_block(Stmt& stmt) {
  stmt.kind = Stmt::Kind::kFilter;
  do {
    if (!stmt.filters.empty()) HEARTH_TRY_VOID(advance());
    HEARTH_TRY(Expr * filter, parse_filter(nullptr));
    stmt.filters.push_back(filter);
  } while (current_.is_op("|"));
  HEARTH_TRY(stmt.body, parse_body({"endfilter"}));
  return advance();
}

Status Parser::parse_with(Stmt& stmt) {
  stmt.kind = Stmt::Kind::kWith;
  while (current_.kind != TokenKind::kBlockEnd) {
    if (!stmt.targets.empty()) HEARTH_TRY_VOID(expect_op(","));
    HEARTH_TRY(Expr * target, parse_target(false));
    HEARTH_TRY_VOID(expect_op("="));
    HEARTH_TRY(Expr * value, parse_expression());
    stmt.targets.push_back(target);
    stmt.values.push_back(value);
  }
  HEARTH_TRY(stmt.body, parse_body({"endwith"}));
  return advance();
}

Status Parser::parse_parameters(Stmt& stmt) {
  HEARTH_TRY_VOID(expect_op("("));
  while (!current_.is_op(")")) {
    if (!stmt.parameters.empty()) HEARTH_TRY_VOID(expect_op(","));
    const Position at = current_.at;
    HEARTH_TRY(const std::string_view name, expect_identifier());
    Parameter parameter{ast_.symbol(name), intern(name), nullptr};
    for (const Parameter& other : stmt.parameters) {
      if (other.symbol == parameter.symbol) return syntax_error(at, "parameter '{}' twice", name);
    }
    if (stmt.parameters.size() >= 64) return syntax_error(at, "too many parameters");
    HEARTH_TRY(const bool has_fallback, skip_op("="));
    if (has_fallback) {
      HEARTH_TRY(parameter.fallback, parse_expression());
    } else if (!stmt.parameters.empty() && stmt.parameters.back().fallback != nullptr) {
      return syntax_error(at, "parameter without default after one with");
    }
    stmt.parameters.push_back(parameter);
  }
  return advance();
}

Result<Body> Parser::parse_function_body(Stmt& stmt, std::string_view end) {
  const Restore loops(loops_, 0);
  const Restore function(function_, &stmt);
  HEARTH_TRY(Body body, parse_body({end}));
  HEARTH_TRY_VOID(advance());
  return body;
}

Status Parser::parse_macro(Stmt& stmt) {
  stmt.kind = Stmt::Kind::kMacro;
  HEARTH_TRY(const std::string_view name, expect_identifier());
  stmt.symbol = ast_.symbol(name);
  stmt.name = intern(name);
  HEARTH_TRY_VOID(parse_parameters(stmt));
  HEARTH_TRY(stmt.body, parse_function_body(stmt, "endmacro"));
  return {};
}

Status Parser::parse_call_block(Stmt& stmt) {
  stmt.kind = Stmt::Kind::kCall;
  stmt.name = intern("caller");
  if (current_.is_op("(")) HEARTH_TRY_VOID(parse_parameters(stmt));
  HEARTH_TRY(Expr * call, parse_expression());
  if (call->kind != Expr::Kind::kCall) return syntax_error(stmt.at, "expected a call");
  stmt.values.push_back(call);
  HEARTH_TRY(stmt.body, parse_function_body(stmt, "endcall"));
  return {};
}

Result<Expr*> Parser::parse_target_item(bool with_namespace) {
  const Position at = current_.at;
  if (current_.is_op("(")) {
    const Nested nested(*this);
    HEARTH_TRY_VOID(nested.check());
    HEARTH_TRY_VOID(advance());
    HEARTH_TRY(Expr * inner, parse_target(with_namespace));
    HEARTH_TRY_VOID(expect_op(")"));
    return inner;
  }
  HEARTH_TRY(const std::string_view name, expect_identifier());
  for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
    if (name == constant) return syntax_error(at, "can't assign to '{}'", name);
  }
  HEARTH_TRY(Expr * target, make(Expr::Kind::kName, at));
  target->symbol = ast_.symbol(name);
  target->name = intern(name);
  if (!with_namespace || !current_.is_op(".")) return target;
  HEARTH_TRY_VOID(advance());
  HEARTH_TRY(const std::string_view attribute, expect_identifier());
  HEARTH_TRY(Expr * reference, make(Expr::Kind::kAttribute, at, {target}));
  reference->name = intern(attribute);
  return reference;
}

Result<Expr*> Parser::parse_target(bool with_namespace) {
  const Position at = current_.at;
  HEARTH_TRY(Expr * first, parse_target_item(with_namespace));
  if (!current_.is_op(",")) return first;
  HEARTH_TRY(Expr * tuple, make(Expr::Kind::kTuple, at, {first}));
  while (current_.is_op(",")) {
    HEARTH_TRY_VOID(advance());
    if (current_.kind != TokenKind::kName && !current_.is_op("(")) break;
    HEARTH_TRY(Expr * item, parse_target_item(with_namespace));
    tuple->args.push_back(item);
  }
  return tuple;
}

}  // namespace hearth::text::jinja

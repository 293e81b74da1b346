#include <array>

#include "text/jinja/parser.h"

namespace hearth::text::jinja {
namespace {

// Bounds the memory of a tree; the templates in the wild have a few thousand nodes.
constexpr std::size_t kNodesMax = 200'000;

struct Spelling {
  std::string_view text;
  Op op;
};

constexpr Spelling kComparisons[] = {{"==", Op::kEq}, {"!=", Op::kNe}, {"<", Op::kLt},
                                     {"<=", Op::kLe}, {">", Op::kGt},  {">=", Op::kGe}};
constexpr Spelling kSums[] = {{"+", Op::kAdd}, {"-", Op::kSub}};
constexpr Spelling kProducts[] = {
    {"*", Op::kMul}, {"/", Op::kDiv}, {"//", Op::kFloorDiv}, {"%", Op::kMod}};

template <std::size_t N>
std::optional<Op> operator_of(const Token& token, const Spelling (&table)[N]) {
  if (token.kind != TokenKind::kOperator) return std::nullopt;
  for (const Spelling& spelling : table) {
    if (token.text == spelling.text) return spelling.op;
  }
  return std::nullopt;
}

}  // namespace

Result<Expr*> Parser::make(Expr::Kind kind, Position at, std::initializer_list<Expr*> args) {
  if (ast_.exprs.size() >= kNodesMax) {
    return syntax_error(at, "more than {} expressions", kNodesMax);
  }
  Expr& expr = ast_.exprs.emplace_back();
  expr.kind = kind;
  expr.at = at;
  expr.args = args;
  return &expr;
}

Result<Expr*> Parser::literal(Position at, const Value& value) {
  HEARTH_TRY(Expr * expr, make(Expr::Kind::kLiteral, at));
  expr->literal = value;
  return expr;
}

Result<Expr*> Parser::parse_expression(bool with_if) {
  const Nested nested(*this);
  HEARTH_TRY_VOID(nested.check());
  HEARTH_TRY(Expr * expr, parse_or());
  while (with_if && current_.is_name("if")) {
    const Position at = current_.at;
    HEARTH_TRY_VOID(advance());
    HEARTH_TRY(Expr * condition, parse_or());
    Expr* otherwise = nullptr;
    HEARTH_TRY(const bool has_else, skip_name("else"));
    if (has_else) {
      HEARTH_TRY(otherwise, parse_expression());
    }
    HEARTH_TRY(expr, make(Expr::Kind::kIf, at, {condition, expr, otherwise}));
  }
  return expr;
}

bool Parser::at_tuple_end(Tuple mode) const {
  if (current_.kind == TokenKind::kVariableEnd || current_.kind == TokenKind::kBlockEnd)
    return true;
  if (current_.is_op(")")) return true;
  return mode == Tuple::kNoIf && current_.is_name("recursive");
}

Result<Expr*> Parser::parse_tuple(Tuple mode) {
  const Position at = current_.at;
  std::vector<Expr*> items;
  bool is_tuple = false;
  while (!at_tuple_end(mode)) {
    HEARTH_TRY(Expr * item, parse_expression(mode != Tuple::kNoIf));
    items.push_back(item);
    if (!current_.is_op(",")) break;
    is_tuple = true;
    HEARTH_TRY_VOID(advance());
  }
  if (!is_tuple && !items.empty()) return items[0];
  if (!is_tuple && mode != Tuple::kParentheses) return unexpected("an expression");
  HEARTH_TRY(Expr * tuple, make(Expr::Kind::kTuple, at));
  tuple->args = std::move(items);
  return tuple;
}

Result<Expr*> Parser::parse_or() {
  HEARTH_TRY(Expr * left, parse_and());
  while (current_.is_name("or")) {
    const Position at = current_.at;
    HEARTH_TRY_VOID(advance());
    HEARTH_TRY(Expr * right, parse_and());
    HEARTH_TRY(left, make(Expr::Kind::kOr, at, {left, right}));
  }
  return left;
}

Result<Expr*> Parser::parse_and() {
  HEARTH_TRY(Expr * left, parse_not());
  while (current_.is_name("and")) {
    const Position at = current_.at;
    HEARTH_TRY_VOID(advance());
    HEARTH_TRY(Expr * right, parse_not());
    HEARTH_TRY(left, make(Expr::Kind::kAnd, at, {left, right}));
  }
  return left;
}

Result<Expr*> Parser::parse_not() {
  if (!current_.is_name("not")) return parse_compare();
  const Nested nested(*this);
  HEARTH_TRY_VOID(nested.check());
  const Position at = current_.at;
  HEARTH_TRY_VOID(advance());
  HEARTH_TRY(Expr * operand, parse_not());
  return make(Expr::Kind::kNot, at, {operand});
}

Result<std::optional<Op>> Parser::compare_operator() {
  const std::optional<Op> op = operator_of(current_, kComparisons);
  if (op) {
    HEARTH_TRY_VOID(advance());
    return op;
  }
  HEARTH_TRY(const bool in, skip_name("in"));
  if (in) return Op::kIn;
  if (!current_.is_name("not")) return std::nullopt;
  HEARTH_TRY(const Token* next, look());
  if (!next->is_name("in")) return std::nullopt;
  HEARTH_TRY_VOID(advance());
  HEARTH_TRY_VOID(advance());
  return Op::kNotIn;
}

Result<Expr*> Parser::parse_compare() {
  const Position at = current_.at;
  HEARTH_TRY(Expr * left, parse_sum());
  Expr* chain = nullptr;
  for (;;) {
    HEARTH_TRY(const std::optional<Op> op, compare_operator());
    if (!op) return chain != nullptr ? chain : left;
    HEARTH_TRY(Expr * right, parse_sum());
    if (chain == nullptr) {
      HEARTH_TRY(chain, make(Expr::Kind::kCompare, at, {left}));
    }
    chain->ops.push_back(*op);
    chain->args.push_back(right);
  }
}

Result<Expr*> Parser::parse_sum() {
  HEARTH_TRY(Expr * left, parse_concat());
  while (const std::optional<Op> op = operator_of(current_, kSums)) {
    const Position at = current_.at;
    HEARTH_TRY_VOID(advance());
    HEARTH_TRY(Expr * right, parse_concat());
    HEARTH_TRY(left, make(Expr::Kind::kBinary, at, {left, right}));
    left->op = *op;
  }
  return left;
}

Result<Expr*> Parser::parse_concat() {
  const Position at = current_.at;
  HEARTH_TRY(Expr * first, parse_product());
  if (!current_.is_op("~")) return first;
  HEARTH_TRY(Expr * joined, make(Expr::Kind::kConcat, at, {first}));
  while (current_.is_op("~")) {
    HEARTH_TRY_VOID(advance());
    HEARTH_TRY(Expr * next, parse_product());
    joined->args.push_back(next);
  }
  return joined;
}

Result<Expr*> Parser::parse_product() {
  HEARTH_TRY(Expr * left, parse_power());
  while (const std::optional<Op> op = operator_of(current_, kProducts)) {
    const Position at = current_.at;
    HEARTH_TRY_VOID(advance());
    HEARTH_TRY(Expr * right, parse_power());
    HEARTH_TRY(left, make(Expr::Kind::kBinary, at, {left, right}));
    left->op = *op;
  }
  return left;
}

Result<Expr*> Parser::parse_power() {
  HEARTH_TRY(Expr * left, parse_unary());
  while (current_.is_op("**")) {  // to the left, unlike Python's
    const Position at = current_.at;
    HEARTH_TRY_VOID(advance());
    HEARTH_TRY(Expr * right, parse_unary());
    HEARTH_TRY(left, make(Expr::Kind::kBinary, at, {left, right}));
    left->op = Op::kPow;
  }
  return left;
}

Result<Expr*> Parser::parse_unary(bool with_filter) {
  const Position at = current_.at;
  Expr* expr = nullptr;
  if (current_.is_op("-") || current_.is_op("+")) {
    const Nested nested(*this);
    HEARTH_TRY_VOID(nested.check());
    const auto kind = current_.is_op("-") ? Expr::Kind::kNeg : Expr::Kind::kPos;
    HEARTH_TRY_VOID(advance());
    HEARTH_TRY(Expr * operand, parse_unary(false));
    HEARTH_TRY(expr, make(kind, at, {operand}));
  } else {
    HEARTH_TRY(expr, parse_primary());
  }
  HEARTH_TRY(expr, parse_postfix(expr));
  if (with_filter) return parse_filters_and_tests(expr);
  return expr;
}

Result<Expr*> Parser::parse_primary() {
  const Token& token = current_;
  const Position at = token.at;
  switch (token.kind) {
    case TokenKind::kName: {
      HEARTH_TRY(const std::string_view name, expect_identifier());
      if (name == "true" || name == "True") return literal(at, Value::of_bool(true));
      if (name == "false" || name == "False") return literal(at, Value::of_bool(false));
      if (name == "none" || name == "None") return literal(at, Value::none());
      HEARTH_TRY(Expr * expr, make(Expr::Kind::kName, at));
      expr->symbol = ast_.symbol(name);
      expr->name = intern(name);
      if (function_ != nullptr) {
        function_->takes_varargs |= name == "varargs";
        function_->takes_kwargs |= name == "kwargs";
        function_->takes_caller |= name == "caller";
      }
      return expr;
    }
    case TokenKind::kString:
      return parse_string();
    case TokenKind::kInteger: {
      const Value value = Value::of_int(token.integer);
      HEARTH_TRY_VOID(advance());
      return literal(at, value);
    }
    case TokenKind::kFloat: {
      const Value value = Value::of_float(token.real);
      HEARTH_TRY_VOID(advance());
      return literal(at, value);
    }
    default:
      break;
  }
  if (token.is_op("(")) {
    HEARTH_TRY_VOID(advance());
    HEARTH_TRY(Expr * inner, parse_tuple(Tuple::kParentheses));
    HEARTH_TRY_VOID(expect_op(")"));
    return inner;
  }
  if (token.is_op("[")) return parse_list();
  if (token.is_op("{")) return parse_dict();
  return unexpected("an expression");
}

Result<Expr*> Parser::parse_string() {
  const Position at = current_.at;
  std::string text;
  while (current_.kind == TokenKind::kString) {  // neighbours are one literal
    text += current_.string;
    HEARTH_TRY_VOID(advance());
  }
  const std::string& kept = ast_.strings.emplace_back(std::move(text));
  return literal(at, Value::of_str(&ast_.strs.emplace_back(Str{kept, true, {}})));
}

Result<Expr*> Parser::parse_list() {
  HEARTH_TRY(Expr * list, make(Expr::Kind::kList, current_.at));
  HEARTH_TRY_VOID(expect_op("["));
  while (!current_.is_op("]")) {
    HEARTH_TRY(Expr * item, parse_expression());
    list->args.push_back(item);
    if (!current_.is_op("]")) HEARTH_TRY_VOID(expect_op(","));
  }
  HEARTH_TRY_VOID(advance());
  return list;
}

Result<Expr*> Parser::parse_dict() {
  HEARTH_TRY(Expr * dict, make(Expr::Kind::kDict, current_.at));
  HEARTH_TRY_VOID(expect_op("{"));
  while (!current_.is_op("}")) {
    HEARTH_TRY(Expr * key, parse_expression());
    HEARTH_TRY_VOID(expect_op(":"));
    HEARTH_TRY(Expr * value, parse_expression());
    dict->args.push_back(key);
    dict->args.push_back(value);
    if (!current_.is_op("}")) HEARTH_TRY_VOID(expect_op(","));
  }
  HEARTH_TRY_VOID(advance());
  return dict;
}

Result<Expr*> Parser::parse_postfix(Expr* left) {
  for (;;) {
    if (current_.is_op(".") || current_.is_op("[")) {
      HEARTH_TRY(left, parse_subscript(left));
    } else if (current_.is_op("(")) {
      HEARTH_TRY(left, make(Expr::Kind::kCall, current_.at, {left}));
      HEARTH_TRY(left->call, parse_call_args());
    } else {
      return left;
    }
  }
}

Result<Expr*> Parser::parse_filters_and_tests(Expr* left) {
  for (;;) {
    if (current_.is_op("|")) {
      HEARTH_TRY_VOID(advance());
      HEARTH_TRY(left, parse_filter(left));
    } else if (current_.is_name("is")) {
      HEARTH_TRY(left, parse_test(left));
    } else if (current_.is_op("(")) {
      HEARTH_TRY(left, make(Expr::Kind::kCall, current_.at, {left}));
      HEARTH_TRY(left->call, parse_call_args());
    } else {
      return left;
    }
  }
}

Result<const std::string*> Parser::dotted_name() {
  HEARTH_TRY(const std::string_view first, expect_identifier());
  if (!current_.is_op(".")) return intern(first);
  std::string name(first);
  while (current_.is_op(".")) {  // x|f.g is the filter "f.g", not an attribute of x|f
    HEARTH_TRY_VOID(advance());
    HEARTH_TRY(const std::string_view part, expect_identifier());
    name += '.';
    name += part;
  }
  return intern(name);
}

Result<Expr*> Parser::parse_filter(Expr* left) {
  HEARTH_TRY(Expr * filter, make(Expr::Kind::kFilter, current_.at, {left}));
  HEARTH_TRY(filter->name, dotted_name());
  if (current_.is_op("(")) {
    HEARTH_TRY(filter->call, parse_call_args());
  } else {
    filter->call = std::make_unique<CallArgs>();
  }
  return filter;
}

Result<Expr*> Parser::parse_test(Expr* left) {
  const Position at = current_.at;
  HEARTH_TRY_VOID(advance());
  HEARTH_TRY(const bool negated, skip_name("not"));
  HEARTH_TRY(Expr * test, make(Expr::Kind::kTest, at, {left}));
  HEARTH_TRY(test->name, dotted_name());
  test->call = std::make_unique<CallArgs>();
  const bool bare = current_.kind == TokenKind::kString || current_.kind == TokenKind::kInteger ||
                    current_.kind == TokenKind::kFloat || current_.is_op("[") ||
                    current_.is_op("{") ||
                    (current_.kind == TokenKind::kName && !current_.is_name("else") &&
                     !current_.is_name("or") && !current_.is_name("and"));
  if (current_.is_op("(")) {
    HEARTH_TRY(test->call, parse_call_args());
  } else if (bare) {
    if (current_.is_name("is")) return syntax_error(current_.at, "tests cannot be chained");
    HEARTH_TRY(Expr * operand, parse_primary());
    HEARTH_TRY(operand, parse_postfix(operand));
    test->call->positional.push_back(operand);
  }
  if (negated) return make(Expr::Kind::kNot, at, {test});
  return test;
}

Result<Expr*> Parser::parse_subscript(Expr* left) {
  const Position at = current_.at;
  if (current_.is_op(".")) {
    HEARTH_TRY_VOID(advance());
    if (current_.kind == TokenKind::kInteger) {
      HEARTH_TRY(Expr * index, literal(at, Value::of_int(current_.integer)));
      HEARTH_TRY_VOID(advance());
      return make(Expr::Kind::kItem, at, {left, index});
    }
    HEARTH_TRY(Expr * attribute, make(Expr::Kind::kAttribute, at, {left}));
    HEARTH_TRY(const std::string_view name, expect_identifier());
    attribute->name = intern(name);
    return attribute;
  }
  HEARTH_TRY_VOID(expect_op("["));
  HEARTH_TRY(Expr * item, parse_subscribed(left));
  if (current_.is_op(",")) {
    if (item->kind == Expr::Kind::kSlice) {
      return syntax_error(at, "slices in a tuple are not supported");
    }
    HEARTH_TRY(Expr * tuple, make(Expr::Kind::kTuple, at, {item->args[1]}));
    while (current_.is_op(",")) {
      HEARTH_TRY_VOID(advance());
      HEARTH_TRY(Expr * next, parse_expression());
      tuple->args.push_back(next);
    }
    item->args[1] = tuple;
  }
  HEARTH_TRY_VOID(expect_op("]"));
  return item;
}

Result<Expr*> Parser::parse_subscribed(Expr* left) {
  const Position at = current_.at;
  std::array<Expr*, 3> bounds{};
  if (!current_.is_op(":")) {
    HEARTH_TRY(bounds[0], parse_expression());
    if (!current_.is_op(":")) return make(Expr::Kind::kItem, at, {left, bounds[0]});
  }
  for (std::size_t i = 1; i < 3 && current_.is_op(":"); ++i) {
    HEARTH_TRY_VOID(advance());
    if (current_.is_op(":") || current_.is_op("]") || current_.is_op(",")) continue;
    HEARTH_TRY(bounds[i], parse_expression());
  }
  return make(Expr::Kind::kSlice, at, {left, bounds[0], bounds[1], bounds[2]});
}

Result<std::unique_ptr<CallArgs>> Parser::parse_call_args() {
  const Nested nested(*this);
  HEARTH_TRY_VOID(nested.check());
  const Position at = current_.at;
  auto args = std::make_unique<CallArgs>();
  HEARTH_TRY_VOID(expect_op("("));
  while (!current_.is_op(")")) {
    const bool starred = args->star != nullptr || args->double_star != nullptr;
    bool allowed = true;
    if (current_.is_op("*")) {
      allowed = !starred;
      HEARTH_TRY_VOID(advance());
      HEARTH_TRY(args->star, parse_expression());
    } else if (current_.is_op("**")) {
      allowed = args->double_star == nullptr;
      HEARTH_TRY_VOID(advance());
      HEARTH_TRY(args->double_star, parse_expression());
    } else {
      const Token* next = nullptr;
      if (current_.kind == TokenKind::kName) {
        HEARTH_TRY(next, look());
      }
      if (next != nullptr && next->is_op("=")) {
        allowed = args->double_star == nullptr;
        HEARTH_TRY(const std::string_view name, expect_identifier());
        HEARTH_TRY_VOID(advance());
        HEARTH_TRY(Expr * value, parse_expression());
        for (const auto& [other, unused] : args->named) allowed = allowed && other != name;
        args->named.emplace_back(*intern(name), value);
        if (args->named.size() > 256) allowed = false;
      } else {
        allowed = !starred && args->named.empty();
        HEARTH_TRY(Expr * value, parse_expression());
        args->positional.push_back(value);
      }
    }
    if (!allowed) return syntax_error(at, "bad order of arguments");
    if (!current_.is_op(")")) HEARTH_TRY_VOID(expect_op(","));
  }
  HEARTH_TRY_VOID(advance());
  return args;
}

}  // namespace hearth::text::jinja

#include <algorithm>

#include "text/jinja/evaluator.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace hearth::text::jinja {

Result<Value> Evaluator::eval(const Expr& expr, Scope* scope) {
  const Frame frame(*this);
  HEARTH_TRY_VOID(frame.check());
  if (expr.is_chain()) return eval_chain(expr, scope);
  return at(expr.at, eval_start(expr, scope));
}

Result<Value> Evaluator::eval_chain(const Expr& expr, Scope* scope) {
  // a.b.c, x|f|g and 1+1+1 lean to the left and are as long as the source: no recursion for them.
  std::vector<const Expr*> chain;
  const Expr* start = &expr;
  for (; start->is_chain(); start = start->args[0]) chain.push_back(start);
  HEARTH_TRY(Value value, at(start->at, eval_start(*start, scope)));
  for (; !chain.empty(); chain.pop_back()) {
    HEARTH_TRY_VOID(ctx_.step());
    HEARTH_TRY(value, at(chain.back()->at, apply(*chain.back(), value, scope)));
  }
  return value;
}

Result<Value> Evaluator::eval_start(const Expr& expr, Scope* scope) {
  switch (expr.kind) {
    case Expr::Kind::kLiteral:
      return expr.literal;
    case Expr::Kind::kName:
      return eval_name(expr, scope);
    case Expr::Kind::kList:
    case Expr::Kind::kTuple:
      return eval_sequence(expr, scope);
    case Expr::Kind::kDict:
      return eval_dict(expr, scope);
    case Expr::Kind::kConcat:
      return eval_concat(expr, scope);
    case Expr::Kind::kCompare:
      return eval_compare(expr, scope);
    default:
      break;
  }
  HEARTH_TRY(const Value operand, eval(*expr.args[0], scope));
  if (expr.kind == Expr::Kind::kNot) return Value::of_bool(!truthy(operand));
  return negate(operand, expr.kind == Expr::Kind::kNeg);
}

Result<Value> Evaluator::apply(const Expr& expr, const Value& left, Scope* scope) {
  switch (expr.kind) {
    case Expr::Kind::kAttribute:
      return attribute(ctx_, left, *expr.name);
    case Expr::Kind::kItem: {
      HEARTH_TRY(const Value key, eval(*expr.args[1], scope));
      return item(ctx_, left, key);
    }
    case Expr::Kind::kSlice:
      return apply_slice(expr, left, scope);
    case Expr::Kind::kCall: {
      HEARTH_TRY(const Args args, eval_args(*expr.call, scope));
      return call(left, args);
    }
    case Expr::Kind::kFilter:
      return apply_filter(expr, left, scope);
    case Expr::Kind::kTest:
      return apply_test(expr, left, scope);
    case Expr::Kind::kAnd:
      return truthy(left) ? eval(*expr.args[1], scope) : left;
    case Expr::Kind::kOr:
      return truthy(left) ? left : eval(*expr.args[1], scope);
    case Expr::Kind::kIf:
      return apply_if(expr, left, scope);
    default: {
      HEARTH_TRY(const Value right, eval(*expr.args[1], scope));
      return arithmetic(ctx_, expr.op, left, right);
    }
  }
}

Result<Value> Evaluator::apply_if(const Expr& expr, const Value& condition, Scope* scope) {
  if (truthy(condition)) return eval(*expr.args[1], scope);
  if (expr.args[2] == nullptr) return Value::undefined(nullptr);
  return eval(*expr.args[2], scope);
}

Result<Value> Evaluator::apply_slice(const Expr& expr, const Value& left, Scope* scope) {
  SliceBounds bounds;
  Value* const places[] = {&bounds.start, &bounds.stop, &bounds.step};
  for (std::size_t i = 0; i < 3; ++i) {
    if (expr.args[i + 1] == nullptr) continue;
    HEARTH_TRY(*places[i], eval(*expr.args[i + 1], scope));
  }
  return slice(ctx_, left, bounds);
}

Result<Value> Evaluator::apply_filter(const Expr& expr, const Value& left, Scope* scope) {
  const Native* filter = find_filter(*expr.name);
  if (filter == nullptr) return template_error("no filter named '{}'", shown(*expr.name));
  HEARTH_TRY(const Args args, eval_args(*expr.call, scope));
  return call_native(ctx_, *filter, left, args);
}

Result<Value> Evaluator::apply_test(const Expr& expr, const Value& left, Scope* scope) {
  const Native* test = find_test(*expr.name);
  if (test == nullptr) return template_error("no test named '{}'", shown(*expr.name));
  HEARTH_TRY(const Args args, eval_args(*expr.call, scope));
  return call_native(ctx_, *test, left, args);
}

Result<Value> Evaluator::eval_name(const Expr& expr, Scope* scope) {
  std::int64_t scanned = 0;
  const Value* found = scope->find(expr.symbol, scanned);
  HEARTH_TRY_VOID(ctx_.step(scanned / 8));
  return found != nullptr ? *found : globals_[static_cast<std::size_t>(expr.symbol)];
}

Result<Value> Evaluator::eval_sequence(const Expr& expr, Scope* scope) {
  const bool list = expr.kind == Expr::Kind::kList;
  Seq* out = ctx_.arena.seq(list ? SeqKind::kList : SeqKind::kTuple);
  for (const Expr* element : expr.args) {
    HEARTH_TRY(const Value value, eval(*element, scope));
    out->items.push_back(value);
  }
  return Value::of_seq(out);
}

Result<Value> Evaluator::eval_dict(const Expr& expr, Scope* scope) {
  Dict* out = ctx_.arena.dict();
  for (std::size_t i = 0; i + 1 < expr.args.size(); i += 2) {
    HEARTH_TRY(const Value key, eval(*expr.args[i], scope));
    HEARTH_TRY(const Value value, eval(*expr.args[i + 1], scope));
    HEARTH_TRY_VOID(insert(ctx_, *out, key, value));
  }
  return Value::of_dict(out);
}

Result<Value> Evaluator::eval_concat(const Expr& expr, Scope* scope) {
  TextBuilder out(ctx_);
  for (const Expr* part : expr.args) {
    HEARTH_TRY(const Value value, eval(*part, scope));
    HEARTH_TRY_VOID(print(ctx_, value, out));
  }
  return out.finish();
}

Result<Value> Evaluator::eval_compare(const Expr& expr, Scope* scope) {
  HEARTH_TRY(Value left, eval(*expr.args[0], scope));
  for (std::size_t i = 0; i < expr.ops.size(); ++i) {
    HEARTH_TRY(const Value right, eval(*expr.args[i + 1], scope));
    HEARTH_TRY(const bool holds, compare(ctx_, expr.ops[i], left, right));
    if (!holds) return Value::of_bool(false);
    left = right;
  }
  return Value::of_bool(true);
}

Result<Args> Evaluator::eval_args(const CallArgs& call, Scope* scope) {
  Args args;
  for (const Expr* expr : call.positional) {
    HEARTH_TRY(const Value value, eval(*expr, scope));
    args.positional.push_back(value);
  }
  for (const auto& [name, expr] : call.named) {
    HEARTH_TRY(const Value value, eval(*expr, scope));
    args.named.emplace_back(name, value);
  }
  if (call.star != nullptr) {
    HEARTH_TRY(const Value more, eval(*call.star, scope));
    HEARTH_TRY(const std::span<const Value> values, iterate(ctx_, more));
    args.positional.insert(args.positional.end(), values.begin(), values.end());
  }
  if (call.double_star == nullptr) return args;
  HEARTH_TRY(const Value more, eval(*call.double_star, scope));
  if (!more.is(Kind::kDict)) return template_error("** needs a mapping");
  constexpr std::size_t kNamedMax = 256;
  if (more.dict->entries.size() > kNamedMax) return budget_error("too many arguments");
  for (const auto& [key, value] : more.dict->entries) {
    if (!key.is(Kind::kStr)) return template_error("argument names must be text");
    HEARTH_TRY_VOID(ctx_.step());
    for (const auto& [name, unused] : args.named) {
      if (name == key.str->text) return template_error("argument '{}' given twice", shown(name));
    }
    args.named.emplace_back(key.str->text, value);
  }
  return args;
}

Result<Value> Evaluator::call(const Value& callee, const Args& args) {
  if (callee.is(Kind::kUndefined)) return undefined_error(callee);
  if (callee.is(Kind::kLoop)) return template_error("recursive loops are not supported");
  if (!callee.is(Kind::kCallable)) {
    return template_error("'{}' object is not callable", type_name(callee));
  }
  if (callee.callable->macro != nullptr) return call_macro(*callee.callable, args);
  return call_native(ctx_, *callee.callable->native, callee.callable->self, args);
}

Result<Scope*> Evaluator::bind_macro(const Callable& macro, const Args& args) {
  const Stmt& stmt = *macro.macro;
  const std::vector<Parameter>& parameters = stmt.parameters;
  Scope* scope = ctx_.arena.scope(macro.scope);
  std::vector<Value> given(parameters.size());
  Seq* rest = ctx_.arena.seq(SeqKind::kTuple);
  Dict* extra = ctx_.arena.dict();
  Value caller;
  for (std::size_t i = 0; i < args.positional.size(); ++i) {
    if (i < given.size()) {
      given[i] = args.positional[i];
    } else {
      rest->items.push_back(args.positional[i]);
    }
  }
  for (const auto& [name, value] : args.named) {
    HEARTH_TRY_VOID(ctx_.step());
    const auto parameter =
        std::find_if(parameters.begin(), parameters.end(),
                     [wanted = name](const Parameter& p) { return *p.name == wanted; });
    if (parameter == parameters.end()) {
      if (name == "caller" && stmt.takes_caller) {
        caller = value;
      } else {
        extra->entries.emplace_back(ctx_.name(name), value);
      }
      continue;
    }
    Value& slot = given[static_cast<std::size_t>(parameter - parameters.begin())];
    if (!slot.is(Kind::kMissing)) {
      return template_error("macro '{}' got argument '{}' twice", *stmt.name, shown(name));
    }
    slot = value;
  }
  if (!rest->items.empty() && !stmt.takes_varargs) {
    return template_error("macro '{}' takes at most {} arguments", *stmt.name, given.size());
  }
  if (!extra->entries.empty() && !stmt.takes_kwargs) {
    return template_error("macro '{}' takes no argument '{}'", *stmt.name,
                          shown(extra->entries[0].first.str->text));
  }
  const auto define = [&](std::string_view name, const Value& value) {
    const auto symbol = ast_.symbols.find(name);
    if (symbol != ast_.symbols.end()) scope->set(symbol->second, value);
  };
  if (stmt.takes_varargs) define("varargs", Value::of_seq(rest));
  if (stmt.takes_kwargs) define("kwargs", Value::of_dict(extra));
  if (stmt.takes_caller) {
    define("caller", caller.is(Kind::kMissing) ? Value::undefined(nullptr) : caller);
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Value value = given[i];
    if (value.is(Kind::kMissing)) {
      value = Value::undefined(parameters[i].name);
      if (parameters[i].fallback != nullptr) {
        HEARTH_TRY(value, eval(*parameters[i].fallback, scope));
      }
    }
    scope->set(parameters[i].symbol, value);
  }
  return scope;
}

Result<Value> Evaluator::call_macro(const Callable& macro, const Args& args) {
  const Frame frame(*this);
  HEARTH_TRY_VOID(frame.check());
  HEARTH_TRY(Scope * scope, bind_macro(macro, args));
  TextBuilder out(ctx_);
  HEARTH_TRY_VOID(run(macro.macro->body, scope, out));
  return out.finish();
}

}  // namespace hearth::text::jinja

#include "text/jinja/evaluator.h"

#include <algorithm>
#include <limits>

#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace hearth::text::jinja {

Status Evaluator::Frame::check() const {
  if (evaluator.frames_ > evaluator.ctx_.frames_max()) {
    return budget_error("the template nests or calls itself too deeply");
  }
  return evaluator.ctx_.step();
}

Result<std::vector<TextPiece>> Evaluator::render(
    const OrderedJson& variables, const std::vector<std::string_view>& trusted_keys) {
  if (!variables.is_object()) return template_error("the variables must be an object");
  HEARTH_TRY_VOID(define_globals(variables, trusted_keys));
  TextBuilder out(ctx_);
  HEARTH_TRY_VOID(run(ast_.body, ctx_.arena.scope(nullptr), out));
  return out.pieces();
}

Status Evaluator::define_globals(const OrderedJson& variables,
                                 const std::vector<std::string_view>& trusted_keys) {
  globals_.clear();
  for (const std::string& name : ast_.symbol_names) {
    Value value = Value::undefined(&name);
    if (const Native* native = find_function(name)) {
      Callable* callable = ctx_.arena.callable();
      callable->native = native;
      value = Value::of_callable(callable);
    }
    globals_.push_back(value);
  }
  for (const auto& [key, json] : variables.items()) {
    const auto symbol = ast_.symbols.find(key);
    if (symbol == ast_.symbols.end()) continue;  // the template does not mention it
    const bool trusted =
        std::find(trusted_keys.begin(), trusted_keys.end(), key) != trusted_keys.end();
    HEARTH_TRY(Value value, from_json(json, trusted, 1));
    if (key == strftime_now_function()->name && value.is(Kind::kInt)) {
      // Far beyond any calendar; keeps its arithmetic free of overflow.
      constexpr std::int64_t kSecondsMax = std::int64_t{1} << 40;
      if (value.integer < -kSecondsMax || value.integer > kSecondsMax) {
        return template_error("strftime_now is out of range");
      }
      Callable* callable = ctx_.arena.callable();
      callable->native = strftime_now_function();
      callable->self = value;
      value = Value::of_callable(callable);
    }
    globals_[static_cast<std::size_t>(symbol->second)] = value;
  }
  return {};
}

Result<Value> Evaluator::from_json(const OrderedJson& json, bool trusted, std::int64_t depth) {
  HEARTH_TRY_VOID(ctx_.step());
  HEARTH_TRY_VOID(ctx_.check_depth(depth));
  using Type = OrderedJson::value_t;
  switch (json.type()) {
    case Type::null:
      return Value::none(trusted);
    case Type::boolean:
      return Value::of_bool(json.get<bool>(), trusted);
    case Type::number_integer:
      return Value::of_int(json.get<std::int64_t>(), trusted);
    case Type::number_unsigned: {
      const auto n = json.get<std::uint64_t>();
      if (n > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return template_error("the number {} is too large for a template", n);
      }
      return Value::of_int(static_cast<std::int64_t>(n), trusted);
    }
    case Type::number_float:
      return Value::of_float(json.get<double>(), trusted);
    case Type::string:
      return Value::of_str(ctx_.arena.str({json.get_ref<const std::string&>(), trusted, {}}));
    case Type::array: {
      Seq* out = ctx_.arena.seq(SeqKind::kList);
      out->items.reserve(json.size());
      for (const OrderedJson& element : json) {
        HEARTH_TRY(const Value value, from_json(element, trusted, depth + 1));
        out->items.push_back(value);
      }
      return Value::of_seq(out);
    }
    case Type::object: {
      Dict* out = ctx_.arena.dict();
      out->entries.reserve(json.size());
      for (const auto& [name, element] : json.items()) {
        const Value key = Value::of_str(ctx_.arena.str({name, trusted, {}}));
        HEARTH_TRY(const Value value, from_json(element, trusted, depth + 1));
        out->entries.emplace_back(key, value);
      }
      return Value::of_dict(out);
    }
    default:
      return template_error("a variable holds something that is not JSON");
  }
}

Result<Evaluator::Flow> Evaluator::run(const Body& body, Scope* scope, TextBuilder& out) {
  const Frame frame(*this);
  HEARTH_TRY_VOID(frame.check());
  for (const Stmt* stmt : body) {
    if (stmt->kind == Stmt::Kind::kText) {
      HEARTH_TRY_VOID(ctx_.step());
      out.append(*stmt->text);
      continue;
    }
    HEARTH_TRY(const Flow flow, at(stmt->at, run_statement(*stmt, scope, out)));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::run_statement(const Stmt& stmt, Scope* scope, TextBuilder& out) {
  HEARTH_TRY_VOID(ctx_.step());
  Status status;
  switch (stmt.kind) {
    case Stmt::Kind::kText:
      out.append(*stmt.text);
      break;
    case Stmt::Kind::kOutput: {
      for (const Expr* expr : stmt.values) {
        HEARTH_TRY(const Value value, eval(*expr, scope));
        HEARTH_TRY_VOID(print(ctx_, value, out));
      }
      break;
    }
    case Stmt::Kind::kIf:
      return run_if(stmt, scope, out);
    case Stmt::Kind::kFor:
      return run_for(stmt, scope, out);
    case Stmt::Kind::kSet: {
      HEARTH_TRY(const Value value, eval(*stmt.values[0], scope));
      status = assign(*stmt.target, value, scope);
      break;
    }
    case Stmt::Kind::kSetBlock:
      return run_set_block(stmt, scope);
    case Stmt::Kind::kFilter:
      return run_filter(stmt, scope, out);
    case Stmt::Kind::kWith:
      return run_with(stmt, scope, out);
    case Stmt::Kind::kMacro:
      scope->set(stmt.symbol, macro_value(stmt, scope));
      break;
    case Stmt::Kind::kCall:
      status = run_call(stmt, scope, out);
      break;
    case Stmt::Kind::kScope:
      return run(stmt.body, ctx_.arena.scope(scope), out);
    case Stmt::Kind::kBreak:
      return Flow::kBreak;
    case Stmt::Kind::kContinue:
      return Flow::kContinue;
  }
  if (!status) return tl::unexpected(std::move(status).error());
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::run_if(const Stmt& stmt, Scope* scope, TextBuilder& out) {
  for (const Branch& branch : stmt.branches) {
    bool taken = branch.condition == nullptr;
    if (!taken) {
      HEARTH_TRY(const Value condition, eval(*branch.condition, scope));
      taken = truthy(condition);
    }
    if (taken) return run(branch.body, scope, out);
  }
  return Flow::kNext;
}

Result<std::span<const Value>> Evaluator::loop_items(const Stmt& stmt, Scope* scope) {
  HEARTH_TRY(const Value iterated, eval(*stmt.values[0], scope));
  HEARTH_TRY(const std::span<const Value> all, iterate(ctx_, iterated));
  if (stmt.values[1] == nullptr) return all;
  Seq* kept = ctx_.arena.seq(SeqKind::kList);
  for (const Value& value : all) {
    Scope* inner = ctx_.arena.scope(scope);
    HEARTH_TRY_VOID(assign(*stmt.target, value, inner));
    HEARTH_TRY(const Value keep, eval(*stmt.values[1], inner));
    if (truthy(keep)) kept->items.push_back(value);
  }
  return std::span<const Value>(kept->items);
}

Result<Evaluator::Flow> Evaluator::run_for(const Stmt& stmt, Scope* scope, TextBuilder& out) {
  const auto loop_symbol = ast_.symbols.find("loop");
  HEARTH_TRY(const std::span<const Value> items, loop_items(stmt, scope));
  if (items.empty()) return run(stmt.otherwise, ctx_.arena.scope(scope), out);
  Loop* loop = ctx_.arena.loop();
  loop->items = items.data();
  loop->size = items.size();
  Scope* inner = nullptr;
  for (std::size_t i = 0; i < items.size(); ++i) {
    HEARTH_TRY_VOID(ctx_.step());
    loop->index = i;
    // Each round has variables of its own, in the same memory unless a macro kept them.
    if (inner == nullptr || inner->captured) {
      inner = ctx_.arena.scope(scope);
    } else {
      inner->variables.clear();
    }
    if (loop_symbol != ast_.symbols.end()) inner->set(loop_symbol->second, Value::of_loop(loop));
    HEARTH_TRY_VOID(assign(*stmt.target, items[i], inner));
    HEARTH_TRY(const Flow flow, run(stmt.body, inner, out));
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::capture(const Stmt& stmt, Scope* scope, Value& value) {
  TextBuilder body(ctx_);
  HEARTH_TRY(const Flow flow, run(stmt.body, ctx_.arena.scope(scope), body));
  if (flow != Flow::kNext) return flow;
  HEARTH_TRY(value, body.finish());
  for (const Expr* filter : stmt.filters) {
    HEARTH_TRY(value, apply_filter(*filter, value, scope));
  }
  return flow;
}

Result<Evaluator::Flow> Evaluator::run_set_block(const Stmt& stmt, Scope* scope) {
  Value value;
  HEARTH_TRY(const Flow flow, capture(stmt, scope, value));
  if (flow == Flow::kNext) HEARTH_TRY_VOID(assign(*stmt.target, value, scope));
  return flow;
}

Result<Evaluator::Flow> Evaluator::run_filter(const Stmt& stmt, Scope* scope, TextBuilder& out) {
  Value value;
  HEARTH_TRY(const Flow flow, capture(stmt, scope, value));
  if (flow == Flow::kNext) HEARTH_TRY_VOID(print(ctx_, value, out));
  return flow;
}

Result<Evaluator::Flow> Evaluator::run_with(const Stmt& stmt, Scope* scope, TextBuilder& out) {
  Scope* inner = ctx_.arena.scope(scope);
  for (std::size_t i = 0; i < stmt.targets.size(); ++i) {
    HEARTH_TRY(const Value value, eval(*stmt.values[i], scope));
    HEARTH_TRY_VOID(assign(*stmt.targets[i], value, inner));
  }
  return run(stmt.body, inner, out);
}

Value Evaluator::macro_value(const Stmt& stmt, Scope* scope) {
  for (Scope* s = scope; s != nullptr; s = s->parent) s->captured = true;
  Callable* macro = ctx_.arena.callable();
  macro->macro = &stmt;
  macro->scope = scope;
  return Value::of_callable(macro);
}

Status Evaluator::run_call(const Stmt& stmt, Scope* scope, TextBuilder& out) {
  const Expr& expr = *stmt.values[0];
  HEARTH_TRY(const Value callee, eval(*expr.args[0], scope));
  HEARTH_TRY(Args args, eval_args(*expr.call, scope));
  args.named.emplace_back("caller", macro_value(stmt, scope));
  HEARTH_TRY(const Value value, call(callee, args));
  return print(ctx_, value, out);
}

Status Evaluator::assign(const Expr& target, const Value& value, Scope* scope) {
  if (target.kind == Expr::Kind::kName) {
    HEARTH_TRY_VOID(ctx_.step(static_cast<std::int64_t>(scope->variables.size() / 8)));
    scope->set(target.symbol, value);
    return {};
  }
  if (target.kind == Expr::Kind::kAttribute) return assign_attribute(target, value, scope);
  HEARTH_TRY(const std::span<const Value> parts, iterate(ctx_, value));
  if (parts.size() != target.args.size()) {
    return template_error("expected {} values to unpack, got {}", target.args.size(), parts.size());
  }
  const Frame frame(*this);
  HEARTH_TRY_VOID(frame.check());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    HEARTH_TRY_VOID(assign(*target.args[i], parts[i], scope));
  }
  return {};
}

Status Evaluator::assign_attribute(const Expr& target, const Value& value, Scope* scope) {
  HEARTH_TRY(const Value object, eval_name(*target.args[0], scope));
  if (!object.is(Kind::kNamespace)) {
    return template_error("cannot assign attribute '{}' on a value that is no namespace",
                          *target.name);
  }
  HEARTH_TRY_VOID(ctx_.step(static_cast<std::int64_t>(object.ns->entries.size() / 8)));
  if (Value* known = object.ns->find(*target.name)) {
    *known = value;
  } else {
    object.ns->entries.emplace_back(*target.name, value);
  }
  return {};
}

}  // namespace hearth::text::jinja

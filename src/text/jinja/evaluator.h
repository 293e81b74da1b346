// Walks the tree. Everything made on the way lives in the context's arena and dies with it.
#pragma once

#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/context.h"
#include "text/jinja/library.h"

namespace hearth::text::jinja {

class Evaluator {
 public:
  Evaluator(const Ast& ast, Context& ctx) : ast_(ast), ctx_(ctx) {}

  Result<std::vector<TextPiece>> render(const OrderedJson& variables,
                                        const std::vector<std::string_view>& trusted_keys);

 private:
  enum class Flow : std::uint8_t { kNext, kBreak, kContinue };

  // Statements (evaluator.cc).
  Status define_globals(const OrderedJson& variables,
                        const std::vector<std::string_view>& trusted_keys);
  Result<Value> from_json(const OrderedJson& json, bool trusted, std::int64_t depth);
  Result<Flow> run(const Body& body, Scope* scope, TextBuilder& out);
  Result<Flow> run_statement(const Stmt& stmt, Scope* scope, TextBuilder& out);
  Result<Flow> run_if(const Stmt& stmt, Scope* scope, TextBuilder& out);
  Result<Flow> run_for(const Stmt& stmt, Scope* scope, TextBuilder& out);
  Result<Flow> run_set_block(const Stmt& stmt, Scope* scope);
  Result<Flow> run_filter(const Stmt& stmt, Scope* scope, TextBuilder& out);
  Result<Flow> run_with(const Stmt& stmt, Scope* scope, TextBuilder& out);
  Status run_call(const Stmt& stmt, Scope* scope, TextBuilder& out);
  // Body, then filters; no value if the body was left by break or continue.
  Result<Flow> capture(const Stmt& stmt, Scope* scope, Value& value);
  // The elements a loop goes over, after its filter.
  Result<std::span<const Value>> loop_items(const Stmt& stmt, Scope* scope);
  Status assign(const Expr& target, const Value& value, Scope* scope);
  Status assign_attribute(const Expr& target, const Value& value, Scope* scope);
  Value macro_value(const Stmt& stmt, Scope* scope);

  // Expressions (evaluator_expr.cc).
  Result<Value> eval(const Expr& expr, Scope* scope);
  Result<Value> eval_chain(const Expr& expr, Scope* scope);
  Result<Value> eval_start(const Expr& expr, Scope* scope);  // what does not begin with a chain
  Result<Value> apply(const Expr& expr, const Value& left, Scope* scope);
  Result<Value> apply_filter(const Expr& expr, const Value& left, Scope* scope);
  Result<Value> apply_test(const Expr& expr, const Value& left, Scope* scope);
  Result<Value> apply_if(const Expr& expr, const Value& condition, Scope* scope);
  Result<Value> apply_slice(const Expr& expr, const Value& left, Scope* scope);
  Result<Value> eval_name(const Expr& expr, Scope* scope);
  Result<Value> eval_sequence(const Expr& expr, Scope* scope);
  Result<Value> eval_dict(const Expr& expr, Scope* scope);
  Result<Value> eval_concat(const Expr& expr, Scope* scope);
  Result<Value> eval_compare(const Expr& expr, Scope* scope);
  Result<Args> eval_args(const CallArgs& call, Scope* scope);
  Result<Value> call(const Value& callee, const Args& args);
  Result<Value> call_macro(const Callable& macro, const Args& args);
  Result<Scope*> bind_macro(const Callable& macro, const Args& args);

  // Adds the place to an error, once.
  template <class T>
  Result<T> at(Position place, Result<T> result) {
    if (!result && !located_) {
      located_ = true;
      result.error().message += fmt::format(" (line {}, column {})", place.line, place.column);
    }
    return result;
  }

  // One level of evaluation, for as long as it lives: the stack is finite.
  struct Frame {
    explicit Frame(Evaluator& e) : evaluator(e) { ++evaluator.frames_; }
    ~Frame() { --evaluator.frames_; }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;
    Status check() const;
    Evaluator& evaluator;
  };

  const Ast& ast_;
  Context& ctx_;
  std::vector<Value> globals_;  // by symbol
  std::int64_t frames_ = 0;
  bool located_ = false;
};

}  // namespace hearth::text::jinja

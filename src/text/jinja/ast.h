// The syntax tree. Nodes live in the Ast's deques and refer to each other by plain pointers, so
// that destroying a long chain does not recurse.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/lexer.h"
#include "text/jinja/value.h"

namespace hearth::text::jinja {

enum class Op : std::uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kIn,
  kNotIn,
};

struct Expr;

struct CallArgs {
  std::vector<Expr*> positional;
  std::vector<std::pair<std::string_view, Expr*>> named;
  Expr* star = nullptr;         // *args
  Expr* double_star = nullptr;  // **kwargs
};

struct Expr {
  enum class Kind : std::uint8_t {
    kLiteral,  // literal
    kName,     // symbol, name
    kList,
    kTuple,    // args
    kDict,     // args: key, value, key, value, ...
    kConcat,   // args, joined as text
    kCompare,  // args; ops[i] stands between args[i] and args[i + 1]
    kNot,
    kNeg,
    kPos,
    // From here on args[0] is the left-hand side, which may be a chain as long as the source.
    kAttribute,  // name
    kItem,       // args[1]
    kSlice,      // args[1..3], null where left out
    kCall,       // call
    kFilter,     // name, call; args[0] null: the body of a filter or set block
    kTest,       // name, call
    kBinary,     // op, args[1]
    kAnd,
    kOr,  // args[1]
    kIf,  // args[0] is the condition; args[1] then, args[2] else or null
  };
  Kind kind = Kind::kLiteral;
  Op op = Op::kAdd;
  int symbol = -1;
  Position at;
  Value literal;
  const std::string* name = nullptr;
  std::vector<Expr*> args;
  std::vector<Op> ops;
  std::unique_ptr<CallArgs> call;

  bool is_chain() const { return kind >= Kind::kAttribute; }
};

struct Stmt;
using Body = std::vector<Stmt*>;

struct Branch {
  Expr* condition;  // null: else
  Body body;
};

struct Parameter {
  int symbol;
  const std::string* name;
  Expr* fallback;  // null: none
};

struct Stmt {
  enum class Kind : std::uint8_t {
    kText,      // text
    kOutput,    // values, one after the other
    kIf,        // branches
    kFor,       // target, values[0] iterated, values[1] filter or null, body, otherwise
    kSet,       // target, values[0]
    kSetBlock,  // target, filters, body
    kFilter,    // filters, body
    kWith,      // targets, values, body
    kMacro,     // symbol, parameters, body
    kCall,      // values[0] is the call; parameters, body
    kScope,     // body; variables set in it stay in it
    kBreak,
    kContinue,
  };
  Kind kind = Kind::kText;
  Position at;
  const Str* text = nullptr;
  Expr* target = nullptr;  // kName, kTuple of targets, or kAttribute of a kName (a namespace)
  std::vector<Expr*> targets;
  std::vector<Expr*> values;
  std::vector<Expr*> filters;
  std::vector<Branch> branches;
  std::vector<Parameter> parameters;
  int symbol = -1;
  const std::string* name = nullptr;
  bool takes_varargs = false;  // macros: the body mentions varargs, kwargs, caller
  bool takes_kwargs = false;
  bool takes_caller = false;
  Body body;
  Body otherwise;
};

struct Ast {
  std::string source;  // normalised; literals and names point into it
  std::deque<Expr> exprs;
  std::deque<Stmt> stmts;
  std::deque<Str> strs;
  std::deque<std::string> strings;
  std::map<std::string_view, int> symbols;
  std::deque<std::string> symbol_names;  // by symbol
  Body body;

  int symbol(std::string_view name) {
    const auto known = symbols.find(name);
    if (known != symbols.end()) return known->second;
    const int id = static_cast<int>(symbol_names.size());
    symbols.emplace(symbol_names.emplace_back(name), id);
    return id;
  }
};

}  // namespace hearth::text::jinja

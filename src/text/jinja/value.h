// What template expressions work with. Values are small and copied freely; what they point to lives
// in the arena of one render (or in the template), so namespaces that hold themselves leak nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/marked.h"

namespace hearth::text::jinja {

struct Seq;
struct Dict;
struct Namespace;
struct Callable;
struct Loop;
struct Scope;
struct Stmt;
struct Native;

enum class Kind : std::uint8_t {
  kMissing,  // an argument that was not given; never seen by templates
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kStr,
  kSeq,
  kDict,
  kNamespace,
  kCallable,
  kLoop,
};

struct Value {
  Kind kind = Kind::kMissing;
  bool trusted = true;  // of numbers and the like: whether their text counts as the template's own
  union {
    bool boolean;
    std::int64_t integer;
    double real;
    const std::string* hint;  // kUndefined: what it is called, for messages; may be null
    const Str* str;
    Seq* seq;
    const Dict* dict;
    Namespace* ns;
    const Callable* callable;
    Loop* loop;
  };

  Value() : integer(0) {}
  static Value undefined(const std::string* name) {
    Value v;
    v.kind = Kind::kUndefined;
    v.hint = name;
    return v;
  }
  static Value none(bool trusted = true) {
    Value v;
    v.kind = Kind::kNone;
    v.trusted = trusted;
    return v;
  }
  static Value of_bool(bool b, bool trusted = true) {
    Value v;
    v.kind = Kind::kBool;
    v.trusted = trusted;
    v.boolean = b;
    return v;
  }
  static Value of_int(std::int64_t i, bool trusted = true) {
    Value v;
    v.kind = Kind::kInt;
    v.trusted = trusted;
    v.integer = i;
    return v;
  }
  static Value of_float(double d, bool trusted = true) {
    Value v;
    v.kind = Kind::kFloat;
    v.trusted = trusted;
    v.real = d;
    return v;
  }
  static Value of_str(const Str* s) {
    Value v;
    v.kind = Kind::kStr;
    v.str = s;
    return v;
  }
  static Value of_seq(Seq* s) {
    Value v;
    v.kind = Kind::kSeq;
    v.seq = s;
    return v;
  }
  static Value of_dict(const Dict* d) {
    Value v;
    v.kind = Kind::kDict;
    v.dict = d;
    return v;
  }
  static Value of_namespace(Namespace* n) {
    Value v;
    v.kind = Kind::kNamespace;
    v.ns = n;
    return v;
  }
  static Value of_callable(const Callable* c) {
    Value v;
    v.kind = Kind::kCallable;
    v.callable = c;
    return v;
  }
  static Value of_loop(Loop* l) {
    Value v;
    v.kind = Kind::kLoop;
    v.loop = l;
    return v;
  }

  bool is(Kind k) const { return kind == k; }
  bool is_number() const {
    return kind == Kind::kBool || kind == Kind::kInt || kind == Kind::kFloat;
  }
  bool is_integral() const { return kind == Kind::kBool || kind == Kind::kInt; }
  std::int64_t as_int() const { return kind == Kind::kBool ? (boolean ? 1 : 0) : integer; }
  double as_float() const { return kind == Kind::kFloat ? real : static_cast<double>(as_int()); }
  // Whether text made of this value alone may count as the template's own.
  bool text_trusted() const { return kind == Kind::kStr ? str->all_trusted() : trusted; }
};

// Python's types that differ in how they print, index and compare.
enum class SeqKind : std::uint8_t { kList, kTuple, kRange, kKeys, kValues, kItems, kGenerator };

struct Seq {
  SeqKind kind = SeqKind::kList;
  std::vector<Value> items;
  std::size_t position = 0;                    // kGenerator: what has been taken already
  std::int64_t start = 0, stop = 0, step = 1;  // kRange, for printing

  bool indexable() const {
    return kind == SeqKind::kList || kind == SeqKind::kTuple || kind == SeqKind::kRange;
  }
};

// Insertion order. Filled once, then constant.
struct Dict {
  std::vector<std::pair<Value, Value>> entries;

  const Value* find(std::string_view key) const;
  mutable std::vector<std::uint32_t> by_name;  // entries with text keys, sorted; made when needed
  mutable bool indexed = false;
};

struct Namespace {
  std::vector<std::pair<std::string_view, Value>> entries;

  Value* find(std::string_view key);
};

// A function of the library (perhaps bound to a value), or a macro.
struct Callable {
  const Native* native = nullptr;
  Value self;
  const Stmt* macro = nullptr;  // a macro, or the body of a call block
  Scope* scope = nullptr;       // where it was defined
};

struct Loop {
  const Value* items = nullptr;
  std::size_t size = 0;
  std::size_t index = 0;
  Value changed;  // what loop.changed() was last called with
};

// Variables of a block. Lookups go outwards.
struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<int, Value>> variables;  // by symbol
  bool captured = false;                         // a macro refers to it: may not be reused

  // `scanned` grows by the number of variables looked at: the caller pays for them.
  const Value* find(int symbol, std::int64_t& scanned) const;
  void set(int symbol, const Value& value);
};

// Owns everything made during one render.
class Arena {
 public:
  const Str* str(Str s) { return &strs_.emplace_back(std::move(s)); }
  std::string_view bytes(std::string text) { return bytes_.emplace_back(std::move(text)); }
  const std::string* name(std::string text) { return &bytes_.emplace_back(std::move(text)); }
  Seq* seq(SeqKind kind) {
    Seq& s = seqs_.emplace_back();
    s.kind = kind;
    return &s;
  }
  Dict* dict() { return &dicts_.emplace_back(); }
  Namespace* ns() { return &namespaces_.emplace_back(); }
  Callable* callable() { return &callables_.emplace_back(); }
  Loop* loop() { return &loops_.emplace_back(); }
  Scope* scope(Scope* parent) {
    Scope& s = scopes_.emplace_back();
    s.parent = parent;
    return &s;
  }

 private:
  std::deque<std::string> bytes_;
  std::deque<Str> strs_;
  std::deque<Seq> seqs_;
  std::deque<Dict> dicts_;
  std::deque<Namespace> namespaces_;
  std::deque<Callable> callables_;
  std::deque<Loop> loops_;
  std::deque<Scope> scopes_;
};

}  // namespace hearth::text::jinja

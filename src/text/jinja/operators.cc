#include "text/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/jinja/print.h"

namespace hearth::text::jinja {
namespace {

std::string_view symbol_of(Op op) {
  static constexpr std::string_view kSymbols[] = {
      "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return kSymbols[static_cast<std::size_t>(op)];
}

tl::unexpected<Error> bad_operands(Op op, const Value& a, const Value& b) {
  if (a.is(Kind::kUndefined)) return undefined_error(a);
  if (b.is(Kind::kUndefined)) return undefined_error(b);
  return template_error("unsupported operand types for {}: '{}' and '{}'", symbol_of(op),
                        type_name(a), type_name(b));
}

tl::unexpected<Error> overflow() { return template_error("integer overflow"); }

Result<std::int64_t> int_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  for (;;) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return overflow();
    exponent >>= 1;
    if (exponent == 0) return result;
    if (__builtin_mul_overflow(base, base, &base)) return overflow();
  }
}

Result<Value> int_arithmetic(Op op, std::int64_t a, std::int64_t b, bool trusted) {
  std::int64_t out = 0;
  switch (op) {
    case Op::kAdd:
      if (__builtin_add_overflow(a, b, &out)) return overflow();
      break;
    case Op::kSub:
      if (__builtin_sub_overflow(a, b, &out)) return overflow();
      break;
    case Op::kMul:
      if (__builtin_mul_overflow(a, b, &out)) return overflow();
      break;
    case Op::kDiv:
      if (b == 0) return template_error("division by zero");
      return Value::of_float(
          static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)), trusted);
    case Op::kFloorDiv:
    case Op::kMod: {
      if (b == 0) return template_error("division by zero");
      if (b == -1) {  // INT64_MIN / -1 does not fit
        if (op == Op::kMod) break;
        if (__builtin_sub_overflow(std::int64_t{0}, a, &out)) return overflow();
        break;
      }
      const std::int64_t rest = a % b;
      const bool down = rest != 0 && (rest < 0) != (b < 0);  // Python rounds to -infinity
      out = op == Op::kMod ? rest + (down ? b : 0) : a / b - (down ? 1 : 0);
      break;
    }
    default: {
      if (b >= 0) {
        HEARTH_TRY(out, int_power(a, b));
        break;
      }
      if (a == 0) return template_error("division by zero");
      return Value::of_float(std::pow(static_cast<double>(a), static_cast<double>(b)), trusted);
    }
  }
  return Value::of_int(out, trusted);
}

Result<Value> float_arithmetic(Op op, double a, double b, bool trusted) {
  double out = 0;
  switch (op) {
    case Op::kAdd:
      out = a + b;
      break;
    case Op::kSub:
      out = a - b;
      break;
    case Op::kMul:
      out = a * b;
      break;
    case Op::kDiv:
      if (b == 0) return template_error("division by zero");
      out = a / b;
      break;
    case Op::kFloorDiv:
    case Op::kMod: {
      if (b == 0) return template_error("division by zero");
      double rest = std::fmod(a, b);
      double quotient = (a - rest) / b;
      if (rest != 0) {
        if ((b < 0) != (rest < 0)) {
          rest += b;
          quotient -= 1;
        }
      } else {
        rest = std::copysign(0.0, b);
      }
      if (quotient != 0) {
        const double floored = std::floor(quotient);
        quotient = quotient - floored > 0.5 ? floored + 1 : floored;
      } else {
        quotient = std::copysign(0.0, a / b);
      }
      out = op == Op::kMod ? rest : quotient;
      break;
    }
    default:
      if (a == 0 && b < 0) return template_error("division by zero");
      if (a < 0 && std::isfinite(a) && std::isfinite(b) && std::floor(b) != b) {
        return template_error("the result of ** is not a real number");
      }
      out = std::pow(a, b);
      if (std::isinf(out) && std::isfinite(a) && std::isfinite(b)) {
        return template_error("the result of ** is too large");
      }
  }
  return Value::of_float(out, trusted);
}

Result<Value> repeat(Context& ctx, const Value& value, std::int64_t times) {
  const std::int64_t count = std::max<std::int64_t>(times, 0);
  if (value.is(Kind::kStr)) {
    const Str& s = *value.str;
    TextBuilder out(ctx);
    for (std::int64_t i = 0; i < count && !s.text.empty(); ++i) {
      HEARTH_TRY_VOID(ctx.step());
      out.append(s);
    }
    return out.finish();
  }
  Seq* made = ctx.arena.seq(value.seq->kind);
  const std::vector<Value>& items = value.seq->items;
  for (std::int64_t i = 0; i < count && !items.empty(); ++i) {
    HEARTH_TRY_VOID(ctx.step(static_cast<std::int64_t>(items.size())));
    made->items.insert(made->items.end(), items.begin(), items.end());
  }
  return Value::of_seq(made);
}

bool is_list_or_tuple(const Value& v) {
  return v.is(Kind::kSeq) && (v.seq->kind == SeqKind::kList || v.seq->kind == SeqKind::kTuple);
}

Result<bool> equal_dicts(Context& ctx, const Dict& a, const Dict& b, std::int64_t depth) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    HEARTH_TRY(const Value* other, lookup(ctx, b, key));
    if (other == nullptr) return false;
    HEARTH_TRY(const bool same, equal(ctx, value, *other, depth));
    if (!same) return false;
  }
  return true;
}

}  // namespace

std::string_view type_name(const Value& value) {
  switch (value.kind) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kStr:
      return "str";
    case Kind::kSeq: {
      static constexpr std::string_view kNames[] = {
          "list", "tuple", "range", "dict_keys", "dict_values", "dict_items", "generator"};
      return kNames[static_cast<std::size_t>(value.seq->kind)];
    }
    case Kind::kDict:
      return "dict";
    case Kind::kNamespace:
      return "namespace";
    case Kind::kCallable:
      return "function";
    case Kind::kLoop:
      return "loop";
  }
  return "value";
}

bool truthy(const Value& value) {
  switch (value.kind) {
    case Kind::kBool:
      return value.boolean;
    case Kind::kInt:
      return value.integer != 0;
    case Kind::kFloat:
      return value.real != 0;
    case Kind::kStr:
      return !value.str->text.empty();
    case Kind::kSeq:
      return value.seq->kind == SeqKind::kGenerator || !value.seq->items.empty();
    case Kind::kDict:
      return !value.dict->entries.empty();
    case Kind::kNamespace:
    case Kind::kCallable:
    case Kind::kLoop:
      return true;
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
  }
  return false;
}

tl::unexpected<Error> undefined_error(const Value& value) {
  if (value.hint == nullptr) return template_error("an undefined value is used");
  return template_error("'{}' is undefined", shown(*value.hint));
}

Result<bool> equal(Context& ctx, const Value& a, const Value& b, std::int64_t depth) {
  HEARTH_TRY_VOID(ctx.step());
  HEARTH_TRY_VOID(ctx.check_depth(depth));
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_int() == b.as_int();
    HEARTH_TRY(const std::partial_ordering ordering, order(ctx, a, b));
    return ordering == std::partial_ordering::equivalent;
  }
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::kStr:
      if (a.str->text.size() != b.str->text.size()) return false;
      HEARTH_TRY_VOID(ctx.scan(a.str->text.size()));
      return a.str->text == b.str->text;
    case Kind::kSeq: {
      if (a.seq == b.seq) return true;
      if (a.seq->kind != b.seq->kind || !a.seq->indexable()) return false;
      if (a.seq->items.size() != b.seq->items.size()) return false;
      for (std::size_t i = 0; i < a.seq->items.size(); ++i) {
        HEARTH_TRY(const bool same, equal(ctx, a.seq->items[i], b.seq->items[i], depth + 1));
        if (!same) return false;
      }
      return true;
    }
    case Kind::kDict:
      return a.dict == b.dict ? Result<bool>(true) : equal_dicts(ctx, *a.dict, *b.dict, depth + 1);
    case Kind::kNamespace:
      return a.ns == b.ns;
    case Kind::kCallable:
      return a.callable == b.callable;
    case Kind::kLoop:
      return a.loop == b.loop;
    default:
      return true;  // none, and undefined, equal their like
  }
}

Result<std::partial_ordering> order(Context& ctx, const Value& a, const Value& b,
                                    std::int64_t depth) {
  HEARTH_TRY_VOID(ctx.step());
  HEARTH_TRY_VOID(ctx.check_depth(depth));
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) {
      return std::partial_ordering(a.as_int() <=> b.as_int());
    }
    // long double holds every int64 and every double.
    const auto wide = [](const Value& v) {
      return v.is(Kind::kFloat) ? static_cast<long double>(v.real)
                                : static_cast<long double>(v.as_int());
    };
    return wide(a) <=> wide(b);
  }
  if (a.is(Kind::kStr) && b.is(Kind::kStr)) {
    HEARTH_TRY_VOID(ctx.scan(std::min(a.str->text.size(), b.str->text.size())));
    return std::partial_ordering(a.str->text <=> b.str->text);
  }
  if (is_list_or_tuple(a) && is_list_or_tuple(b) && a.seq->kind == b.seq->kind) {
    const std::vector<Value>& x = a.seq->items;
    const std::vector<Value>& y = b.seq->items;
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      HEARTH_TRY(const bool same, equal(ctx, x[i], y[i], depth + 1));
      if (!same) return order(ctx, x[i], y[i], depth + 1);
    }
    return std::partial_ordering(x.size() <=> y.size());
  }
  return bad_operands(Op::kLt, a, b);
}

Result<bool> contains(Context& ctx, const Value& container, const Value& item) {
  switch (container.kind) {
    case Kind::kUndefined:
      return false;
    case Kind::kStr:
      if (!item.is(Kind::kStr)) return bad_operands(Op::kIn, item, container);
      HEARTH_TRY_VOID(ctx.scan(container.str->text.size()));
      return find_linear(container.str->text, item.str->text, 0) != std::string_view::npos;
    case Kind::kDict: {
      HEARTH_TRY(const Value* found, lookup(ctx, *container.dict, item));
      return found != nullptr;
    }
    case Kind::kSeq: {
      Seq& seq = *container.seq;
      const bool once = seq.kind == SeqKind::kGenerator;
      for (std::size_t i = once ? seq.position : 0; i < seq.items.size(); ++i) {
        if (once) seq.position = i + 1;
        HEARTH_TRY(const bool same, equal(ctx, seq.items[i], item));
        if (same) return true;
      }
      return false;
    }
    default:
      return template_error("'{}' cannot be searched with 'in'", type_name(container));
  }
}

Result<bool> compare(Context& ctx, Op op, const Value& a, const Value& b) {
  switch (op) {
    case Op::kEq:
      return equal(ctx, a, b);
    case Op::kNe: {
      HEARTH_TRY(const bool same, equal(ctx, a, b));
      return !same;
    }
    case Op::kIn:
      return contains(ctx, b, a);
    case Op::kNotIn: {
      HEARTH_TRY(const bool found, contains(ctx, b, a));
      return !found;
    }
    default: {
      HEARTH_TRY(const std::partial_ordering ordering, order(ctx, a, b));
      if (op == Op::kLt) return ordering < 0;
      if (op == Op::kLe) return ordering <= 0;
      return op == Op::kGt ? ordering > 0 : ordering >= 0;
    }
  }
}

Result<Value> arithmetic(Context& ctx, Op op, const Value& a, const Value& b) {
  HEARTH_TRY_VOID(ctx.step());
  if (a.is_number() && b.is_number()) {
    const bool trusted = a.trusted && b.trusted;
    if (a.is_integral() && b.is_integral()) {
      return int_arithmetic(op, a.as_int(), b.as_int(), trusted);
    }
    return float_arithmetic(op, a.as_float(), b.as_float(), trusted);
  }
  if (op == Op::kAdd && a.is(Kind::kStr) && b.is(Kind::kStr)) {
    TextBuilder out(ctx);
    out.append(*a.str);
    out.append(*b.str);
    return out.finish();
  }
  if (op == Op::kAdd && is_list_or_tuple(a) && is_list_or_tuple(b) && a.seq->kind == b.seq->kind) {
    HEARTH_TRY_VOID(ctx.step(static_cast<std::int64_t>(a.seq->items.size() + b.seq->items.size())));
    Seq* sum = ctx.arena.seq(a.seq->kind);
    sum->items = a.seq->items;
    sum->items.insert(sum->items.end(), b.seq->items.begin(), b.seq->items.end());
    return Value::of_seq(sum);
  }
  if (op == Op::kMul) {
    if ((a.is(Kind::kStr) || is_list_or_tuple(a)) && b.is_integral()) {
      return repeat(ctx, a, b.as_int());
    }
    if ((b.is(Kind::kStr) || is_list_or_tuple(b)) && a.is_integral()) {
      return repeat(ctx, b, a.as_int());
    }
  }
  if (op == Op::kMod && a.is(Kind::kStr)) return format_percent(ctx, *a.str, b);
  return bad_operands(op, a, b);
}

Result<Value> negate(const Value& value, bool minus) {
  if (value.is(Kind::kUndefined)) return undefined_error(value);
  if (value.is(Kind::kFloat)) {
    return Value::of_float(minus ? -value.real : value.real, value.trusted);
  }
  if (!value.is_integral()) {
    return template_error("bad operand type for unary {}: '{}'", minus ? '-' : '+',
                          type_name(value));
  }
  std::int64_t out = value.as_int();
  if (minus && __builtin_sub_overflow(std::int64_t{0}, out, &out)) return overflow();
  return Value::of_int(out, value.trusted);
}

}  // namespace hearth::text::jinja

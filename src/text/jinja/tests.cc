// What may follow `is`.
#include "text/jinja/library.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace hearth::text::jinja {
namespace {

template <Kind kKind>
Result<Value> is_kind(Context&, const Value& self, Slots) {
  return Value::of_bool(self.is(kKind));
}

Result<Value> is_defined(Context&, const Value& self, Slots) {
  return Value::of_bool(!self.is(Kind::kUndefined));
}

template <bool kWanted>
Result<Value> is_exactly(Context&, const Value& self, Slots) {
  return Value::of_bool(self.is(Kind::kBool) && self.boolean == kWanted);
}

Result<Value> is_number(Context&, const Value& self, Slots) {
  return Value::of_bool(self.is_number());
}

Result<Value> is_sequence(Context&, const Value& self, Slots) {
  const bool sequence = self.is(Kind::kUndefined) || self.is(Kind::kStr) || self.is(Kind::kDict) ||
                        (self.is(Kind::kSeq) && self.seq->indexable());
  return Value::of_bool(sequence);
}

Result<Value> is_iterable(Context&, const Value& self, Slots) {
  const bool iterable = self.is(Kind::kUndefined) || self.is(Kind::kStr) || self.is(Kind::kDict) ||
                        self.is(Kind::kSeq) || self.is(Kind::kLoop);
  return Value::of_bool(iterable);
}

Result<Value> is_callable(Context&, const Value& self, Slots) {
  return Value::of_bool(self.is(Kind::kCallable) || self.is(Kind::kUndefined) ||
                        self.is(Kind::kLoop));
}

Result<Value> is_divisible(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const Value rest, arithmetic(ctx, Op::kMod, self, slots[0]));
  HEARTH_TRY(const bool zero, equal(ctx, rest, Value::of_int(0)));
  return Value::of_bool(zero);
}

template <bool kOdd>
Result<Value> has_parity(Context& ctx, const Value& self, Slots) {
  HEARTH_TRY(const Value rest, arithmetic(ctx, Op::kMod, self, Value::of_int(2)));
  HEARTH_TRY(const bool match, equal(ctx, rest, Value::of_int(kOdd ? 1 : 0)));
  return Value::of_bool(match);
}

template <Op kOp>
Result<Value> compares(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const bool holds, compare(ctx, kOp, self, slots[0]));
  return Value::of_bool(holds);
}

// Identity, where Python has one object for one value.
Result<Value> is_same(Context& ctx, const Value& self, Slots slots) {
  const Value& other = slots[0];
  if (self.kind != other.kind) return Value::of_bool(false);
  if (self.is(Kind::kDict)) return Value::of_bool(self.dict == other.dict);
  if (self.is(Kind::kSeq)) return Value::of_bool(self.seq == other.seq);
  if (self.is(Kind::kUndefined) || self.is(Kind::kFloat)) return Value::of_bool(false);
  HEARTH_TRY(const bool same, equal(ctx, self, other));
  return Value::of_bool(same);
}

Result<Value> has_case(Context& ctx, const Value& self, std::string_view method_name) {
  HEARTH_TRY(const Str* text, to_text(ctx, self));
  const Value value = Value::of_str(text);
  const Native* method = find_method(value, method_name);
  HEARTH_CHECK(method != nullptr);
  return call_native(ctx, *method, value, {});
}

Result<Value> is_upper_text(Context& ctx, const Value& self, Slots) {
  return has_case(ctx, self, "isupper");
}

Result<Value> is_lower_text(Context& ctx, const Value& self, Slots) {
  return has_case(ctx, self, "islower");
}

Result<Value> is_filter(Context&, const Value& self, Slots) {
  return Value::of_bool(self.is(Kind::kStr) && find_filter(self.str->text) != nullptr);
}

Result<Value> is_test(Context&, const Value& self, Slots) {
  return Value::of_bool(self.is(Kind::kStr) && find_test(self.str->text) != nullptr);
}

constexpr Native kTable[] = {
    {"defined", "", 0, is_defined},
    {"undefined", "", 0, is_kind<Kind::kUndefined>},
    {"none", "", 0, is_kind<Kind::kNone>},
    {"boolean", "", 0, is_kind<Kind::kBool>},
    {"integer", "", 0, is_kind<Kind::kInt>},
    {"float", "", 0, is_kind<Kind::kFloat>},
    {"string", "", 0, is_kind<Kind::kStr>},
    {"mapping", "", 0, is_kind<Kind::kDict>},
    {"true", "", 0, is_exactly<true>},
    {"false", "", 0, is_exactly<false>},
    {"number", "", 0, is_number},
    {"sequence", "", 0, is_sequence},
    {"iterable", "", 0, is_iterable},
    {"callable", "", 0, is_callable},
    {"upper", "", 0, is_upper_text},
    {"lower", "", 0, is_lower_text},
    {"odd", "", 0, has_parity<true>},
    {"even", "", 0, has_parity<false>},
    {"divisibleby", "num", 1, is_divisible},
    {"sameas", "other", 1, is_same},
    {"filter", "", 0, is_filter},
    {"test", "", 0, is_test},
    {"in", "seq", 1, compares<Op::kIn>},
    {"==", "other", 1, compares<Op::kEq>},
    {"eq", "other", 1, compares<Op::kEq>},
    {"equalto", "other", 1, compares<Op::kEq>},
    {"!=", "other", 1, compares<Op::kNe>},
    {"ne", "other", 1, compares<Op::kNe>},
    {">", "other", 1, compares<Op::kGt>},
    {"gt", "other", 1, compares<Op::kGt>},
    {"greaterthan", "other", 1, compares<Op::kGt>},
    {">=", "other", 1, compares<Op::kGe>},
    {"ge", "other", 1, compares<Op::kGe>},
    {"<", "other", 1, compares<Op::kLt>},
    {"lt", "other", 1, compares<Op::kLt>},
    {"lessthan", "other", 1, compares<Op::kLt>},
    {"<=", "other", 1, compares<Op::kLe>},
    {"le", "other", 1, compares<Op::kLe>},
};

}  // namespace

const Native* find_test(std::string_view name) {
  for (const Native& native : kTable) {
    if (native.name == name) return &native;
  }
  return nullptr;
}

}  // namespace hearth::text::jinja

// Filters that make numbers.
#include <charconv>
#include <cmath>

#include "text/jinja/library.h"
#include "text/jinja/operators.h"

namespace hearth::text::jinja {
namespace {

bool both_trusted(const Value& a, const Value& b) { return a.text_trusted() && b.text_trusted(); }

Result<Value> truncated(double d, const Value& self, const Value& fallback) {
  if (!std::isfinite(d)) return fallback;
  d = std::trunc(d);
  if (!(std::fabs(d) < 9.2e18)) return template_error("integer overflow");
  return Value::of_int(static_cast<std::int64_t>(d), self.text_trusted());
}

Result<Value> to_int(Context& ctx, const Value& self, Slots slots) {
  const Value fallback = slots[0].is(Kind::kMissing) ? Value::of_int(0) : slots[0];
  HEARTH_TRY(const std::int64_t base, int_argument(slots[1], 10));
  if (base < 2 || base > 36) return template_error("base must be 2 to 36");
  switch (self.kind) {
    case Kind::kUndefined:
      return undefined_error(self);
    case Kind::kBool:
    case Kind::kInt:
      return Value::of_int(self.as_int(), self.trusted);
    case Kind::kFloat:
      return truncated(self.real, self, fallback);
    case Kind::kStr: {
      HEARTH_TRY_VOID(ctx.scan(self.str->text.size()));
      const auto n = parse_int(self.str->text, static_cast<int>(base));
      if (n) return Value::of_int(*n, both_trusted(self, slots[1]));
      const auto d = parse_float(self.str->text);
      return d ? truncated(*d, self, fallback) : fallback;
    }
    default:
      return fallback;
  }
}

Result<Value> to_float(Context& ctx, const Value& self, Slots slots) {
  const Value fallback = slots[0].is(Kind::kMissing) ? Value::of_float(0) : slots[0];
  if (self.is(Kind::kUndefined)) return undefined_error(self);
  if (self.is_number()) return Value::of_float(self.as_float(), self.trusted);
  if (!self.is(Kind::kStr)) return fallback;
  HEARTH_TRY_VOID(ctx.scan(self.str->text.size()));
  const auto d = parse_float(self.str->text);
  return d ? Value::of_float(*d, self.str->all_trusted()) : fallback;
}

Result<Value> absolute(Context&, const Value& self, Slots) {
  if (self.is(Kind::kUndefined)) return undefined_error(self);
  if (self.is(Kind::kFloat)) return Value::of_float(std::fabs(self.real), self.trusted);
  if (!self.is_integral()) return template_error("abs needs a number, not '{}'", type_name(self));
  return negate(self, self.as_int() < 0);
}

// Python's round(): to even, and exact in decimal, which printing with that many digits is too.
double round_decimal(double d, std::int64_t digits) {
  if (!std::isfinite(d) || digits > 300) return d;
  if (digits < -300) return std::copysign(0.0, d);
  if (digits < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(d / scale) * scale;
  }
  const std::string text = fmt::format("{:.{}f}", d, static_cast<int>(digits));
  double out = d;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

Result<Value> round(Context&, const Value& self, Slots slots) {
  HEARTH_TRY(const std::int64_t digits, int_argument(slots[0], 0));
  std::string_view method = "common";
  if (!slots[1].is(Kind::kMissing)) {
    HEARTH_TRY(const Str* name, str_argument(slots[1], "method"));
    method = name->text;
  }
  if (method != "common" && method != "ceil" && method != "floor") {
    return template_error("method must be common, ceil or floor");
  }
  if (self.is(Kind::kUndefined)) return undefined_error(self);
  if (!self.is_number()) return template_error("round needs a number, not '{}'", type_name(self));
  if (method == "common") {
    if (self.is(Kind::kFloat))
      return Value::of_float(round_decimal(self.real, digits), self.trusted);
    if (digits >= 0) return Value::of_int(self.as_int(), self.trusted);
    const double rounded = round_decimal(self.as_float(), digits);
    return truncated(rounded, self, self);
  }
  if (digits < -300 || digits > 300) return template_error("too many digits");
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = self.as_float() * scale;
  if (!std::isfinite(scaled)) return template_error("number too large to round");
  const double whole = method == "ceil" ? std::ceil(scaled) : std::floor(scaled);
  return Value::of_float(whole / scale, self.trusted);
}

constexpr Native kTable[] = {
    {"int", "default base", 0, to_int},
    {"float", "default", 0, to_float},
    {"abs", "", 0, absolute},
    {"round", "precision method", 0, round},
};

}  // namespace

std::span<const Native> number_filters() { return kTable; }

}  // namespace hearth::text::jinja

#include "text/jinja/library.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "text/jinja/operators.h"

namespace hearth::text::jinja {
namespace {

constexpr std::size_t kParamsMax = 6;

const Native* find_in(std::span<const Native> table, std::string_view name) {
  for (const Native& native : table) {
    if (native.name == name) return &native;
  }
  return nullptr;
}

// Digits with single underscores between them removed; nullopt where Python would not take them.
std::optional<std::string> plain_number(std::string_view text) {
  const ByteRange inner = strip_space(text, true, true);
  text = text.substr(inner.from, inner.to - inner.from);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const auto is_word = [&](std::size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
    };
    if (i == 0 || !is_word(i - 1) || !is_word(i + 1)) return std::nullopt;
  }
  if (out.empty()) return std::nullopt;
  return out;
}

}  // namespace

Result<Value> call_native(Context& ctx, const Native& native, const Value& self, const Args& args) {
  HEARTH_TRY_VOID(ctx.step());
  if (native.run_any != nullptr) return native.run_any(ctx, self, args);
  std::array<Value, kParamsMax> slots;
  std::array<std::string_view, kParamsMax> names;
  std::size_t count = 0;
  const bool by_order = native.params.starts_with("/ ");
  if (by_order && !args.named.empty()) {
    return template_error("{}() takes no arguments by name", native.name);
  }
  for (std::string_view rest = native.params.substr(by_order ? 2 : 0); !rest.empty();) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    names[count++] = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (args.positional.size() > count) {
    return template_error("{}() takes at most {} arguments, {} given", native.name, count,
                          args.positional.size());
  }
  std::copy(args.positional.begin(), args.positional.end(), slots.begin());
  for (const auto& [name, value] : args.named) {
    const auto* const at = std::find(names.begin(), names.begin() + count, name);
    const auto index = static_cast<std::size_t>(at - names.begin());
    if (index == count) {
      return template_error("{}() has no argument '{}'", native.name, shown(name));
    }
    if (!slots[index].is(Kind::kMissing)) {
      return template_error("{}() got argument '{}' twice", native.name, name);
    }
    slots[index] = value;
  }
  for (std::size_t i = 0; i < native.required; ++i) {
    if (slots[i].is(Kind::kMissing)) {
      return template_error("{}() misses argument '{}'", native.name, names[i]);
    }
  }
  return native.run(ctx, self, Slots(slots).first(count));
}

const Native* find_filter(std::string_view name) {
  for (const auto& table : {text_filters(), sequence_filters(), number_filters()}) {
    if (const Native* found = find_in(table, name)) return found;
  }
  return nullptr;
}

Result<std::int64_t> int_argument(const Value& value, std::int64_t fallback) {
  if (value.is(Kind::kMissing)) return fallback;
  if (value.is(Kind::kUndefined)) return undefined_error(value);
  if (!value.is_integral())
    return template_error("expected an integer, got '{}'", type_name(value));
  return value.as_int();
}

Result<const Str*> str_argument(const Value& value, std::string_view what) {
  if (value.is(Kind::kStr)) return value.str;
  return template_error("{} must be text, not '{}'", what, type_name(value));
}

bool bool_argument(const Value& value, bool fallback) {
  return value.is(Kind::kMissing) ? fallback : truthy(value);
}

Result<Value> attribute_path(Context& ctx, const Value& object, const Value& path,
                             const Value& fallback) {
  if (path.is(Kind::kMissing) || path.is(Kind::kNone)) return object;
  const auto or_fallback = [&](const Value& v) {
    return v.is(Kind::kUndefined) && !fallback.is(Kind::kMissing) ? fallback : v;
  };
  Value at = object;
  if (!path.is(Kind::kStr)) {
    HEARTH_TRY(at, item(ctx, object, path));
    return or_fallback(at);
  }
  std::string_view rest = path.str->text;
  for (;;) {
    const std::size_t end = std::min(rest.find('.'), rest.size());
    const std::string_view part = rest.substr(0, end);
    std::int64_t index = 0;
    const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool number = error == std::errc() && stop == part.data() + part.size() && index >= 0 &&
                        !part.empty() && part[0] != '-';
    const Value key =
        number ? Value::of_int(index) : Value::of_str(ctx.arena.str({part, false, {}}));
    HEARTH_TRY(at, item(ctx, at, key));
    at = or_fallback(at);
    if (end == rest.size()) return at;
    rest.remove_prefix(end + 1);
  }
}

std::optional<std::int64_t> parse_int(std::string_view text, int base) {
  const std::optional<std::string> plain = plain_number(text);
  if (!plain) return std::nullopt;
  std::string_view rest = *plain;
  const bool negative = rest[0] == '-';
  if (negative || rest[0] == '+') rest.remove_prefix(1);
  if (rest.size() > 2 && rest[0] == '0') {
    const char prefix = static_cast<char>(rest[1] | 0x20);
    if ((prefix == 'x' && base == 16) || (prefix == 'o' && base == 8) ||
        (prefix == 'b' && base == 2)) {
      rest.remove_prefix(2);
    }
  }
  if (rest.empty() || rest[0] == '-') return std::nullopt;
  const std::string digits = (negative ? "-" : "") + std::string(rest);
  std::int64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_float(std::string_view text) {
  const std::optional<std::string> plain = plain_number(text);
  if (!plain) return std::nullopt;
  std::string_view rest = *plain;
  if (rest[0] == '+') {
    rest.remove_prefix(1);
    if (!rest.empty() && rest[0] == '-') return std::nullopt;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (rest.empty() || end != rest.data() + rest.size() ||
      rest.find('(') != std::string_view::npos) {
    return std::nullopt;
  }
  if (error == std::errc::result_out_of_range) {
    return std::strtod(std::string(rest).c_str(), nullptr);  // infinite, or as good as zero
  }
  return value;
}

}  // namespace hearth::text::jinja

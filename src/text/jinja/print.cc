#include "text/jinja/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja/operators.h"

namespace hearth::text::jinja {
namespace {

Status print_quoted(Context& ctx, const Str& s, TextBuilder& out) {
  HEARTH_TRY_VOID(ctx.scan(s.text.size()));
  const bool single = s.text.find('\'') != std::string_view::npos;
  const bool doubled = s.text.find('"') != std::string_view::npos;
  const char quote = single && !doubled ? '"' : '\'';
  const std::string_view mark(&quote, 1);
  out.append(mark, s.all_trusted());
  std::size_t plain = 0;  // start of the bytes not yet copied
  for (std::size_t at = 0; at < s.text.size();) {
    const CodePoint point = decode(s.text, at);
    const std::size_t next = at + point.bytes;
    std::string escaped;
    if (point.value == quote || point.value == '\\') {
      escaped = {'\\', s.text[at]};
    } else if (point.value == '\n') {
      escaped = "\\n";
    } else if (point.value == '\r') {
      escaped = "\\r";
    } else if (point.value == '\t') {
      escaped = "\\t";
    } else if (!is_printable(point.value)) {
      const auto value = point.value < 0 ? static_cast<unsigned char>(s.text[at])
                                         : static_cast<unsigned>(point.value);
      escaped = value < 0x100     ? fmt::format("\\x{:02x}", value)
                : value < 0x10000 ? fmt::format("\\u{:04x}", value)
                                  : fmt::format("\\U{:08x}", value);
    }
    if (!escaped.empty()) {
      out.append(s, plain, at);
      out.append(escaped, s.trusted_range(at, next));
      plain = next;
    }
    at = next;
  }
  out.append(s, plain, s.text.size());
  out.append(mark, s.all_trusted());
  return {};
}

Status print_sequence(Context& ctx, const Seq& seq, TextBuilder& out, std::int64_t depth) {
  const bool tuple = seq.kind == SeqKind::kTuple;
  out.append(tuple ? "(" : "[", false);
  bool first = true;
  for (const Value& value : seq.items) {
    if (!first) out.append(", ", false);
    first = false;
    HEARTH_TRY_VOID(print_repr(ctx, value, out, depth + 1));
  }
  if (tuple && seq.items.size() == 1) out.append(",", false);
  out.append(tuple ? ")" : "]", false);
  return {};
}

template <class Entries, class PrintKey>
Status print_entries(Context& ctx, const Entries& entries, TextBuilder& out, std::int64_t depth,
                     const PrintKey& print_key) {
  out.append("{", false);
  bool first = true;
  for (const auto& [key, value] : entries) {
    if (!first) out.append(", ", false);
    first = false;
    HEARTH_TRY_VOID(print_key(key));
    out.append(": ", false);
    HEARTH_TRY_VOID(print_repr(ctx, value, out, depth + 1));
  }
  out.append("}", false);
  return {};
}

void append_json_escape(std::string& out, std::int32_t c, bool ensure_ascii) {
  switch (c) {
    case '"':
      out = "\\\"";
      return;
    case '\\':
      out = "\\\\";
      return;
    case '\n':
      out = "\\n";
      return;
    case '\r':
      out = "\\r";
      return;
    case '\t':
      out = "\\t";
      return;
    case '\b':
      out = "\\b";
      return;
    case '\f':
      out = "\\f";
      return;
    default:
      break;
  }
  if (c >= 0x20 && (c < 0x7f || !ensure_ascii)) return;
  if (c == 0x7f && !ensure_ascii) return;
  if (c >= 0x10000) {
    const int rest = c - 0x10000;
    out = fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
  } else {
    out = fmt::format("\\u{:04x}", std::max(c, 0));
  }
}

Status json_string(Context& ctx, const Str& s, bool ensure_ascii, TextBuilder& out) {
  HEARTH_TRY_VOID(ctx.scan(s.text.size()));
  out.append("\"", s.all_trusted());
  std::size_t plain = 0;
  std::string escaped;
  for (std::size_t at = 0; at < s.text.size();) {
    const CodePoint point = decode(s.text, at);
    const std::size_t next = at + point.bytes;
    escaped.clear();
    append_json_escape(escaped, point.value, ensure_ascii);
    if (!escaped.empty()) {
      out.append(s, plain, at);
      out.append(escaped, s.trusted_range(at, next));
      plain = next;
    }
    at = next;
  }
  out.append(s, plain, s.text.size());
  out.append("\"", s.all_trusted());
  return {};
}

std::string json_float(double d) {
  if (std::isnan(d)) return "NaN";
  if (std::isinf(d)) return d > 0 ? "Infinity" : "-Infinity";
  return float_repr(d);
}

Result<std::string> json_key(const Value& key) {
  switch (key.kind) {
    case Kind::kBool:
      return std::string(key.boolean ? "true" : "false");
    case Kind::kNone:
      return std::string("null");
    case Kind::kInt:
      return fmt::format("{}", key.integer);
    case Kind::kFloat:
      return json_float(key.real);
    default:
      return template_error("JSON keys must be text or numbers, not '{}'", type_name(key));
  }
}

// Line break and indentation of one level, or nothing.
void json_break(const JsonStyle& style, std::int64_t depth, TextBuilder& out) {
  if (!style.indent) return;
  out.append("\n", false);
  out.repeat(*style.indent, static_cast<std::size_t>(depth), false);
}

Status json_dict(Context& ctx, const Dict& dict, const JsonStyle& style, TextBuilder& out,
                 std::int64_t depth) {
  if (dict.entries.empty()) {
    out.append("{}", false);
    return {};
  }
  std::vector<const std::pair<Value, Value>*> entries;
  for (const auto& entry : dict.entries) entries.push_back(&entry);
  if (style.sort_keys) {
    const auto all_text = [](const auto* e) { return e->first.is(Kind::kStr); };
    if (!std::all_of(entries.begin(), entries.end(), all_text)) {
      return template_error("only text keys can be sorted");
    }
    HEARTH_TRY_VOID(ctx.step(static_cast<std::int64_t>(entries.size()) * 16));
    std::sort(entries.begin(), entries.end(),
              [](const auto* a, const auto* b) { return a->first.str->text < b->first.str->text; });
  }
  out.append("{", false);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out.append(style.item_separator, false);
    json_break(style, depth + 1, out);
    const auto& [key, value] = *entries[i];
    if (key.is(Kind::kStr)) {
      HEARTH_TRY_VOID(json_string(ctx, *key.str, style.ensure_ascii, out));
    } else {
      HEARTH_TRY(const std::string text, json_key(key));
      out.append("\"" + text + "\"", key.trusted);
    }
    out.append(style.key_separator, false);
    HEARTH_TRY_VOID(print_json(ctx, value, style, out, depth + 1));
  }
  json_break(style, depth, out);
  out.append("}", false);
  return {};
}

Status json_list(Context& ctx, const Seq& seq, const JsonStyle& style, TextBuilder& out,
                 std::int64_t depth) {
  if (seq.items.empty()) {
    out.append("[]", false);
    return {};
  }
  out.append("[", false);
  for (std::size_t i = 0; i < seq.items.size(); ++i) {
    if (i > 0) out.append(style.item_separator, false);
    json_break(style, depth + 1, out);
    HEARTH_TRY_VOID(print_json(ctx, seq.items[i], style, out, depth + 1));
  }
  json_break(style, depth, out);
  out.append("]", false);
  return {};
}

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto [end, error] =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  HEARTH_CHECK(error == std::errc());
  std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  std::string out;
  if (text.front() == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const std::size_t e = text.find('e');
  int exponent = 0;
  const char* first = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(first, text.data() + text.size(), exponent);
  std::string digits(text.substr(0, e));
  std::erase(digits, '.');
  if (exponent < -4 || exponent >= 16) {  // Python's bounds for plain notation
    out += digits[0];
    if (digits.size() > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) {
    return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  }
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

Status print(Context& ctx, const Value& value, TextBuilder& out) {
  if (value.is(Kind::kUndefined)) return {};
  if (value.is(Kind::kStr)) {
    out.append(*value.str);
    return {};
  }
  return print_repr(ctx, value, out);
}

Status print_repr(Context& ctx, const Value& value, TextBuilder& out, std::int64_t depth) {
  HEARTH_TRY_VOID(ctx.step());
  HEARTH_TRY_VOID(ctx.check_depth(depth));
  switch (value.kind) {
    case Kind::kMissing:
    case Kind::kUndefined:
      out.append("Undefined", true);
      return {};
    case Kind::kNone:
      out.append("None", value.trusted);
      return {};
    case Kind::kBool:
      out.append(value.boolean ? "True" : "False", value.trusted);
      return {};
    case Kind::kInt:
      out.append(fmt::format("{}", value.integer), value.trusted);
      return {};
    case Kind::kFloat:
      out.append(float_repr(value.real), value.trusted);
      return {};
    case Kind::kStr:
      return print_quoted(ctx, *value.str, out);
    case Kind::kSeq: {
      const Seq& seq = *value.seq;
      if (seq.kind == SeqKind::kRange) {
        out.append(seq.step == 1 ? fmt::format("range({}, {})", seq.start, seq.stop)
                                 : fmt::format("range({}, {}, {})", seq.start, seq.stop, seq.step),
                   false);
        return {};
      }
      if (seq.kind == SeqKind::kGenerator) {
        out.append("<generator>", true);
        return {};
      }
      const bool view = seq.kind != SeqKind::kList && seq.kind != SeqKind::kTuple;
      if (view) out.append(fmt::format("{}(", type_name(value)), false);
      HEARTH_TRY_VOID(print_sequence(ctx, seq, out, depth));
      if (view) out.append(")", false);
      return {};
    }
    case Kind::kDict:
      return print_entries(ctx, value.dict->entries, out, depth,
                           [&](const Value& key) { return print_repr(ctx, key, out, depth + 1); });
    case Kind::kNamespace: {
      out.append("<Namespace ", true);
      HEARTH_TRY_VOID(print_entries(ctx, value.ns->entries, out, depth, [&](std::string_view key) {
        out.append(fmt::format("'{}'", key), false);
        return Status();
      }));
      out.append(">", true);
      return {};
    }
    case Kind::kCallable:
      out.append("<function>", true);
      return {};
    case Kind::kLoop:
      out.append(fmt::format("<LoopContext {}/{}>", value.loop->index + 1, value.loop->size), true);
      return {};
  }
  return {};
}

Result<const Str*> to_text(Context& ctx, const Value& value) {
  if (value.is(Kind::kStr)) return value.str;
  TextBuilder out(ctx);
  HEARTH_TRY_VOID(print(ctx, value, out));
  HEARTH_TRY(const Value text, out.finish());
  return text.str;
}

Status print_json(Context& ctx, const Value& value, const JsonStyle& style, TextBuilder& out,
                  std::int64_t depth) {
  HEARTH_TRY_VOID(ctx.step());
  HEARTH_TRY_VOID(ctx.check_depth(depth));
  switch (value.kind) {
    case Kind::kNone:
      out.append("null", value.trusted);
      return {};
    case Kind::kBool:
      out.append(value.boolean ? "true" : "false", value.trusted);
      return {};
    case Kind::kInt:
      out.append(fmt::format("{}", value.integer), value.trusted);
      return {};
    case Kind::kFloat:
      out.append(json_float(value.real), value.trusted);
      return {};
    case Kind::kStr:
      return json_string(ctx, *value.str, style.ensure_ascii, out);
    case Kind::kDict:
      return json_dict(ctx, *value.dict, style, out, depth);
    case Kind::kSeq:
      if (value.seq->kind == SeqKind::kList || value.seq->kind == SeqKind::kTuple) {
        return json_list(ctx, *value.seq, style, out, depth);
      }
      [[fallthrough]];
    default:
      return template_error("object of type '{}' is not JSON serializable", type_name(value));
  }
}

}  // namespace hearth::text::jinja

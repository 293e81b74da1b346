// Filters that make text.
#include <algorithm>

#include "text/jinja/library.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace hearth::text::jinja {
namespace {

constexpr std::int64_t kIndentMax = 10'000;

// Calls a method of str on whatever the value prints as.
template <const char* kName>
Result<Value> by_method(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const Str* text, to_text(ctx, self));
  const Value value = Value::of_str(text);
  const Native* method = find_method(value, kName);
  HEARTH_CHECK(method != nullptr);
  Args args;
  for (const Value& slot : slots) {
    if (!slot.is(Kind::kMissing)) args.positional.push_back(slot);
  }
  return call_native(ctx, *method, value, args);
}

constexpr char kUpper[] = "upper";
constexpr char kLower[] = "lower";
constexpr char kCapitalize[] = "capitalize";
constexpr char kStrip[] = "strip";
constexpr char kCenter[] = "center";

// Jinja2's own: words begin after white space, hyphens and opening brackets.
Result<Value> title(Context& ctx, const Value& self, Slots) {
  HEARTH_TRY(const Str* text, to_text(ctx, self));
  HEARTH_TRY_VOID(ctx.step(static_cast<std::int64_t>(text->text.size() / 8)));
  TextBuilder out(ctx);
  bool begins = true;
  for (std::size_t at = 0; at < text->text.size();) {
    const CodePoint point = decode(text->text, at);
    const bool trusted = text->trusted_range(at, at + point.bytes);
    if (point.value < 0) {
      out.append(*text, at, at + point.bytes);
    } else {
      out.append(begins ? to_upper(point.value) : to_lower(point.value), trusted);
    }
    const std::string_view openers = "-({[<";
    begins = is_space(point.value) ||
             (point.value > 0 && point.value < 0x80 &&
              openers.find(static_cast<char>(point.value)) != std::string_view::npos);
    at += point.bytes;
  }
  return out.finish();
}

Result<Value> join(Context& ctx, const Value& self, Slots slots) {
  const Str empty;
  const Str* separator = &empty;
  if (!slots[0].is(Kind::kMissing)) {
    HEARTH_TRY(separator, to_text(ctx, slots[0]));
  }
  HEARTH_TRY(const std::span<const Value> items, iterate(ctx, self));
  TextBuilder out(ctx);
  bool first = true;
  for (const Value& value : items) {
    if (!first) out.append(*separator);
    first = false;
    HEARTH_TRY(const Value part, attribute_path(ctx, value, slots[1]));
    HEARTH_TRY_VOID(print(ctx, part, out));
  }
  return out.finish();
}

Result<Value> replace(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const Str* text, to_text(ctx, self));
  HEARTH_TRY(const Str* from, to_text(ctx, slots[0]));
  HEARTH_TRY(const Str* to, to_text(ctx, slots[1]));
  std::int64_t count = -1;
  if (!slots[2].is(Kind::kNone)) {
    HEARTH_TRY(count, int_argument(slots[2], -1));
  }
  return replace_text(ctx, *text, *from, *to, count);
}

Result<Value> string(Context& ctx, const Value& self, Slots) {
  HEARTH_TRY(const Str* text, to_text(ctx, self));
  return Value::of_str(text);
}

// As transformers overrides it: json.dumps, nothing escaped for HTML.
Result<Value> tojson(Context& ctx, const Value& self, Slots slots) {
  JsonStyle style;
  style.ensure_ascii = bool_argument(slots[0], false);
  const Value& indent = slots[1];
  if (indent.is_integral()) {
    const std::int64_t width = std::max<std::int64_t>(indent.as_int(), 0);
    if (width > kIndentMax) return budget_error("indentation is at most {}", kIndentMax);
    style.indent = std::string(static_cast<std::size_t>(width), ' ');
  } else if (indent.is(Kind::kStr)) {
    style.indent = indent.str->text;
  } else if (!indent.is(Kind::kMissing) && !indent.is(Kind::kNone)) {
    return template_error("indent must be a number or text");
  }
  if (style.indent) style.item_separator = ",";
  const Value& separators = slots[2];
  if (!separators.is(Kind::kMissing) && !separators.is(Kind::kNone)) {
    HEARTH_TRY(const std::span<const Value> parts, iterate(ctx, separators));
    if (parts.size() != 2 || !parts[0].is(Kind::kStr) || !parts[1].is(Kind::kStr)) {
      return template_error("separators must be two texts");
    }
    style.item_separator = parts[0].str->text;
    style.key_separator = parts[1].str->text;
  }
  style.sort_keys = bool_argument(slots[3], false);
  TextBuilder out(ctx);
  HEARTH_TRY_VOID(print_json(ctx, self, style, out));
  return out.finish();
}

Result<Value> indent(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const Str* text, str_argument(self, "what is indented"));
  std::string margin;
  bool margin_trusted = true;
  if (slots[0].is(Kind::kStr)) {
    margin = slots[0].str->text;
    margin_trusted = slots[0].str->all_trusted();
  } else {
    HEARTH_TRY(const std::int64_t width, int_argument(slots[0], 4));
    if (width > kIndentMax) return budget_error("indentation is at most {}", kIndentMax);
    margin.assign(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
  }
  const bool first = bool_argument(slots[1], false);
  const bool blank = bool_argument(slots[2], false);
  // Where the lines of a user's text end is the user's doing.
  const bool newline_trusted = text->all_trusted();
  margin_trusted = margin_trusted && newline_trusted;
  HEARTH_TRY_VOID(ctx.scan(text->text.size()));
  TextBuilder out(ctx);
  const std::string_view all = text->text;
  bool is_first = true;
  // One line end is added before the text is cut: it stands for the last line's own.
  for (std::size_t start = 0; start <= all.size();) {
    HEARTH_TRY_VOID(ctx.step());
    std::size_t end = start;
    std::size_t next = all.size() + 1;
    while (end < all.size()) {
      const CodePoint point = decode(all, end);
      if (is_line_end(point.value)) {
        next = end + point.bytes;
        const bool crlf = point.value == '\r' && next < all.size() && all[next] == '\n';
        if (crlf) ++next;
        if (point.value == '\r' && next == all.size() && !crlf) ++next;  // "\r" + the added "\n"
        break;
      }
      end += point.bytes;
    }
    if (!is_first) out.append("\n", newline_trusted);
    if (is_first ? first : (blank || end > start)) out.append(margin, margin_trusted);
    out.append(*text, start, end);
    is_first = false;
    start = next;
  }
  return out.finish();
}

Result<Value> escape(Context& ctx, const Value& self, Slots) {
  HEARTH_TRY(const Str* text, to_text(ctx, self));
  HEARTH_TRY_VOID(ctx.scan(text->text.size()));
  TextBuilder out(ctx);
  std::size_t plain = 0;
  for (std::size_t at = 0; at < text->text.size(); ++at) {
    std::string_view entity;
    switch (text->text[at]) {
      case '&':
        entity = "&amp;";
        break;
      case '<':
        entity = "&lt;";
        break;
      case '>':
        entity = "&gt;";
        break;
      case '"':
        entity = "&#34;";
        break;
      case '\'':
        entity = "&#39;";
        break;
      default:
        continue;
    }
    out.append(*text, plain, at);
    out.append(entity, text->trusted_range(at, at + 1));
    plain = at + 1;
  }
  out.append(*text, plain, text->text.size());
  return out.finish();
}

Result<Value> format(Context& ctx, const Value& self, const Args& args) {
  HEARTH_TRY(const Str* text, to_text(ctx, self));
  if (!args.positional.empty() && !args.named.empty()) {
    return template_error("format takes values by order or by name, not both");
  }
  if (!args.named.empty()) {
    Dict* dict = ctx.arena.dict();
    for (const auto& [name, value] : args.named) {
      dict->entries.emplace_back(ctx.name(name), value);
    }
    return format_percent(ctx, *text, Value::of_dict(dict));
  }
  Seq* tuple = ctx.arena.seq(SeqKind::kTuple);
  tuple->items = args.positional;
  return format_percent(ctx, *text, Value::of_seq(tuple));
}

Result<Value> wordcount(Context& ctx, const Value& self, Slots) {
  HEARTH_TRY(const Str* text, to_text(ctx, self));
  HEARTH_TRY_VOID(ctx.scan(text->text.size()));
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text->text.size();) {
    const CodePoint point = decode(text->text, at);
    const bool word = is_alpha(point.value) || is_digit(point.value) || point.value == '_';
    if (word && !inside) ++words;
    inside = word;
    at += point.bytes;
  }
  return Value::of_int(words, text->all_trusted());
}

constexpr Native kTable[] = {
    {"upper", "", 0, by_method<kUpper>},
    {"lower", "", 0, by_method<kLower>},
    {"capitalize", "", 0, by_method<kCapitalize>},
    {"title", "", 0, title},
    {"trim", "chars", 0, by_method<kStrip>},
    {"center", "width", 0, by_method<kCenter>},
    {"join", "d attribute", 0, join},
    {"replace", "old new count", 2, replace},
    {"string", "", 0, string},
    {"safe", "", 0, string},
    {"tojson", "ensure_ascii indent separators sort_keys", 0, tojson},
    {"indent", "width first blank", 0, indent},
    {"escape", "", 0, escape},
    {"e", "", 0, escape},
    {"format", "", 0, nullptr, format},
    {"wordcount", "", 0, wordcount},
};

}  // namespace

std::span<const Native> text_filters() { return kTable; }

}  // namespace hearth::text::jinja

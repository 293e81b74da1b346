// Values as text: what {{ }} prints, Python's repr inside containers, and JSON.
#pragma once

#include <optional>
#include <string>

#include "text/jinja/context.h"

namespace hearth::text::jinja {

// As Python's str(); undefined is empty.
Status print(Context& ctx, const Value& value, TextBuilder& out);
Status print_repr(Context& ctx, const Value& value, TextBuilder& out, std::int64_t depth = 0);
// The value itself if it is text, else what it prints.
Result<const Str*> to_text(Context& ctx, const Value& value);
std::string float_repr(double value);

struct JsonStyle {
  std::optional<std::string> indent;  // of one level
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ensure_ascii = false;
  bool sort_keys = false;
};
// As Python's json.dumps.
Status print_json(Context& ctx, const Value& value, const JsonStyle& style, TextBuilder& out,
                  std::int64_t depth = 0);

// '%s' % args, and the format filter.
Result<Value> format_percent(Context& ctx, const Str& format, const Value& args);
// str.format: fields {} {0} {name}, !r and !s, alignment, width, precision; no attributes.
struct Args;
Result<Value> format_braces(Context& ctx, const Str& format, const Args& args);

}  // namespace hearth::text::jinja

// Tables of what templates can call: filters, tests, methods and global functions.
#pragma once

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/context.h"

namespace hearth::text::jinja {

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

// Arguments in the order of the parameters; kMissing where not given.
using Slots = std::span<const Value>;

struct Native {
  std::string_view name;
  std::string_view params;   // names divided by spaces; "/ " in front: not to be given by name
  std::size_t required = 0;  // how many of them must be given
  Result<Value> (*run)(Context&, const Value& self, Slots) = nullptr;
  // Instead of run: takes the arguments as they are.
  Result<Value> (*run_any)(Context&, const Value& self, const Args&) = nullptr;
};

Result<Value> call_native(Context& ctx, const Native& native, const Value& self, const Args& args);

const Native* find_filter(std::string_view name);
const Native* find_test(std::string_view name);  // these give booleans
const Native* find_function(std::string_view name);
const Native* find_method(const Value& self, std::string_view name);
const Native* strftime_now_function();
const Native* find_loop_method(std::string_view name);

// The parts of the tables, by file.
std::span<const Native> text_filters();
std::span<const Native> sequence_filters();
std::span<const Native> number_filters();
std::span<const Native> string_methods();

// Helpers shared by them.
Result<std::int64_t> int_argument(const Value& value, std::int64_t fallback);
Result<const Str*> str_argument(const Value& value, std::string_view what);
bool bool_argument(const Value& value, bool fallback);
// obj.a.b or obj.0, as the attribute arguments of map, sort and others have it.
// Undefined parts become `fallback` where there is one.
Result<Value> attribute_path(Context& ctx, const Value& object, const Value& path,
                             const Value& fallback = {});
// Python's int() and float() of text.
std::optional<std::int64_t> parse_int(std::string_view text, int base);
std::optional<double> parse_float(std::string_view text);
// Replaces as str.replace does; at most `count` times unless negative.
Result<Value> replace_text(Context& ctx, const Str& text, const Str& from, const Str& to,
                           std::int64_t count);

}  // namespace hearth::text::jinja

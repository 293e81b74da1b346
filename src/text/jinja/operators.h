// What Python's operators do to values: truth, equality, order, arithmetic, access, iteration.
#pragma once

#include <compare>
#include <optional>
#include <span>

#include "text/jinja/ast.h"
#include "text/jinja/context.h"

namespace hearth::text::jinja {

std::string_view type_name(const Value& value);  // Python's name of the type, for messages
bool truthy(const Value& value);
// The error of using an undefined value.
tl::unexpected<Error> undefined_error(const Value& value);

Result<bool> equal(Context& ctx, const Value& a, const Value& b, std::int64_t depth = 0);
// Errors where Python has a TypeError; unordered for NaN.
Result<std::partial_ordering> order(Context& ctx, const Value& a, const Value& b,
                                    std::int64_t depth = 0);
Result<bool> contains(Context& ctx, const Value& container, const Value& item);
Result<bool> compare(Context& ctx, Op op, const Value& a, const Value& b);
Result<Value> arithmetic(Context& ctx, Op op, const Value& a, const Value& b);
Result<Value> negate(const Value& value, bool minus);

// Elements of anything that can be iterated; what is left of generators, which end by it.
Result<std::span<const Value>> iterate(Context& ctx, const Value& value);
// Elements in a new sequence of the given kind.
Result<Seq*> collect(Context& ctx, const Value& value, SeqKind kind);

// obj.name: methods come before keys, as in Jinja2.
Result<Value> attribute(Context& ctx, const Value& object, const std::string& name);
Result<Value> item(Context& ctx, const Value& object, const Value& key);
struct SliceBounds {
  Value start, stop, step;  // kMissing or kNone: left out
};
Result<Value> slice(Context& ctx, const Value& object, const SliceBounds& bounds);

// The value under a key, or null; errors for keys that cannot be hashed.
Result<const Value*> lookup(Context& ctx, const Dict& dict, const Value& key);
// Sets a key while a dict is being built.
Status insert(Context& ctx, Dict& dict, const Value& key, const Value& value);
bool hashable(const Value& value, int depth = 0);

// Length as Python's len() has it; nullopt: the value has none.
std::optional<std::int64_t> length(const Value& value);

}  // namespace hearth::text::jinja

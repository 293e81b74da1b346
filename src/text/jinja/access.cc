// Reaching into values: attributes, subscripts, slices, iteration.
#include <algorithm>
#include <limits>

#include "text/jinja/library.h"
#include "text/jinja/operators.h"

namespace hearth::text::jinja {
namespace {

Value bound(Context& ctx, const Native* native, const Value& self) {
  Callable* callable = ctx.arena.callable();
  callable->native = native;
  callable->self = self;
  return Value::of_callable(callable);
}

Value count_of(std::size_t n) { return Value::of_int(static_cast<std::int64_t>(n)); }

Value loop_attribute(Context& ctx, const Value& self, const std::string& name) {
  const Loop& loop = *self.loop;
  if (name == "index") return count_of(loop.index + 1);
  if (name == "index0") return count_of(loop.index);
  if (name == "revindex") return count_of(loop.size - loop.index);
  if (name == "revindex0") return count_of(loop.size - loop.index - 1);
  if (name == "first") return Value::of_bool(loop.index == 0);
  if (name == "last") return Value::of_bool(loop.index + 1 == loop.size);
  if (name == "length") return count_of(loop.size);
  if (name == "depth") return Value::of_int(1);  // loops are never recursive
  if (name == "depth0") return Value::of_int(0);
  if (name == "previtem" && loop.index > 0) return loop.items[loop.index - 1];
  if (name == "nextitem" && loop.index + 1 < loop.size) return loop.items[loop.index + 1];
  if (const Native* native = find_loop_method(name)) return bound(ctx, native, self);
  return Value::undefined(&name);
}

// Methods of dicts that would change them: sandboxed templates see nothing there, not even a key.
bool changes_dict(std::string_view name) {
  return name == "clear" || name == "pop" || name == "popitem" || name == "setdefault" ||
         name == "update" || name == "fromkeys";
}

struct Range {
  std::int64_t start, stop, step, count;
};

// Python's slice.indices().
Result<Range> slice_range(const SliceBounds& bounds, std::int64_t size) {
  const auto given = [](const Value& v) { return v.is_integral(); };
  const std::int64_t step = given(bounds.step) ? bounds.step.as_int() : 1;
  if (step == 0) return template_error("slice step cannot be zero");
  const bool down = step < 0;
  const auto clamp = [&](const Value& v, std::int64_t fallback) {
    if (!given(v)) return fallback;
    std::int64_t i = v.as_int();
    if (i < 0) i = i < -size ? -1 : i + size;
    if (v.as_int() < -size) return down ? std::int64_t{-1} : std::int64_t{0};
    return std::min(i, down ? size - 1 : size);
  };
  const std::int64_t start = clamp(bounds.start, down ? size - 1 : 0);
  const std::int64_t stop = clamp(bounds.stop, down ? -1 : size);
  std::int64_t count = 0;
  if (!down && start < stop) {
    count = (stop - start - 1) / step + 1;
  } else if (down && start > stop) {
    const auto stride = std::uint64_t{0} - static_cast<std::uint64_t>(step);
    count = static_cast<std::int64_t>(static_cast<std::uint64_t>(start - stop - 1) / stride) + 1;
  }
  return Range{start, stop, step, count};
}

Result<Value> slice_text(Context& ctx, const Str& s, const SliceBounds& bounds) {
  HEARTH_TRY_VOID(ctx.scan(s.text.size()));
  const auto size = static_cast<std::int64_t>(count_code_points(s.text));
  HEARTH_TRY(const Range range, slice_range(bounds, size));
  const bool ascii = static_cast<std::size_t>(size) == s.text.size();
  if (range.step == 1) {
    const auto first = static_cast<std::size_t>(range.start);
    const auto count = static_cast<std::size_t>(range.count);
    const std::size_t from = ascii ? std::min(first, s.text.size()) : byte_offset(s.text, first);
    const std::size_t to = ascii ? from + count : from + byte_offset(s.text.substr(from), count);
    return ctx.slice(s, from, to);
  }
  HEARTH_TRY_VOID(ctx.step(range.count));
  std::vector<std::size_t> starts;
  HEARTH_TRY_VOID(ctx.step(size / 8));
  for (std::size_t at = 0; at < s.text.size(); at += decode(s.text, at).bytes) starts.push_back(at);
  starts.push_back(s.text.size());
  TextBuilder out(ctx);
  for (std::int64_t i = 0; i < range.count; ++i) {
    const auto at = static_cast<std::size_t>(range.start + i * range.step);
    out.append(s, starts[at], starts[at + 1]);
  }
  return out.finish();
}

Result<Value> text_item(Context& ctx, const Str& s, std::int64_t index) {
  HEARTH_TRY_VOID(ctx.scan(s.text.size()));
  if (index < 0) {
    const auto size = static_cast<std::int64_t>(count_code_points(s.text));
    if (index < -size) return Value::undefined(nullptr);
    index += size;
  }
  const auto size_max = static_cast<std::int64_t>(s.text.size());
  const std::size_t at = byte_offset(s.text, static_cast<std::size_t>(std::min(index, size_max)));
  if (at >= s.text.size()) return Value::undefined(nullptr);
  return ctx.slice(s, at, at + decode(s.text, at).bytes);
}

}  // namespace

std::optional<std::int64_t> length(const Value& value) {
  switch (value.kind) {
    case Kind::kUndefined:
      return 0;
    case Kind::kStr:
      return static_cast<std::int64_t>(count_code_points(value.str->text));
    case Kind::kSeq:
      if (value.seq->kind == SeqKind::kGenerator) return std::nullopt;
      return static_cast<std::int64_t>(value.seq->items.size());
    case Kind::kDict:
      return static_cast<std::int64_t>(value.dict->entries.size());
    case Kind::kLoop:
      return static_cast<std::int64_t>(value.loop->size);
    default:
      return std::nullopt;
  }
}

bool hashable(const Value& value, int depth) {
  constexpr int kDepthMax = 16;  // so that comparing keys never recurses far
  if (value.is(Kind::kDict)) return false;
  if (!value.is(Kind::kSeq)) return true;
  const SeqKind kind = value.seq->kind;
  if (kind == SeqKind::kRange || kind == SeqKind::kGenerator) return true;
  if (kind != SeqKind::kTuple || depth >= kDepthMax) return false;
  return std::all_of(value.seq->items.begin(), value.seq->items.end(),
                     [depth](const Value& v) { return hashable(v, depth + 1); });
}

Result<const Value*> lookup(Context& ctx, const Dict& dict, const Value& key) {
  HEARTH_TRY_VOID(
      ctx.step(dict.indexed ? 1 : 1 + static_cast<std::int64_t>(dict.entries.size() / 8)));
  if (key.is(Kind::kStr)) {
    HEARTH_TRY_VOID(ctx.scan(key.str->text.size()));
    return dict.find(key.str->text);
  }
  if (!hashable(key)) return template_error("unhashable type: '{}'", type_name(key));
  for (const auto& [k, v] : dict.entries) {
    HEARTH_TRY(const bool same, equal(ctx, k, key));
    if (same) return &v;
  }
  return nullptr;
}

Status insert(Context& ctx, Dict& dict, const Value& key, const Value& value) {
  if (!hashable(key)) return template_error("unhashable type: '{}'", type_name(key));
  for (auto& [k, v] : dict.entries) {
    HEARTH_TRY(const bool same, equal(ctx, k, key));
    if (!same) continue;
    v = value;
    return {};
  }
  dict.entries.emplace_back(key, value);
  return {};
}

Result<std::span<const Value>> iterate(Context& ctx, const Value& value) {
  switch (value.kind) {
    case Kind::kUndefined:
      return std::span<const Value>();
    case Kind::kSeq: {
      Seq& seq = *value.seq;
      std::span<const Value> items(seq.items);
      if (seq.kind == SeqKind::kGenerator) {
        items = items.subspan(seq.position);
        seq.position = seq.items.size();
      }
      HEARTH_TRY_VOID(ctx.step(static_cast<std::int64_t>(items.size())));
      return items;
    }
    case Kind::kStr: {
      const Str& s = *value.str;
      Seq* characters = ctx.arena.seq(SeqKind::kList);
      for (std::size_t at = 0; at < s.text.size();) {
        HEARTH_TRY_VOID(ctx.step());
        const std::size_t bytes = decode(s.text, at).bytes;
        characters->items.push_back(ctx.slice(s, at, at + bytes));
        at += bytes;
      }
      return std::span<const Value>(characters->items);
    }
    case Kind::kDict: {
      HEARTH_TRY_VOID(ctx.step(static_cast<std::int64_t>(value.dict->entries.size())));
      Seq* keys = ctx.arena.seq(SeqKind::kKeys);
      for (const auto& [key, unused] : value.dict->entries) keys->items.push_back(key);
      return std::span<const Value>(keys->items);
    }
    default:
      return template_error("'{}' object is not iterable", type_name(value));
  }
}

Result<Seq*> collect(Context& ctx, const Value& value, SeqKind kind) {
  HEARTH_TRY(const std::span<const Value> items, iterate(ctx, value));
  Seq* out = ctx.arena.seq(kind);
  out->items.assign(items.begin(), items.end());
  return out;
}

Result<Value> attribute(Context& ctx, const Value& object, const std::string& name) {
  HEARTH_TRY_VOID(ctx.step());
  switch (object.kind) {
    case Kind::kUndefined:
      return undefined_error(object);
    case Kind::kLoop:
      return loop_attribute(ctx, object, name);
    case Kind::kNamespace: {
      HEARTH_TRY_VOID(ctx.step(static_cast<std::int64_t>(object.ns->entries.size() / 8)));
      const Value* found = object.ns->find(name);
      return found != nullptr ? *found : Value::undefined(&name);
    }
    default:
      break;
  }
  if (const Native* method = find_method(object, name)) return bound(ctx, method, object);
  if (object.is(Kind::kDict) && !changes_dict(name)) {
    HEARTH_TRY_VOID(ctx.step(
        static_cast<std::int64_t>(object.dict->indexed ? 0 : object.dict->entries.size() / 8)));
    if (const Value* found = object.dict->find(name)) return *found;
  }
  return Value::undefined(&name);
}

Result<Value> item(Context& ctx, const Value& object, const Value& key) {
  HEARTH_TRY_VOID(ctx.step());
  if (object.is(Kind::kUndefined)) return undefined_error(object);
  if (object.is(Kind::kDict) && hashable(key)) {
    HEARTH_TRY(const Value* found, lookup(ctx, *object.dict, key));
    if (found != nullptr) return *found;
  }
  if (key.is_integral()) {
    const std::int64_t index = key.as_int();
    if (object.is(Kind::kStr)) return text_item(ctx, *object.str, index);
    if (!object.is(Kind::kSeq) || !object.seq->indexable()) return Value::undefined(nullptr);
    const auto size = static_cast<std::int64_t>(object.seq->items.size());
    if (index < -size || index >= size) return Value::undefined(nullptr);
    return object.seq->items[static_cast<std::size_t>(index < 0 ? index + size : index)];
  }
  if (!key.is(Kind::kStr)) return Value::undefined(nullptr);
  const std::string* name = ctx.arena.name(shown(key.str->text));
  if (*name != key.str->text) return Value::undefined(name);  // cut short: no attribute's name
  if (!object.is(Kind::kDict)) return attribute(ctx, object, *name);
  if (const Native* method = find_method(object, *name)) return bound(ctx, method, object);
  return Value::undefined(name);
}

Result<Value> slice(Context& ctx, const Value& object, const SliceBounds& bounds) {
  HEARTH_TRY_VOID(ctx.step());
  if (object.is(Kind::kUndefined)) return undefined_error(object);
  for (const Value* v : {&bounds.start, &bounds.stop, &bounds.step}) {
    const bool fine = v->is_integral() || v->is(Kind::kNone) || v->is(Kind::kMissing);
    if (!fine) return template_error("slice bounds must be integers or none");
  }
  if (object.is(Kind::kStr)) return slice_text(ctx, *object.str, bounds);
  if (!object.is(Kind::kSeq) || !object.seq->indexable()) {
    return template_error("'{}' object cannot be sliced", type_name(object));
  }
  const Seq& seq = *object.seq;
  HEARTH_TRY(const Range range, slice_range(bounds, static_cast<std::int64_t>(seq.items.size())));
  HEARTH_TRY_VOID(ctx.step(range.count));
  Seq* out = ctx.arena.seq(seq.kind);
  if (seq.kind == SeqKind::kRange) {
    const bool overflows = __builtin_mul_overflow(range.start, seq.step, &out->start) ||
                           __builtin_add_overflow(out->start, seq.start, &out->start) ||
                           __builtin_mul_overflow(range.stop, seq.step, &out->stop) ||
                           __builtin_add_overflow(out->stop, seq.start, &out->stop) ||
                           __builtin_mul_overflow(range.step, seq.step, &out->step);
    if (overflows) return template_error("integer overflow");
  }
  for (std::int64_t i = 0; i < range.count; ++i) {
    out->items.push_back(seq.items[static_cast<std::size_t>(range.start + i * range.step)]);
  }
  return Value::of_seq(out);
}

}  // namespace hearth::text::jinja

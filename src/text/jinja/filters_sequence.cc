// Filters over sequences and mappings.
#include <algorithm>
#include <functional>

#include "text/jinja/library.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace hearth::text::jinja {
namespace {

Result<Value> default_value(Context& ctx, const Value& self, Slots slots) {
  const bool boolean = bool_argument(slots[1], false);
  const bool missing = self.is(Kind::kUndefined) || (boolean && !truthy(self));
  if (!missing) return self;
  return slots[0].is(Kind::kMissing) ? ctx.text("") : slots[0];
}

Result<Value> count(Context& ctx, const Value& self, Slots) {
  if (self.is(Kind::kStr)) HEARTH_TRY_VOID(ctx.scan(self.str->text.size()));
  const std::optional<std::int64_t> n = length(self);
  if (!n) return template_error("object of type '{}' has no length", type_name(self));
  return Value::of_int(*n, !self.is(Kind::kStr) || self.str->all_trusted());
}

Result<Value> first(Context& ctx, const Value& self, Slots) {
  if (self.is(Kind::kSeq)) {  // takes one element only, also of a generator
    Seq& seq = *self.seq;
    const std::size_t at = seq.kind == SeqKind::kGenerator ? seq.position : 0;
    if (at >= seq.items.size()) return Value::undefined(nullptr);
    if (seq.kind == SeqKind::kGenerator) ++seq.position;
    return seq.items[at];
  }
  if (self.is(Kind::kStr) && !self.str->text.empty()) {
    return ctx.slice(*self.str, 0, decode(self.str->text, 0).bytes);
  }
  HEARTH_TRY(const std::span<const Value> items, iterate(ctx, self));
  return items.empty() ? Value::undefined(nullptr) : items.front();
}

Status check_reversible(const Value& self) {
  const bool generator = self.is(Kind::kSeq) && self.seq->kind == SeqKind::kGenerator;
  if (!generator && !self.is(Kind::kUndefined)) return {};
  return template_error("'{}' object is not reversible", type_name(self));
}

Result<Value> last(Context& ctx, const Value& self, Slots) {
  if (!self.is(Kind::kUndefined)) HEARTH_TRY_VOID(check_reversible(self));
  if (self.is(Kind::kSeq)) {
    return self.seq->items.empty() ? Value::undefined(nullptr) : self.seq->items.back();
  }
  HEARTH_TRY(const std::span<const Value> items, iterate(ctx, self));
  return items.empty() ? Value::undefined(nullptr) : items.back();
}

Result<Value> list(Context& ctx, const Value& self, Slots) {
  HEARTH_TRY(Seq * out, collect(ctx, self, SeqKind::kList));
  return Value::of_seq(out);
}

Result<Value> reverse(Context& ctx, const Value& self, Slots) {
  if (self.is(Kind::kStr)) {
    HEARTH_TRY(const std::span<const Value> characters, iterate(ctx, self));
    TextBuilder out(ctx);
    for (auto c = characters.rbegin(); c != characters.rend(); ++c) out.append(*c->str);
    return out.finish();
  }
  const bool generator = self.is(Kind::kSeq) && self.seq->kind == SeqKind::kGenerator;
  HEARTH_TRY(Seq * out, collect(ctx, self, generator ? SeqKind::kList : SeqKind::kGenerator));
  std::reverse(out->items.begin(), out->items.end());
  return Value::of_seq(out);
}

// Text in lower case unless case matters: what sort, unique, min and max compare.
Result<Value> fold_case(Context& ctx, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is(Kind::kStr)) return value;
  static const Native* const kLower = find_filter("lower");
  return call_native(ctx, *kLower, value, {});
}

struct Keyed {
  Value key;
  Value value;
};

// Stable merge sort: std::stable_sort may not be given an order that can fail or be inconsistent.
Status merge_sort(std::vector<Keyed>& items,
                  const std::function<Result<bool>(const Value&, const Value&)>& less) {
  std::vector<Keyed> other(items.size());
  for (std::size_t width = 1; width < items.size(); width *= 2) {
    for (std::size_t from = 0; from < items.size(); from += 2 * width) {
      std::size_t left = from;
      const std::size_t middle = std::min(from + width, items.size());
      std::size_t right = middle;
      const std::size_t to = std::min(from + 2 * width, items.size());
      for (std::size_t at = from; at < to; ++at) {
        bool take_right = left == middle;
        if (!take_right && right < to) {
          HEARTH_TRY(take_right, less(items[right].key, items[left].key));
        }
        other[at] = take_right ? items[right++] : items[left++];
      }
    }
    items.swap(other);
  }
  return {};
}

Status sort_keyed(Context& ctx, std::vector<Keyed>& items, bool descending) {
  return merge_sort(items, [&](const Value& a, const Value& b) -> Result<bool> {
    HEARTH_TRY(const std::partial_ordering ordering, order(ctx, a, b));
    return descending ? ordering > 0 : ordering < 0;
  });
}

// Always a list, of one key or of those of `attribute='a,b'`: lists that are equal are never
// ordered, so that none and undefined may be sorted among themselves.
Result<Value> sort_key(Context& ctx, const Value& value, const Value& path, bool case_sensitive) {
  Seq* keys = ctx.arena.seq(SeqKind::kList);
  std::string_view rest = path.is(Kind::kStr) ? path.str->text : "";
  for (;;) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    const Value name =
        path.is(Kind::kStr) ? Value::of_str(ctx.arena.str({rest.substr(0, end), false, {}})) : path;
    HEARTH_TRY(const Value part, attribute_path(ctx, value, name));
    HEARTH_TRY(const Value key, fold_case(ctx, part, case_sensitive));
    keys->items.push_back(key);
    if (end == rest.size()) return Value::of_seq(keys);
    rest.remove_prefix(end + 1);
  }
}

Result<Value> sort(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const std::span<const Value> items, iterate(ctx, self));
  std::vector<Keyed> keyed;
  for (const Value& value : items) {
    HEARTH_TRY(const Value key, sort_key(ctx, value, slots[2], bool_argument(slots[1], false)));
    keyed.push_back({key, value});
  }
  HEARTH_TRY_VOID(sort_keyed(ctx, keyed, bool_argument(slots[0], false)));
  Seq* out = ctx.arena.seq(SeqKind::kList);
  for (const Keyed& entry : keyed) out->items.push_back(entry.value);
  return Value::of_seq(out);
}

Value make_pair(Context& ctx, const Value& a, const Value& b) {
  Seq* pair = ctx.arena.seq(SeqKind::kTuple);
  pair->items = {a, b};
  return Value::of_seq(pair);
}

Result<Value> dictsort(Context& ctx, const Value& self, Slots slots) {
  if (!self.is(Kind::kDict)) return template_error("dictsort needs a mapping");
  const bool case_sensitive = bool_argument(slots[0], false);
  bool by_key = true;
  if (!slots[1].is(Kind::kMissing)) {
    HEARTH_TRY(const Str* by, str_argument(slots[1], "by"));
    if (by->text != "key" && by->text != "value") {
      return template_error("dictsort sorts by 'key' or 'value'");
    }
    by_key = by->text == "key";
  }
  std::vector<Keyed> keyed;
  for (const auto& [name, value] : self.dict->entries) {
    HEARTH_TRY_VOID(ctx.step());
    HEARTH_TRY(const Value key, fold_case(ctx, by_key ? name : value, case_sensitive));
    keyed.push_back({key, make_pair(ctx, name, value)});
  }
  HEARTH_TRY_VOID(sort_keyed(ctx, keyed, bool_argument(slots[2], false)));
  Seq* out = ctx.arena.seq(SeqKind::kList);
  for (const Keyed& entry : keyed) out->items.push_back(entry.value);
  return Value::of_seq(out);
}

Result<Value> items(Context& ctx, const Value& self, Slots) {
  Seq* out = ctx.arena.seq(SeqKind::kGenerator);
  if (self.is(Kind::kUndefined)) return Value::of_seq(out);
  if (!self.is(Kind::kDict)) return template_error("items needs a mapping");
  for (const auto& [key, value] : self.dict->entries) {
    HEARTH_TRY_VOID(ctx.step());
    out->items.push_back(make_pair(ctx, key, value));
  }
  return Value::of_seq(out);
}

Result<Value> unique(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const std::span<const Value> all, iterate(ctx, self));
  Seq* out = ctx.arena.seq(SeqKind::kGenerator);
  std::vector<Value> seen;
  for (const Value& value : all) {
    HEARTH_TRY(const Value part, attribute_path(ctx, value, slots[1]));
    HEARTH_TRY(const Value key, fold_case(ctx, part, bool_argument(slots[0], false)));
    if (!hashable(key)) return template_error("unhashable type: '{}'", type_name(key));
    bool known = false;
    for (std::size_t i = 0; i < seen.size() && !known; ++i) {
      HEARTH_TRY(known, equal(ctx, seen[i], key));
    }
    if (known) continue;
    seen.push_back(key);
    out->items.push_back(value);
  }
  return Value::of_seq(out);
}

Result<Value> extreme(Context& ctx, const Value& self, Slots slots, bool want_max) {
  HEARTH_TRY(const std::span<const Value> all, iterate(ctx, self));
  Value best = Value::undefined(nullptr);
  Value best_key;
  for (const Value& value : all) {
    HEARTH_TRY(const Value part, attribute_path(ctx, value, slots[1]));
    HEARTH_TRY(const Value key, fold_case(ctx, part, bool_argument(slots[0], false)));
    bool better = best_key.is(Kind::kMissing);
    if (!better) {
      HEARTH_TRY(const std::partial_ordering ordering, order(ctx, key, best_key));
      better = want_max ? ordering > 0 : ordering < 0;
    }
    if (better) {
      best = value;
      best_key = key;
    }
  }
  return best;
}

Result<Value> smallest(Context& ctx, const Value& self, Slots slots) {
  return extreme(ctx, self, slots, false);
}

Result<Value> largest(Context& ctx, const Value& self, Slots slots) {
  return extreme(ctx, self, slots, true);
}

Result<Value> sum(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const std::span<const Value> all, iterate(ctx, self));
  Value total = slots[1].is(Kind::kMissing) ? Value::of_int(0) : slots[1];
  if (total.is(Kind::kStr)) return template_error("sum cannot add text");
  for (const Value& value : all) {
    HEARTH_TRY(const Value part, attribute_path(ctx, value, slots[0]));
    HEARTH_TRY(total, arithmetic(ctx, Op::kAdd, total, part));
  }
  return total;
}

Result<Value> batch(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const std::int64_t size, int_argument(slots[0], 1));
  HEARTH_TRY(const std::span<const Value> all, iterate(ctx, self));
  Seq* out = ctx.arena.seq(SeqKind::kGenerator);
  Seq* row = nullptr;
  for (const Value& value : all) {
    if (row == nullptr || static_cast<std::int64_t>(row->items.size()) == size) {
      row = ctx.arena.seq(SeqKind::kList);
      out->items.push_back(Value::of_seq(row));
    }
    row->items.push_back(value);
  }
  const bool fill = row != nullptr && !slots[1].is(Kind::kMissing) && !slots[1].is(Kind::kNone);
  while (fill && static_cast<std::int64_t>(row->items.size()) < size) {
    HEARTH_TRY_VOID(ctx.step());
    row->items.push_back(slots[1]);
  }
  return Value::of_seq(out);
}

Result<Value> attr(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const Str* name, to_text(ctx, slots[0]));
  // Keys of mappings are no attributes to this filter.
  if (self.is(Kind::kDict)) {
    if (find_method(self, name->text) == nullptr) return Value::undefined(nullptr);
  }
  return attribute(ctx, self, *ctx.arena.name(std::string(name->text)));
}

Args tail(const Args& args, std::size_t from) {
  Args out;
  if (args.positional.size() > from) {
    out.positional.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(from),
                          args.positional.end());
  }
  out.named = args.named;
  return out;
}

Result<Value> map(Context& ctx, const Value& self, const Args& args) {
  Value path;
  Value fallback;
  const Native* filter = nullptr;
  if (args.positional.empty()) {
    for (const auto& [name, value] : args.named) {
      if (name == "attribute") {
        path = value;
      } else if (name == "default") {
        fallback = value;
      } else {
        return template_error("map() has no argument '{}'", shown(name));
      }
    }
    if (path.is(Kind::kMissing)) return template_error("map() needs a filter or an attribute");
  } else {
    HEARTH_TRY(const Str* name, str_argument(args.positional[0], "the filter's name"));
    filter = find_filter(name->text);
    if (filter == nullptr) return template_error("no filter named '{}'", shown(name->text));
  }
  const Args rest = tail(args, 1);
  Seq* out = ctx.arena.seq(SeqKind::kGenerator);
  if (!truthy(self)) return Value::of_seq(out);  // also none and 0
  HEARTH_TRY(const std::span<const Value> all, iterate(ctx, self));
  for (const Value& value : all) {
    Value made;
    if (filter != nullptr) {
      HEARTH_TRY(made, call_native(ctx, *filter, value, rest));
    } else {
      HEARTH_TRY(made, attribute_path(ctx, value, path, fallback));
    }
    out->items.push_back(made);
  }
  return Value::of_seq(out);
}

// select, reject and their attr forms: keep the elements whose test comes out as `wanted`.
Result<Value> choose(Context& ctx, const Value& self, const Args& args, bool by_attribute,
                     bool wanted) {
  std::size_t used = 0;
  Value path;
  if (by_attribute) {
    if (args.positional.empty()) return template_error("missing parameter for attribute name");
    path = args.positional[used++];
  }
  const Native* test = nullptr;
  if (args.positional.size() > used) {
    HEARTH_TRY(const Str* name, str_argument(args.positional[used++], "the test's name"));
    test = find_test(name->text);
    if (test == nullptr) return template_error("no test named '{}'", shown(name->text));
  }
  const Args rest = tail(args, used);
  Seq* out = ctx.arena.seq(SeqKind::kGenerator);
  if (!truthy(self)) return Value::of_seq(out);  // also none and 0
  HEARTH_TRY(const std::span<const Value> all, iterate(ctx, self));
  for (const Value& value : all) {
    HEARTH_TRY(Value tested, attribute_path(ctx, value, path));
    if (test != nullptr) {
      HEARTH_TRY(tested, call_native(ctx, *test, tested, rest));
    }
    if (truthy(tested) == wanted) out->items.push_back(value);
  }
  return Value::of_seq(out);
}

template <bool kByAttribute, bool kWanted>
Result<Value> chosen(Context& ctx, const Value& self, const Args& args) {
  return choose(ctx, self, args, kByAttribute, kWanted);
}

constexpr Native kTable[] = {
    {"default", "default_value boolean", 0, default_value},
    {"d", "default_value boolean", 0, default_value},
    {"length", "", 0, count},
    {"count", "", 0, count},
    {"first", "", 0, first},
    {"last", "", 0, last},
    {"list", "", 0, list},
    {"reverse", "", 0, reverse},
    {"sort", "reverse case_sensitive attribute", 0, sort},
    {"dictsort", "case_sensitive by reverse", 0, dictsort},
    {"items", "", 0, items},
    {"unique", "case_sensitive attribute", 0, unique},
    {"min", "case_sensitive attribute", 0, smallest},
    {"max", "case_sensitive attribute", 0, largest},
    {"sum", "attribute start", 0, sum},
    {"batch", "linecount fill_with", 1, batch},
    {"attr", "name", 1, attr},
    {"map", "", 0, nullptr, map},
    {"select", "", 0, nullptr, chosen<false, true>},
    {"reject", "", 0, nullptr, chosen<false, false>},
    {"selectattr", "", 0, nullptr, chosen<true, true>},
    {"rejectattr", "", 0, nullptr, chosen<true, false>},
};

}  // namespace

std::span<const Native> sequence_filters() { return kTable; }

}  // namespace hearth::text::jinja

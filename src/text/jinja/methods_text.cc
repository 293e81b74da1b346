// Methods of text, as Python's str has them.
#include <algorithm>

#include "text/jinja/library.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace hearth::text::jinja {
namespace {

constexpr std::int64_t kWidthMax = 10'000;

enum class Case : std::uint8_t { kUpper, kLower, kCapitalize, kTitle, kSwap };

template <Case kCase>
Result<Value> change_case(Context& ctx, const Value& self, Slots) {
  const Str& s = *self.str;
  HEARTH_TRY_VOID(ctx.step(static_cast<std::int64_t>(s.text.size() / 8)));
  TextBuilder out(ctx);
  bool inside_word = false;
  for (std::size_t at = 0; at < s.text.size();) {
    const CodePoint point = decode(s.text, at);
    const std::size_t next = at + point.bytes;
    bool upper = kCase == Case::kUpper;
    if (kCase == Case::kCapitalize) upper = at == 0;
    if (kCase == Case::kTitle) upper = !inside_word;
    if (kCase == Case::kSwap) upper = is_lower(point.value);
    inside_word = point.value >= 0 && (is_upper(point.value) || is_lower(point.value));
    if (point.value < 0) {
      out.append(s, at, next);
    } else {
      out.append(upper ? to_upper(point.value) : to_lower(point.value), s.trusted_range(at, next));
    }
    at = next;
  }
  return out.finish();
}

Result<Value> strip_sides(Context& ctx, const Value& self, Slots slots, bool left, bool right) {
  const Str& s = *self.str;
  ByteRange range{0, s.text.size()};
  if (slots[0].is(Kind::kMissing) || slots[0].is(Kind::kNone)) {
    range = strip_space(s.text, left, right);
    HEARTH_TRY_VOID(ctx.scan(s.text.size() - (range.to - range.from)));
    return ctx.slice(s, range.from, range.to);
  }
  HEARTH_TRY(const Str* chars, str_argument(slots[0], "what to strip"));
  const auto listed = [&](std::size_t from, std::size_t to) {
    return chars->text.find(s.text.substr(from, to - from)) != std::string_view::npos;
  };
  while (left && range.from < range.to) {
    HEARTH_TRY_VOID(ctx.step(1 + static_cast<std::int64_t>(chars->text.size() / 256)));
    const std::size_t next = range.from + decode(s.text, range.from).bytes;
    if (!listed(range.from, next)) break;
    range.from = next;
  }
  while (right && range.from < range.to) {
    HEARTH_TRY_VOID(ctx.step(1 + static_cast<std::int64_t>(chars->text.size() / 256)));
    std::size_t start = range.to - 1;
    while (start > range.from && (static_cast<unsigned char>(s.text[start]) & 0xc0) == 0x80)
      --start;
    if (!listed(start, range.to)) break;
    range.to = start;
  }
  return ctx.slice(s, range.from, range.to);
}

template <bool kLeft, bool kRight>
Result<Value> strip(Context& ctx, const Value& self, Slots slots) {
  return strip_sides(ctx, self, slots, kLeft, kRight);
}

Result<Value> split_space(Context& ctx, const Str& s, std::int64_t count, bool from_right) {
  Seq* out = ctx.arena.seq(SeqKind::kList);
  HEARTH_TRY_VOID(ctx.scan(s.text.size()));
  std::vector<ByteRange> words;
  for (std::size_t at = 0; at < s.text.size();) {
    const CodePoint point = decode(s.text, at);
    const bool space = is_space(point.value);
    const bool begins = words.empty() || words.back().to != at;
    if (!space && begins) {
      HEARTH_TRY_VOID(ctx.step());
      words.push_back({at, at});
    }
    at += point.bytes;
    if (!space) words.back().to = at;
  }
  const auto total = static_cast<std::int64_t>(words.size());
  if (count >= 0 && count < total) {  // the rest stays in one piece, with its inner spaces
    const auto kept = static_cast<std::size_t>(count);
    if (from_right) {
      const auto rest = words.end() - static_cast<std::ptrdiff_t>(kept) - 1;
      rest->from = 0;
      words.erase(words.begin(), rest);
    } else {
      words[kept].to = s.text.size();
      words.resize(kept + 1);
    }
  }
  for (const ByteRange& word : words) out->items.push_back(ctx.slice(s, word.from, word.to));
  return Value::of_seq(out);
}

Result<Value> split(Context& ctx, const Value& self, Slots slots) {
  const Str& s = *self.str;
  HEARTH_TRY(std::int64_t count, int_argument(slots[1], -1));
  if (slots[0].is(Kind::kMissing) || slots[0].is(Kind::kNone)) {
    return split_space(ctx, s, count, false);
  }
  HEARTH_TRY(const Str* separator, str_argument(slots[0], "the separator"));
  if (separator->text.empty()) return template_error("empty separator");
  HEARTH_TRY_VOID(ctx.scan(s.text.size()));
  Seq* out = ctx.arena.seq(SeqKind::kList);
  std::size_t from = 0;
  while (count != 0) {
    HEARTH_TRY_VOID(ctx.step());
    const std::size_t hit = find_linear(s.text, separator->text, from);
    if (hit == std::string_view::npos) break;
    out->items.push_back(ctx.slice(s, from, hit));
    from = hit + separator->text.size();
    --count;
  }
  out->items.push_back(ctx.slice(s, from, s.text.size()));
  return Value::of_seq(out);
}

Result<Value> rsplit(Context& ctx, const Value& self, Slots slots) {
  const Str& s = *self.str;
  HEARTH_TRY(std::int64_t count, int_argument(slots[1], -1));
  if (slots[0].is(Kind::kMissing) || slots[0].is(Kind::kNone)) {
    return split_space(ctx, s, count, true);
  }
  HEARTH_TRY(const Str* separator, str_argument(slots[0], "the separator"));
  if (separator->text.empty()) return template_error("empty separator");
  HEARTH_TRY_VOID(ctx.scan(s.text.size()));
  // rfind may look at |text| * |separator| bytes.
  const std::size_t cost = s.text.size() / 256 * separator->text.size();
  HEARTH_TRY_VOID(ctx.step(static_cast<std::int64_t>(std::min<std::size_t>(cost, 1U << 30))));
  Seq* out = ctx.arena.seq(SeqKind::kList);
  std::size_t to = s.text.size();
  while (count != 0 && to >= separator->text.size()) {
    HEARTH_TRY_VOID(ctx.step());
    const std::size_t hit = s.text.rfind(separator->text, to - separator->text.size());
    if (hit == std::string_view::npos) break;
    out->items.push_back(ctx.slice(s, hit + separator->text.size(), to));
    to = hit;
    --count;
  }
  out->items.push_back(ctx.slice(s, 0, to));
  std::reverse(out->items.begin(), out->items.end());
  return Value::of_seq(out);
}

Result<Value> splitlines(Context& ctx, const Value& self, Slots slots) {
  const Str& s = *self.str;
  const bool keep = bool_argument(slots[0], false);
  HEARTH_TRY_VOID(ctx.scan(s.text.size()));
  Seq* out = ctx.arena.seq(SeqKind::kList);
  std::size_t from = 0;
  for (std::size_t at = 0; at < s.text.size();) {
    const CodePoint point = decode(s.text, at);
    std::size_t next = at + point.bytes;
    if (is_line_end(point.value)) {
      HEARTH_TRY_VOID(ctx.step());
      if (point.value == '\r' && next < s.text.size() && s.text[next] == '\n') ++next;
      out->items.push_back(ctx.slice(s, from, keep ? next : at));
      from = next;
    }
    at = next;
  }
  if (from < s.text.size()) out->items.push_back(ctx.slice(s, from, s.text.size()));
  return Value::of_seq(out);
}

Result<Value> partition_at(Context& ctx, const Str& s, const Value& argument, bool from_right) {
  HEARTH_TRY(const Str* separator, str_argument(argument, "the separator"));
  if (separator->text.empty()) return template_error("empty separator");
  HEARTH_TRY_VOID(ctx.scan(s.text.size()));
  std::size_t hit = find_linear(s.text, separator->text, 0);
  for (std::size_t next = hit; from_right && next != std::string_view::npos;) {
    HEARTH_TRY_VOID(ctx.step());
    hit = next;
    next = find_linear(s.text, separator->text, next + 1);
  }
  Seq* out = ctx.arena.seq(SeqKind::kTuple);
  if (hit == std::string_view::npos) {
    const Value whole = Value::of_str(&s);
    out->items = {whole, ctx.text(""), ctx.text("")};
    if (from_right) std::swap(out->items[0], out->items[2]);
  } else {
    const std::size_t end = hit + separator->text.size();
    out->items = {ctx.slice(s, 0, hit), ctx.slice(s, hit, end), ctx.slice(s, end, s.text.size())};
  }
  return Value::of_seq(out);
}

Result<Value> partition(Context& ctx, const Value& self, Slots slots) {
  return partition_at(ctx, *self.str, slots[0], false);
}

Result<Value> rpartition(Context& ctx, const Value& self, Slots slots) {
  return partition_at(ctx, *self.str, slots[0], true);
}

// The part of the text between the code points that start and end name; npos: start is behind it.
Result<ByteRange> window(Context& ctx, const Str& s, const Value& start, const Value& end) {
  HEARTH_TRY_VOID(ctx.scan(s.text.size()));
  if (start.is(Kind::kMissing) && end.is(Kind::kMissing)) return ByteRange{0, s.text.size()};
  const auto size = static_cast<std::int64_t>(count_code_points(s.text));
  const auto place = [&](const Value& v, std::int64_t fallback) -> Result<std::int64_t> {
    if (v.is(Kind::kNone)) return fallback;
    HEARTH_TRY(std::int64_t i, int_argument(v, fallback));
    if (i < 0) i = i < -size ? 0 : i + size;
    return i;
  };
  HEARTH_TRY(const std::int64_t from, place(start, 0));
  HEARTH_TRY(const std::int64_t to, place(end, size));
  if (from > size) return ByteRange{std::string_view::npos, 0};
  return ByteRange{byte_offset(s.text, static_cast<std::size_t>(from)),
                   byte_offset(s.text, static_cast<std::size_t>(std::min(to, size)))};
}

Result<Value> affix(Context& ctx, const Value& self, Slots slots, bool front) {
  HEARTH_TRY(const ByteRange range, window(ctx, *self.str, slots[1], slots[2]));
  std::span<const Value> choices(&slots[0], 1);
  if (slots[0].is(Kind::kSeq) && slots[0].seq->kind == SeqKind::kTuple) {
    choices = slots[0].seq->items;
  }
  for (const Value& choice : choices) {
    HEARTH_TRY(const Str* wanted, str_argument(choice, "the prefix or suffix"));
    HEARTH_TRY_VOID(ctx.scan(wanted->text.size()));
    if (range.from > range.to) continue;
    const std::string_view part = self.str->text.substr(range.from, range.to - range.from);
    if (front ? part.starts_with(wanted->text) : part.ends_with(wanted->text)) {
      return Value::of_bool(true);
    }
  }
  return Value::of_bool(false);
}

Result<Value> startswith(Context& ctx, const Value& self, Slots slots) {
  return affix(ctx, self, slots, true);
}

Result<Value> endswith(Context& ctx, const Value& self, Slots slots) {
  return affix(ctx, self, slots, false);
}

// find, rfind, index and rindex; -1 or an error where there is none.
Result<Value> search(Context& ctx, const Value& self, Slots slots, bool from_right, bool must) {
  HEARTH_TRY(const Str* needle, str_argument(slots[0], "what to find"));
  HEARTH_TRY(const ByteRange range, window(ctx, *self.str, slots[1], slots[2]));
  std::size_t hit = std::string_view::npos;
  if (range.from <= range.to) {
    const std::string_view part = self.str->text.substr(range.from, range.to - range.from);
    hit = find_linear(part, needle->text, 0);
    if (from_right && needle->text.empty()) hit = part.size();
    for (std::size_t next = hit; from_right && next < part.size();) {
      HEARTH_TRY_VOID(ctx.step());
      hit = next;
      next = find_linear(part, needle->text, next + 1);
    }
  }
  const bool trusted = self.str->all_trusted() && needle->all_trusted();
  if (hit != std::string_view::npos) {
    const std::size_t points = count_code_points(self.str->text.substr(0, range.from + hit));
    return Value::of_int(static_cast<std::int64_t>(points), trusted);
  }
  if (must) return template_error("substring not found");
  return Value::of_int(-1, trusted);
}

template <bool kFromRight, bool kMust>
Result<Value> find(Context& ctx, const Value& self, Slots slots) {
  return search(ctx, self, slots, kFromRight, kMust);
}

Result<Value> count(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const Str* needle, str_argument(slots[0], "what to count"));
  HEARTH_TRY(const ByteRange range, window(ctx, *self.str, slots[1], slots[2]));
  const bool trusted = self.str->all_trusted() && needle->all_trusted();
  if (range.from > range.to) return Value::of_int(0, trusted);
  const std::string_view part = self.str->text.substr(range.from, range.to - range.from);
  std::int64_t n = 0;
  if (needle->text.empty()) {
    n = static_cast<std::int64_t>(count_code_points(part)) + 1;
    return Value::of_int(n, trusted);
  }
  for (std::size_t at = find_linear(part, needle->text, 0); at != std::string_view::npos; ++n) {
    HEARTH_TRY_VOID(ctx.step());
    at = find_linear(part, needle->text, at + needle->text.size());
  }
  return Value::of_int(n, trusted);
}

Result<Value> replace(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const Str* from, str_argument(slots[0], "what to replace"));
  HEARTH_TRY(const Str* to, str_argument(slots[1], "the replacement"));
  HEARTH_TRY(const std::int64_t limit, int_argument(slots[2], -1));
  return replace_text(ctx, *self.str, *from, *to, limit);
}

Result<Value> join(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const std::span<const Value> items, iterate(ctx, slots[0]));
  TextBuilder out(ctx);
  bool first = true;
  for (const Value& value : items) {
    HEARTH_TRY(const Str* part, str_argument(value, "what is joined"));
    if (!first) out.append(*self.str);
    first = false;
    out.append(*part);
  }
  return out.finish();
}

Result<Value> remove_affix(Context& ctx, const Value& self, Slots slots, bool front) {
  const Str& s = *self.str;
  HEARTH_TRY(const Str* part, str_argument(slots[0], "the prefix or suffix"));
  HEARTH_TRY_VOID(ctx.scan(part->text.size()));
  const std::size_t n = part->text.size();
  if (front && s.text.starts_with(part->text)) return ctx.slice(s, n, s.text.size());
  if (!front && s.text.ends_with(part->text)) return ctx.slice(s, 0, s.text.size() - n);
  return self;
}

Result<Value> removeprefix(Context& ctx, const Value& self, Slots slots) {
  return remove_affix(ctx, self, slots, true);
}

Result<Value> removesuffix(Context& ctx, const Value& self, Slots slots) {
  return remove_affix(ctx, self, slots, false);
}

enum class Side : std::uint8_t { kLeft, kRight, kCenter };

template <Side kSide>
Result<Value> justify(Context& ctx, const Value& self, Slots slots) {
  const Str& s = *self.str;
  HEARTH_TRY(const std::int64_t width, int_argument(slots[0], 80));
  if (width > kWidthMax) return budget_error("text widths are at most {}", kWidthMax);
  std::string_view fill = " ";
  if (!slots[1].is(Kind::kMissing)) {
    HEARTH_TRY(const Str* given, str_argument(slots[1], "the fill character"));
    fill = given->text;
    if (count_code_points(fill) != 1) return template_error("the fill must be one character");
  }
  HEARTH_TRY_VOID(ctx.scan(s.text.size()));
  const auto size = static_cast<std::int64_t>(count_code_points(s.text));
  const std::int64_t padding = std::max<std::int64_t>(width - size, 0);
  std::int64_t before = kSide == Side::kRight ? padding : 0;
  if (kSide == Side::kCenter) before = padding / 2 + (padding & width & 1);
  // The padding's length follows from the text's.
  const bool trusted = s.all_trusted() && slots[0].trusted &&
                       (slots[1].is(Kind::kMissing) || slots[1].str->all_trusted());
  TextBuilder out(ctx);
  out.repeat(fill, static_cast<std::size_t>(before), trusted);
  out.append(s);
  out.repeat(fill, static_cast<std::size_t>(padding - before), trusted);
  return out.finish();
}

Result<Value> zfill(Context& ctx, const Value& self, Slots slots) {
  const Str& s = *self.str;
  HEARTH_TRY(const std::int64_t width, int_argument(slots[0], 0));
  if (width > kWidthMax) return budget_error("text widths are at most {}", kWidthMax);
  HEARTH_TRY_VOID(ctx.scan(s.text.size()));
  const auto size = static_cast<std::int64_t>(count_code_points(s.text));
  const bool sign = !s.text.empty() && (s.text[0] == '-' || s.text[0] == '+');
  TextBuilder out(ctx);
  if (sign) out.append(s, 0, 1);
  out.repeat("0", static_cast<std::size_t>(std::max<std::int64_t>(width - size, 0)),
             s.all_trusted() && slots[0].trusted);
  out.append(s, sign ? 1 : 0, s.text.size());
  return out.finish();
}

// Whether all code points are of a kind and there is at least one.
template <bool (*kOfKind)(std::int32_t)>
Result<Value> all_are(Context& ctx, const Value& self, Slots) {
  HEARTH_TRY_VOID(ctx.scan(self.str->text.size()));
  const std::string_view text = self.str->text;
  bool all = !text.empty();
  for (std::size_t at = 0; all && at < text.size(); at += decode(text, at).bytes) {
    all = kOfKind(decode(text, at).value);
  }
  return Value::of_bool(all);
}

bool is_alnum(std::int32_t c) { return is_alpha(c) || is_digit(c); }

// At least one letter of the case and none of the other.
template <bool (*kWanted)(std::int32_t), bool (*kOther)(std::int32_t)>
Result<Value> all_cased(Context& ctx, const Value& self, Slots) {
  HEARTH_TRY_VOID(ctx.scan(self.str->text.size()));
  const std::string_view text = self.str->text;
  bool some = false;
  for (std::size_t at = 0; at < text.size(); at += decode(text, at).bytes) {
    const std::int32_t c = decode(text, at).value;
    if (c >= 0 && kOther(c)) return Value::of_bool(false);
    some = some || (c >= 0 && kWanted(c));
  }
  return Value::of_bool(some);
}

Result<Value> format(Context& ctx, const Value& self, const Args& args) {
  return format_braces(ctx, *self.str, args);
}

constexpr Native kTable[] = {
    {"strip", "/ chars", 0, strip<true, true>},
    {"lstrip", "/ chars", 0, strip<true, false>},
    {"rstrip", "/ chars", 0, strip<false, true>},
    {"split", "sep maxsplit", 0, split},
    {"rsplit", "sep maxsplit", 0, rsplit},
    {"splitlines", "keepends", 0, splitlines},
    {"partition", "/ sep", 1, partition},
    {"rpartition", "/ sep", 1, rpartition},
    {"startswith", "/ prefix start end", 1, startswith},
    {"endswith", "/ suffix start end", 1, endswith},
    {"find", "/ sub start end", 1, find<false, false>},
    {"rfind", "/ sub start end", 1, find<true, false>},
    {"index", "/ sub start end", 1, find<false, true>},
    {"rindex", "/ sub start end", 1, find<true, true>},
    {"count", "/ sub start end", 1, count},
    {"replace", "/ old new count", 2, replace},
    {"join", "/ iterable", 1, join},
    {"removeprefix", "/ prefix", 1, removeprefix},
    {"removesuffix", "/ suffix", 1, removesuffix},
    {"upper", "", 0, change_case<Case::kUpper>},
    {"lower", "", 0, change_case<Case::kLower>},
    {"casefold", "", 0, change_case<Case::kLower>},
    {"capitalize", "", 0, change_case<Case::kCapitalize>},
    {"title", "", 0, change_case<Case::kTitle>},
    {"swapcase", "", 0, change_case<Case::kSwap>},
    {"ljust", "/ width fillchar", 1, justify<Side::kLeft>},
    {"rjust", "/ width fillchar", 1, justify<Side::kRight>},
    {"center", "/ width fillchar", 0, justify<Side::kCenter>},
    {"zfill", "/ width", 1, zfill},
    {"isdigit", "", 0, all_are<is_digit>},
    {"isdecimal", "", 0, all_are<is_digit>},
    {"isnumeric", "", 0, all_are<is_digit>},
    {"isalpha", "", 0, all_are<is_alpha>},
    {"isalnum", "", 0, all_are<is_alnum>},
    {"isspace", "", 0, all_are<is_space>},
    {"isupper", "", 0, all_cased<is_upper, is_lower>},
    {"islower", "", 0, all_cased<is_lower, is_upper>},
    {"format", "", 0, nullptr, format},
};

}  // namespace

std::span<const Native> string_methods() { return kTable; }

Result<Value> replace_text(Context& ctx, const Str& text, const Str& from, const Str& to,
                           std::int64_t limit) {
  HEARTH_TRY_VOID(ctx.scan(text.text.size()));
  TextBuilder out(ctx);
  std::size_t copied = 0;
  std::size_t search_from = 0;
  while (limit != 0) {
    const std::size_t hit = find_linear(text.text, from.text, search_from);
    if (hit == std::string_view::npos) break;
    HEARTH_TRY_VOID(ctx.step());
    const std::size_t end = hit + from.text.size();
    out.append(text, copied, hit);
    // Whoever wrote the place decides: a user's text must not turn into the template's by a match.
    if (text.trusted_range(hit, end) && (end > hit || text.all_trusted())) {
      out.append(to);
    } else {
      out.append(to.text, false);
    }
    copied = end;
    --limit;
    if (end > hit) {
      search_from = end;
    } else {  // an empty text is found before every code point and at the end
      if (hit >= text.text.size()) break;
      search_from = hit + decode(text.text, hit).bytes;
    }
  }
  out.append(text, copied, text.text.size());
  return out.finish();
}

}  // namespace hearth::text::jinja

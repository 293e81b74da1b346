// Global functions, and the methods of everything but text.
#include <algorithm>
#include <array>
#include <limits>

#include "text/jinja/library.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace hearth::text::jinja {
namespace {

constexpr std::int64_t kRangeMax = 100'000;  // as Jinja2's sandbox has it

Result<Value> range(Context& ctx, const Value&, const Args& args) {
  std::array<std::int64_t, 3> bounds{0, 0, 1};
  const std::size_t given = args.positional.size();
  if (given < 1 || given > 3 || !args.named.empty()) {
    return template_error("range() takes one to three numbers");
  }
  for (std::size_t i = 0; i < given; ++i) {
    HEARTH_TRY(bounds[given == 1 ? 1 : i], int_argument(args.positional[i], 0));
  }
  const auto [start, stop, step] = bounds;
  if (step == 0) return template_error("range() step must not be zero");
  // Distances of int64 fit into uint64.
  std::uint64_t count = 0;
  if (step > 0 && start < stop) {
    const auto distance = static_cast<std::uint64_t>(stop) - static_cast<std::uint64_t>(start);
    count = (distance - 1) / static_cast<std::uint64_t>(step) + 1;
  } else if (step < 0 && start > stop) {
    const auto distance = static_cast<std::uint64_t>(start) - static_cast<std::uint64_t>(stop);
    count = (distance - 1) / (std::uint64_t{0} - static_cast<std::uint64_t>(step)) + 1;
  }
  if (count > static_cast<std::uint64_t>(kRangeMax)) {
    return budget_error("range() makes at most {} numbers", kRangeMax);
  }
  HEARTH_TRY_VOID(ctx.step(static_cast<std::int64_t>(count)));
  bool trusted = true;
  for (const Value& v : args.positional) trusted = trusted && v.trusted;
  Seq* out = ctx.arena.seq(SeqKind::kRange);
  out->start = start;
  out->stop = stop;
  out->step = step;
  for (std::uint64_t i = 0; i < count; ++i) {
    // i * step alone may leave int64, the sum does not.
    const std::uint64_t n =
        static_cast<std::uint64_t>(start) + i * static_cast<std::uint64_t>(step);
    out->items.push_back(Value::of_int(static_cast<std::int64_t>(n), trusted));
  }
  return Value::of_seq(out);
}

// The mapping, or the pairs, that dict() and namespace() may start from.
Result<Dict*> initial_dict(Context& ctx, const Args& args, std::string_view who) {
  if (args.positional.size() > 1) return template_error("{}() takes one mapping at most", who);
  Dict* out = ctx.arena.dict();
  if (!args.positional.empty()) {
    const Value& from = args.positional[0];
    if (from.is(Kind::kDict)) {
      HEARTH_TRY_VOID(ctx.step(static_cast<std::int64_t>(from.dict->entries.size())));
      out->entries = from.dict->entries;
    } else {
      HEARTH_TRY(const std::span<const Value> pairs, iterate(ctx, from));
      for (const Value& pair : pairs) {
        HEARTH_TRY(const std::span<const Value> both, iterate(ctx, pair));
        if (both.size() != 2) return template_error("{}() needs pairs", who);
        HEARTH_TRY_VOID(insert(ctx, *out, both[0], both[1]));
      }
    }
  }
  for (const auto& [name, value] : args.named) {
    HEARTH_TRY_VOID(insert(ctx, *out, ctx.name(name), value));
  }
  return out;
}

Result<Value> make_dict(Context& ctx, const Value&, const Args& args) {
  HEARTH_TRY(const Dict* out, initial_dict(ctx, args, "dict"));
  return Value::of_dict(out);
}

Result<Value> make_namespace(Context& ctx, const Value&, const Args& args) {
  HEARTH_TRY(const Dict* initial, initial_dict(ctx, args, "namespace"));
  Namespace* out = ctx.arena.ns();
  for (const auto& [key, value] : initial->entries) {
    HEARTH_TRY(const Str* name, str_argument(key, "names in a namespace"));
    out->entries.emplace_back(name->text, value);
  }
  return Value::of_namespace(out);
}

Result<Value> raise_exception(Context& ctx, const Value&, Slots slots) {
  HEARTH_TRY(const Str* message, to_text(ctx, slots[0]));
  return template_error("{}", shown(message->text));
}

// Dict methods.

Result<Value> dict_get(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const Value* found, lookup(ctx, *self.dict, slots[0]));
  if (found != nullptr) return *found;
  return slots[1].is(Kind::kMissing) ? Value::none() : slots[1];
}

template <SeqKind kKind>
Result<Value> dict_view(Context& ctx, const Value& self, Slots) {
  Seq* out = ctx.arena.seq(kKind);
  for (const auto& [key, value] : self.dict->entries) {
    HEARTH_TRY_VOID(ctx.step());
    if (kKind == SeqKind::kItems) {
      Seq* pair = ctx.arena.seq(SeqKind::kTuple);
      pair->items = {key, value};
      out->items.push_back(Value::of_seq(pair));
    } else {
      out->items.push_back(kKind == SeqKind::kKeys ? key : value);
    }
  }
  return Value::of_seq(out);
}

// Values never change, so a copy is the same.
Result<Value> copy(Context&, const Value& self, Slots) { return self; }

// List and tuple methods.

Result<Value> list_count(Context& ctx, const Value& self, Slots slots) {
  std::int64_t n = 0;
  for (const Value& value : self.seq->items) {
    HEARTH_TRY(const bool same, equal(ctx, value, slots[0]));
    n += same ? 1 : 0;
  }
  return Value::of_int(n);
}

Result<Value> list_index(Context& ctx, const Value& self, Slots slots) {
  for (std::size_t i = 0; i < self.seq->items.size(); ++i) {
    HEARTH_TRY(const bool same, equal(ctx, self.seq->items[i], slots[0]));
    if (same) return Value::of_int(static_cast<std::int64_t>(i));
  }
  return template_error("value is not in the list");
}

// Loop methods.

Result<Value> loop_cycle(Context&, const Value& self, const Args& args) {
  if (args.positional.empty()) return template_error("no items for cycling given");
  return args.positional[self.loop->index % args.positional.size()];
}

Result<Value> loop_changed(Context& ctx, const Value& self, const Args& args) {
  Seq* now = ctx.arena.seq(SeqKind::kTuple);
  now->items = args.positional;
  const Value value = Value::of_seq(now);
  if (!self.loop->changed.is(Kind::kMissing)) {
    HEARTH_TRY(const bool same, equal(ctx, self.loop->changed, value));
    if (same) return Value::of_bool(false);
  }
  self.loop->changed = value;
  return Value::of_bool(true);
}

// strftime_now: `self` is the time, in seconds since 1970-01-01 00:00 of the wanted time zone.

struct Civil {
  std::int64_t year, month, day, hour, minute, second, weekday, yearday;
};

// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
Civil civil_time(std::int64_t seconds) {
  constexpr std::int64_t kDay = 86'400;
  std::int64_t days = seconds / kDay;
  std::int64_t rest = seconds % kDay;
  if (rest < 0) {
    rest += kDay;
    --days;
  }
  const std::int64_t shifted = days + 719'468;
  const std::int64_t era = (shifted >= 0 ? shifted : shifted - 146'096) / 146'097;
  const std::int64_t doe = shifted - era * 146'097;
  const std::int64_t yoe = (doe - doe / 1460 + doe / 36'524 - doe / 146'096) / 365;
  const std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const std::int64_t mp = (5 * doy + 2) / 153;
  Civil c{};
  c.day = doy - (153 * mp + 2) / 5 + 1;
  c.month = mp < 10 ? mp + 3 : mp - 9;
  c.year = yoe + era * 400 + (c.month <= 2 ? 1 : 0);
  c.hour = rest / 3600;
  c.minute = rest / 60 % 60;
  c.second = rest % 60;
  c.weekday = ((days + 4) % 7 + 7) % 7;  // 1970-01-01 was a Thursday
  const bool leap = (c.year % 4 == 0 && c.year % 100 != 0) || c.year % 400 == 0;
  c.yearday = mp < 10 ? doy + 60 + (leap ? 1 : 0) : doy - 305;
  return c;
}

Result<std::string> time_field(const Civil& c, char field, bool unpadded) {
  static constexpr std::array<std::string_view, 7> kDays = {
      "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
  static constexpr std::array<std::string_view, 12> kMonths = {
      "January", "February", "March",     "April",   "May",      "June",
      "July",    "August",   "September", "October", "November", "December"};
  const std::string_view day = kDays[static_cast<std::size_t>(c.weekday)];
  const std::string_view month = kMonths[static_cast<std::size_t>(c.month - 1)];
  const std::int64_t hour12 = c.hour % 12 == 0 ? 12 : c.hour % 12;
  const auto two = [unpadded](std::int64_t n) {
    return unpadded ? fmt::format("{}", n) : fmt::format("{:02}", n);
  };
  switch (field) {
    case 'Y':
      return fmt::format("{}", c.year);
    case 'y':
      return two(c.year % 100);
    case 'm':
      return two(c.month);
    case 'd':
      return two(c.day);
    case 'e':
      return unpadded ? fmt::format("{}", c.day) : fmt::format("{:2}", c.day);
    case 'H':
      return two(c.hour);
    case 'I':
      return two(hour12);
    case 'M':
      return two(c.minute);
    case 'S':
      return two(c.second);
    case 'j':
      return unpadded ? fmt::format("{}", c.yearday) : fmt::format("{:03}", c.yearday);
    case 'p':
      return std::string(c.hour < 12 ? "AM" : "PM");
    case 'A':
      return std::string(day);
    case 'a':
      return std::string(day.substr(0, 3));
    case 'B':
      return std::string(month);
    case 'b':
    case 'h':
      return std::string(month.substr(0, 3));
    case 'w':
      return fmt::format("{}", c.weekday);
    case 'u':
      return fmt::format("{}", c.weekday == 0 ? 7 : c.weekday);
    case 'F':
      return fmt::format("{}-{:02}-{:02}", c.year, c.month, c.day);
    case 'T':
      return fmt::format("{:02}:{:02}:{:02}", c.hour, c.minute, c.second);
    case 'R':
      return fmt::format("{:02}:{:02}", c.hour, c.minute);
    case 'D':
    case 'x':
      return fmt::format("{:02}/{:02}/{:02}", c.month, c.day, c.year % 100);
    case 'X':
      return fmt::format("{:02}:{:02}:{:02}", c.hour, c.minute, c.second);
    case 'c':
      return fmt::format("{} {} {:2} {:02}:{:02}:{:02} {}", day.substr(0, 3), month.substr(0, 3),
                         c.day, c.hour, c.minute, c.second, c.year);
    case 'Z':
    case 'z':
      return std::string();  // as Python prints a time without a zone
    case '%':
      return std::string("%");
    case 'n':
      return std::string("\n");
    case 't':
      return std::string("\t");
    default:
      return template_error("strftime_now: field %{} is not supported",
                            shown(std::string_view(&field, 1)));
  }
}

Result<Value> strftime_now(Context& ctx, const Value& self, Slots slots) {
  HEARTH_TRY(const Str* format, str_argument(slots[0], "the format"));
  const Civil now = civil_time(self.integer);
  TextBuilder out(ctx);
  const std::string_view text = format->text;
  for (std::size_t at = 0; at < text.size();) {
    HEARTH_TRY_VOID(ctx.step());
    const std::size_t percent = std::min(text.find('%', at), text.size());
    out.append(*format, at, percent);
    if (percent == text.size()) break;
    std::size_t field = percent + 1;
    const bool unpadded = field < text.size() && text[field] == '-';
    if (unpadded) ++field;
    if (field >= text.size()) return template_error("strftime_now: incomplete field");
    HEARTH_TRY(const std::string part, time_field(now, text[field], unpadded));
    // The server's clock is nobody's input; the format may be.
    out.append(part, format->trusted_range(percent, field + 1));
    at = field + 1;
  }
  return out.finish();
}

constexpr Native kFunctions[] = {
    {"range", "", 0, nullptr, range},
    {"dict", "", 0, nullptr, make_dict},
    {"namespace", "", 0, nullptr, make_namespace},
    {"raise_exception", "message", 1, raise_exception},
};
constexpr Native kStrftimeNow = {"strftime_now", "format", 1, strftime_now};
constexpr Native kDictMethods[] = {
    {"get", "/ key default", 1, dict_get},
    {"items", "", 0, dict_view<SeqKind::kItems>},
    {"keys", "", 0, dict_view<SeqKind::kKeys>},
    {"values", "", 0, dict_view<SeqKind::kValues>},
    {"copy", "", 0, copy},
};
constexpr Native kListMethods[] = {
    {"count", "/ value", 1, list_count},
    {"index", "/ value", 1, list_index},
    {"copy", "", 0, copy},
};
constexpr Native kLoopMethods[] = {
    {"cycle", "", 0, nullptr, loop_cycle},
    {"changed", "", 0, nullptr, loop_changed},
};

const Native* find_in(std::span<const Native> table, std::string_view name) {
  const auto hit = std::find_if(table.begin(), table.end(),
                                [name](const Native& native) { return native.name == name; });
  return hit == table.end() ? nullptr : &*hit;
}

}  // namespace

const Native* find_function(std::string_view name) { return find_in(kFunctions, name); }

const Native* strftime_now_function() { return &kStrftimeNow; }

const Native* find_loop_method(std::string_view name) { return find_in(kLoopMethods, name); }

const Native* find_method(const Value& self, std::string_view name) {
  if (self.is(Kind::kStr)) return find_in(string_methods(), name);
  if (self.is(Kind::kDict)) return find_in(kDictMethods, name);
  if (!self.is(Kind::kSeq)) return nullptr;
  const bool list = self.seq->kind == SeqKind::kList;
  if (!self.seq->indexable() || (!list && name == "copy")) return nullptr;
  return find_in(kListMethods, name);
}

}  // namespace hearth::text::jinja

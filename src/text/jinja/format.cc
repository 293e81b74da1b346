// printf-style formatting: '%s' % x and the format filter.
#include <cmath>

#include "text/jinja/library.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace hearth::text::jinja {
namespace {

constexpr std::int64_t kWidthMax = 10'000;

struct Spec {
  bool left = false, zero = false, plus = false, space = false;
  std::int64_t width = 0;
  std::int64_t precision = -1;
  char type = 's';
};

struct Reader {
  std::string_view text;
  std::size_t at = 0;
  bool done() const { return at >= text.size(); }
  char peek() const { return done() ? '\0' : text[at]; }
};

Result<std::int64_t> read_number(Reader& in) {
  std::int64_t n = 0;
  while (in.peek() >= '0' && in.peek() <= '9') {
    n = n * 10 + (in.text[in.at++] - '0');
    if (n > kWidthMax) return budget_error("format widths are at most {}", kWidthMax);
  }
  return n;
}

Result<std::int64_t> read_all_digits(std::string_view digits) {
  Reader in{digits};
  return read_number(in);
}

Result<Spec> read_spec(Reader& in) {
  Spec spec;
  for (bool more = true; more;) {
    switch (in.peek()) {
      case '-':
        spec.left = true;
        break;
      case '0':
        spec.zero = true;
        break;
      case '+':
        spec.plus = true;
        break;
      case ' ':
        spec.space = true;
        break;
      default:
        more = false;
    }
    if (more) ++in.at;
  }
  HEARTH_TRY(spec.width, read_number(in));
  if (in.peek() == '.') {
    ++in.at;
    HEARTH_TRY(spec.precision, read_number(in));
  }
  if (in.done()) return template_error("incomplete format");
  spec.type = in.text[in.at++];
  return spec;
}

Result<std::string> number_text(const Spec& spec, const Value& value) {
  if (value.is(Kind::kUndefined)) return undefined_error(value);
  if (!value.is_number()) {
    return template_error("%{} needs a number, not '{}'", spec.type, type_name(value));
  }
  const bool whole = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
  const bool hex = spec.type == 'x' || spec.type == 'X' || spec.type == 'o';
  if (hex && !value.is_integral()) return template_error("%{} needs an integer", spec.type);
  std::string digits;
  bool negative = false;
  if (whole || hex) {
    std::int64_t n = 0;
    if (value.is_integral()) {
      n = value.as_int();
    } else {
      const double d = std::trunc(value.real);
      if (!(std::fabs(d) < 9.2e18)) return template_error("integer overflow");
      n = static_cast<std::int64_t>(d);
    }
    negative = n < 0;
    const std::uint64_t magnitude =
        negative ? 0 - static_cast<std::uint64_t>(n) : static_cast<std::uint64_t>(n);
    digits = whole              ? fmt::format("{}", magnitude)
             : spec.type == 'x' ? fmt::format("{:x}", magnitude)
             : spec.type == 'X' ? fmt::format("{:X}", magnitude)
                                : fmt::format("{:o}", magnitude);
    while (static_cast<std::int64_t>(digits.size()) < spec.precision) digits.insert(0, "0");
  } else {
    const double d = value.as_float();
    negative = std::signbit(d);
    const int precision = spec.precision < 0 ? 6 : static_cast<int>(spec.precision);
    if (precision > 350) return template_error("too many digits");
    const double magnitude = std::fabs(d);
    digits = spec.type == 'f' || spec.type == 'F' ? fmt::format("{:.{}f}", magnitude, precision)
             : spec.type == 'e'                   ? fmt::format("{:.{}e}", magnitude, precision)
                                                  : fmt::format("{:.{}g}", magnitude, precision);
  }
  const std::string sign = negative ? "-" : spec.plus ? "+" : spec.space ? " " : "";
  const auto width = static_cast<std::size_t>(spec.width);
  if (spec.zero && !spec.left && sign.size() + digits.size() < width) {
    digits.insert(0, width - sign.size() - digits.size(), '0');
  }
  return sign + digits;
}

Result<const Str*> converted(Context& ctx, const Spec& spec, const Value& value) {
  switch (spec.type) {
    case 's':
    case 'r': {
      const Str* s = nullptr;
      if (spec.type == 's') {
        HEARTH_TRY(s, to_text(ctx, value));
      } else {
        TextBuilder out(ctx);
        HEARTH_TRY_VOID(print_repr(ctx, value, out));
        HEARTH_TRY(const Value text, out.finish());
        s = text.str;
      }
      if (spec.precision < 0) return s;
      const std::size_t to = byte_offset(s->text, static_cast<std::size_t>(spec.precision));
      return ctx.arena.str(s->slice(0, to));
    }
    case 'd':
    case 'i':
    case 'u':
    case 'f':
    case 'F':
    case 'e':
    case 'g':
    case 'x':
    case 'X':
    case 'o': {
      HEARTH_TRY(std::string digits, number_text(spec, value));
      return ctx.arena.str({ctx.arena.bytes(std::move(digits)), value.trusted, {}});
    }
    default:
      return template_error("format %{} is not supported", shown(std::string_view(&spec.type, 1)));
  }
}

// A format that is not the template's own decides where values go: then they are not either.
void append_value(TextBuilder& out, const Str& text, bool format_trusted) {
  if (format_trusted) {
    out.append(text);
  } else {
    out.append(text.text, false);
  }
}

// Hands out the arguments of one formatting, by order or by name.
class Arguments {
 public:
  Arguments(Context& ctx, const Value& args) : ctx_(ctx), args_(args) {
    tuple_ = args.is(Kind::kSeq) && args.seq->kind == SeqKind::kTuple;
  }
  Result<Value> named(std::string_view name) {
    used_ = 1;
    if (!args_.is(Kind::kDict)) return template_error("format requires a mapping");
    HEARTH_TRY_VOID(ctx_.step());
    const Value* found = args_.dict->find(name);
    if (found == nullptr) return template_error("format: no key '{}'", shown(name));
    return *found;
  }
  Result<Value> next() {
    const std::size_t size = tuple_ ? args_.seq->items.size() : 1;
    if (used_ >= size) return template_error("not enough arguments for format");
    return tuple_ ? args_.seq->items[used_++] : (++used_, args_);
  }
  bool all_used() const {
    if (tuple_) return used_ == args_.seq->items.size();
    // Python lets mappings and lists pass unused.
    return used_ > 0 || args_.is(Kind::kDict) || args_.is(Kind::kSeq) || args_.is(Kind::kUndefined);
  }

 private:
  Context& ctx_;
  const Value& args_;
  bool tuple_ = false;
  std::size_t used_ = 0;
};

// The value a field of str.format names.
struct Numbering {
  std::size_t next = 0;
  bool automatic = false, manual = false;
};

Result<Value> field_value(std::string_view name, const Args& args, Numbering& numbering) {
  const bool numeric = name.find_first_not_of("0123456789") == std::string_view::npos;
  if (numeric) {
    std::size_t index = numbering.next;
    (name.empty() ? numbering.automatic : numbering.manual) = true;
    if (numbering.automatic && numbering.manual) {
      return template_error("format mixes numbered and unnumbered fields");
    }
    if (name.empty()) {
      ++numbering.next;
    } else {
      HEARTH_TRY(const std::int64_t n, read_all_digits(name));
      index = static_cast<std::size_t>(n);
    }
    if (index >= args.positional.size()) return template_error("not enough arguments for format");
    return args.positional[index];
  }
  if (name.find_first_of(".[") != std::string_view::npos) {
    return template_error("attributes in format fields are not supported");
  }
  for (const auto& [key, value] : args.named) {
    if (key == name) return value;
  }
  return template_error("format: no argument '{}'", shown(name));
}

// [[fill]align][sign][0][width][.precision][type]
struct BraceSpec {
  Spec spec;
  std::string fill = " ";
  char align = '\0';
};

Result<BraceSpec> read_brace_spec(std::string_view text, const Value& value) {
  BraceSpec out;
  constexpr std::string_view kAligns = "<>^";
  const std::size_t fill = text.empty() ? 0 : decode(text, 0).bytes;
  if (fill < text.size() && fill > 0 && kAligns.find(text[fill]) != std::string_view::npos) {
    out.fill = text.substr(0, fill);
    out.align = text[fill];
    text.remove_prefix(fill + 1);
  } else if (!text.empty() && kAligns.find(text[0]) != std::string_view::npos) {
    out.align = text[0];
    text.remove_prefix(1);
  }
  if (!text.empty() && text[0] == '-')
    text.remove_prefix(1);  // the default sign, no alignment here
  // A spec without a type: numbers print as str() has them.
  const bool typed = !text.empty() && ((text.back() >= 'a' && text.back() <= 'z') ||
                                       text.back() == 'X' || text.back() == 'E');
  std::string spelled(text);
  if (!typed) spelled += value.is_integral() && !value.is(Kind::kBool) ? 'd' : 's';
  Reader in{spelled};
  HEARTH_TRY(out.spec, read_spec(in));
  const std::string_view numeric = "dfFegxXo";
  const bool number_type = numeric.find(out.spec.type) != std::string_view::npos;
  if (!in.done() || (!number_type && out.spec.type != 's')) {
    return template_error("format spec '{}' is not supported", shown(text));
  }
  const bool text_value = value.is(Kind::kStr);
  if (typed && text_value == number_type) return template_error("format spec does not fit");
  if (out.align == '\0') out.align = value.is_number() ? '>' : '<';
  return out;
}

}  // namespace

Result<Value> format_percent(Context& ctx, const Str& format, const Value& args) {
  Reader in{format.text};
  Arguments arguments(ctx, args);
  TextBuilder out(ctx);
  while (!in.done()) {
    HEARTH_TRY_VOID(ctx.step());
    const std::size_t percent = std::min(in.text.find('%', in.at), in.text.size());
    out.append(format, in.at, percent);
    in.at = percent;
    if (in.done()) break;
    ++in.at;
    std::optional<std::string_view> name;
    if (in.peek() == '(') {
      const std::size_t end = in.text.find(')', in.at);
      if (end == std::string_view::npos) return template_error("incomplete format key");
      name = in.text.substr(in.at + 1, end - in.at - 1);
      in.at = end + 1;
    }
    HEARTH_TRY(const Spec spec, read_spec(in));
    if (spec.type == '%') {
      out.append("%", format.trusted_range(percent, in.at));
      continue;
    }
    HEARTH_TRY(const Value value, name ? arguments.named(*name) : arguments.next());
    HEARTH_TRY(const Str* text, converted(ctx, spec, value));
    const std::size_t size = count_code_points(text->text);
    const auto width = static_cast<std::size_t>(spec.width);
    const std::size_t padding = width > size ? width - size : 0;
    const bool trusted = format.trusted_range(percent, in.at);
    if (!spec.left) out.repeat(" ", padding, trusted);
    append_value(out, *text, trusted);
    if (spec.left) out.repeat(" ", padding, trusted);
  }
  if (!arguments.all_used()) return template_error("not all arguments converted in format");
  return out.finish();
}

Result<Value> format_braces(Context& ctx, const Str& format, const Args& args) {
  Reader in{format.text};
  TextBuilder out(ctx);
  Numbering numbering;
  while (!in.done()) {
    HEARTH_TRY_VOID(ctx.step());
    const std::size_t brace = std::min(in.text.find_first_of("{}", in.at), in.text.size());
    out.append(format, in.at, brace);
    in.at = brace;
    if (in.done()) break;
    if (in.text.substr(brace, 2) == "{{" || in.text.substr(brace, 2) == "}}") {
      out.append(format, brace, brace + 1);
      in.at += 2;
      continue;
    }
    const std::size_t end = in.text.find('}', brace);
    if (in.peek() == '}' || end == std::string_view::npos) {
      return template_error("single brace in format");
    }
    std::string_view field = in.text.substr(brace + 1, end - brace - 1);
    if (field.find('{') != std::string_view::npos) {
      return template_error("nested format fields are not supported");
    }
    in.at = end + 1;
    const std::size_t colon = std::min(field.find(':'), field.size());
    std::string_view spec_text = colon < field.size() ? field.substr(colon + 1) : "";
    field = field.substr(0, colon);
    char conversion = '\0';
    if (field.size() >= 2 && field[field.size() - 2] == '!') {
      conversion = field.back();
      field.remove_suffix(2);
      if (conversion != 'r' && conversion != 's') {
        return template_error("only !r and !s are supported in format");
      }
    }
    HEARTH_TRY(Value value, field_value(field, args, numbering));
    if (conversion != '\0') {
      Spec as_text;
      as_text.type = conversion;
      HEARTH_TRY(const Str* text, converted(ctx, as_text, value));
      value = Value::of_str(text);
    }
    HEARTH_TRY(const BraceSpec spec, read_brace_spec(spec_text, value));
    HEARTH_TRY(const Str* text, converted(ctx, spec.spec, value));
    const std::size_t size = count_code_points(text->text);
    const auto width = static_cast<std::size_t>(spec.spec.width);
    const std::size_t padding = width > size ? width - size : 0;
    const std::size_t before = spec.align == '<' ? 0 : spec.align == '>' ? padding : padding / 2;
    const bool trusted = format.trusted_range(brace, in.at);
    out.repeat(spec.fill, before, trusted);
    append_value(out, *text, trusted);
    out.repeat(spec.fill, padding - before, trusted);
  }
  return out.finish();
}

}  // namespace hearth::text::jinja

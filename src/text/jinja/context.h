// The budgets and the memory of one render, and the builder through which all text is made.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "text/jinja/template.h"
#include "text/jinja/value.h"

namespace hearth::text::jinja {

// What a template did wrong while it ran.
template <class... Args>
[[nodiscard]] tl::unexpected<Error> template_error(fmt::format_string<Args...> format,
                                                   Args&&... args) {
  return invalid("template_error", format, std::forward<Args>(args)...);
}
template <class... Args>
[[nodiscard]] tl::unexpected<Error> budget_error(fmt::format_string<Args...> format,
                                                 Args&&... args) {
  return fail(ErrorKind::kTooLarge, "template_budget", format, std::forward<Args>(args)...);
}

// For messages: a value's text or name, cut short and without line breaks.
std::string shown(std::string_view text);

class Context {
 public:
  explicit Context(const Budget& budget) : budget_(budget) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // Pays for n units of work.
  Status step(std::int64_t n = 1) {
    if (n > budget_.steps_max - steps_ || exhausted_) return out_of_budget();
    steps_ += n;
    return {};
  }
  // Pays for looking through bytes, which is far cheaper than evaluating nodes.
  Status scan(std::size_t bytes) { return step(static_cast<std::int64_t>(bytes / 256)); }
  // Whether n more bytes of text may be made; pays for them if so. If not, all later steps fail.
  bool take_bytes(std::size_t n) {
    if (n > static_cast<std::size_t>(budget_.output_bytes_max) - bytes_) {
      exhausted_ = true;
      return false;
    }
    bytes_ += n;
    return true;
  }
  // Nesting of values while they are printed, compared or converted.
  Status check_depth(std::int64_t depth) const {
    if (depth > budget_.depth_max) {
      return budget_error("values nest deeper than {} levels", budget_.depth_max);
    }
    return {};
  }
  // How far evaluation may nest: a level of source takes few of these.
  std::int64_t frames_max() const { return budget_.depth_max * 4; }

  Value text(std::string_view literal) {  // a constant of ours
    return Value::of_str(arena.str({literal, true, {}}));
  }
  // An argument's name as a value. It may stem from **variables, so it is never trusted.
  Value name(std::string_view name) { return Value::of_str(arena.str({name, false, {}})); }
  Value slice(const Str& s, std::size_t from, std::size_t to) {
    Str part = s.slice(from, to);
    static_cast<void>(take_bytes(part.runs.size() * sizeof(Run)));
    return Value::of_str(arena.str(std::move(part)));
  }

  Arena arena;

 private:
  Status out_of_budget() const {
    if (exhausted_) return budget_error("the template makes too much text");
    return budget_error("the template takes more than {} steps", budget_.steps_max);
  }

  Budget budget_;
  std::int64_t steps_ = 0;
  std::size_t bytes_ = 0;
  bool exhausted_ = false;
};

// Collects marked text. Running out of bytes is remembered and told by finish(), so that loops of
// appends need no checks of their own.
class TextBuilder {
 public:
  explicit TextBuilder(Context& context) : context_(context) {}

  void append(std::string_view text, bool trusted);
  void append(const Str& text);
  void append(const Str& text, std::size_t from, std::size_t to);
  void repeat(std::string_view text, std::size_t times, bool trusted);

  std::size_t size() const { return text_.size(); }
  Result<Value> finish();
  // The runs as pieces; neighbours differ in trust, none is empty.
  Result<std::vector<TextPiece>> pieces();

 private:
  Status check() const;

  Context& context_;
  std::string text_;
  std::vector<Run> runs_;
  bool exhausted_ = false;
};

}  // namespace hearth::text::jinja

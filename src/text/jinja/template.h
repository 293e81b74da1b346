// Chat templates: a subset of Jinja2 as a lexer, a parser and an evaluator. Templates come with
// models and are hostile input: no I/O, no access to C++ objects, and a budget on everything.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/tokenizer.h"

namespace hearth::text::jinja {

struct Budget {
  std::int64_t source_bytes_max = 1 << 20;
  std::int64_t depth_max = 64;               // nesting of the source, of calls and of values
  std::int64_t steps_max = 2'000'000;        // nodes evaluated, loop rounds, elements made
  std::int64_t output_bytes_max = 64 << 20;  // also the sum of all strings built on the way
};

class Template {
 public:
  virtual ~Template() = default;

  // `variables` is an object. Strings that stem from it are untrusted in the result, however they
  // were sliced, joined or filtered, except those of the top-level keys in `trusted_keys`
  // (bos_token, eos_token, ...). The template's own literals are trusted.
  // Errors: "template_error" (raise_exception, undefined used, wrong types) and
  // "template_budget" (a budget ran out); both with line and column.
  //
  // Behaves as Jinja2 in the sandbox that transformers sets up: trim_blocks, lstrip_blocks,
  // loopcontrols, {% generation %}, tojson without HTML escapes, raise_exception. The function
  // strftime_now exists if the variable "strftime_now" is an integer: the time to show, in seconds
  // since 1970-01-01 00:00 in the time zone wanted. Unlike Jinja2: integers have 64 bits,
  // include, import, extends, block and recursive loops are refused, `safe` and `escape` give
  // plain text, and rarer filters are missing (an error where they are used).
  virtual Result<std::vector<TextPiece>> render(const OrderedJson& variables,
                                                const std::vector<std::string_view>& trusted_keys,
                                                const Budget& budget = {}) const = 0;
};

// ErrorKind::kInvalid, code "template_syntax", with line and column.
Result<std::shared_ptr<const Template>> parse(std::string_view source, const Budget& budget = {});

}  // namespace hearth::text::jinja

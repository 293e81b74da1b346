// Text that remembers, byte run by byte run, whether the template or somebody else wrote it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::text::jinja {

struct Run {
  std::size_t end;  // one past the last byte
  bool trusted;
};

// Immutable; `text` points into an arena, the template's source or the caller's variables.
struct Str {
  std::string_view text;
  bool trusted = false;   // of all bytes, where runs is empty
  std::vector<Run> runs;  // empty or at least two, alternating, the last one ends with the text

  bool all_trusted() const { return runs.empty() && trusted; }
  bool trusted_range(std::size_t from, std::size_t to) const;
  // A view of the same bytes.
  Str slice(std::size_t from, std::size_t to) const;
};

// A code point and its length in bytes. A byte that starts no valid sequence counts as one code
// point of value -1, so that walking over any bytes ends.
struct CodePoint {
  std::int32_t value;
  std::size_t bytes;
};
CodePoint decode(std::string_view text, std::size_t at);
bool is_valid_utf8(std::string_view text);
std::size_t count_code_points(std::string_view text);
std::size_t byte_offset(std::string_view text, std::size_t code_points);  // clamped to the end
void append_utf8(std::string& out, std::int32_t code_point);

bool is_space(std::int32_t code_point);      // Python's str.isspace
bool is_printable(std::int32_t code_point);  // Python's str.isprintable
bool is_line_end(std::int32_t code_point);   // where Python's str.splitlines cuts
bool is_upper(std::int32_t code_point);
bool is_lower(std::int32_t code_point);
bool is_alpha(std::int32_t code_point);
bool is_digit(std::int32_t code_point);  // decimal digits
std::string to_upper(std::int32_t code_point);
std::string to_lower(std::int32_t code_point);

// Byte range left after stripping white space from either end.
struct ByteRange {
  std::size_t from;
  std::size_t to;
};
ByteRange strip_space(std::string_view text, bool left, bool right);

// First place of `needle` at or after `from`, in linear time; npos: nowhere.
std::size_t find_linear(std::string_view text, std::string_view needle, std::size_t from);

}  // namespace hearth::text::jinja

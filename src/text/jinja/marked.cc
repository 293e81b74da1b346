#include "text/jinja/marked.h"

#include <utf8proc.h>
#include <cstring>

#include <algorithm>

namespace hearth::text::jinja {

bool Str::trusted_range(std::size_t from, std::size_t to) const {
  if (runs.empty()) return trusted;
  const auto run = std::partition_point(runs.begin(), runs.end(),
                                        [from](const Run& r) { return r.end <= from; });
  if (from >= to || run == runs.end()) return true;
  return run->trusted && run->end >= to;  // neighbours differ in trust
}

Str Str::slice(std::size_t from, std::size_t to) const {
  Str out{text.substr(from, to - from), trusted, {}};
  if (runs.empty() || from == to) return out;
  auto run = std::partition_point(runs.begin(), runs.end(),
                                  [from](const Run& r) { return r.end <= from; });
  out.trusted = run->trusted;
  for (; run->end < to; ++run) out.runs.push_back({run->end - from, run->trusted});
  if (!out.runs.empty()) out.runs.push_back({to - from, run->trusted});
  return out;
}

CodePoint decode(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) return {lead, 1};
  std::int32_t value = -1;
  const std::string_view rest = text.substr(at, 4);
  const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(rest.data()),
                                  static_cast<utf8proc_ssize_t>(rest.size()), &value);
  if (n <= 0) return {-1, 1};
  return {value, static_cast<std::size_t>(n)};
}

bool is_valid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    if (point.value < 0) return false;
    at += point.bytes;
  }
  return true;
}

std::size_t count_code_points(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) at += decode(text, at).bytes;
  return count;
}

std::size_t byte_offset(std::string_view text, std::size_t code_points) {
  std::size_t at = 0;
  for (; code_points > 0 && at < text.size(); --code_points) at += decode(text, at).bytes;
  return at;
}

void append_utf8(std::string& out, std::int32_t code_point) {
  utf8proc_uint8_t bytes[4];
  const auto n = utf8proc_encode_char(code_point, bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
}

bool is_space(std::int32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f);
  return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_printable(std::int32_t c) {
  if (c < 0) return false;
  if (c < 0x7f) return c >= 0x20;
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_line_end(std::int32_t c) {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool is_upper(std::int32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z';
  return utf8proc_category(c) == UTF8PROC_CATEGORY_LU;
}

bool is_lower(std::int32_t c) {
  if (c < 0x80) return c >= 'a' && c <= 'z';
  return utf8proc_category(c) == UTF8PROC_CATEGORY_LL;
}

bool is_alpha(std::int32_t c) {
  if (c < 0x80) return is_upper(c) || is_lower(c);
  const auto category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_digit(std::int32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return utf8proc_category(c) == UTF8PROC_CATEGORY_ND;
}

std::string to_upper(std::int32_t c) {
  std::string out;
  if (c == 0xdf) return "SS";  // the one frequent letter whose capital form is two letters
  append_utf8(out, c < 0x80 ? (is_lower(c) ? c - 32 : c) : utf8proc_toupper(c));
  return out;
}

std::string to_lower(std::int32_t c) {
  std::string out;
  append_utf8(out, c < 0x80 ? (is_upper(c) ? c + 32 : c) : utf8proc_tolower(c));
  return out;
}

ByteRange strip_space(std::string_view text, bool left, bool right) {
  std::size_t from = 0;
  std::size_t to = text.size();
  while (left && from < to) {
    const CodePoint point = decode(text, from);
    if (!is_space(point.value)) break;
    from += point.bytes;
  }
  while (right && from < to) {
    std::size_t start = to - 1;
    while (start > from && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80) --start;
    if (!is_space(decode(text, start).value)) break;
    to = start;
  }
  return {from, to};
}

std::size_t find_linear(std::string_view text, std::string_view needle, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  // memmem is the two-way algorithm: string_view::find takes |text| * |needle| at worst.
  const void* hit = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  if (hit == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(hit) - text.data());
}

}  // namespace hearth::text::jinja

#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

namespace hearth::text {
namespace {

CharClass class_of(char32_t code_point) {
  // White_Space, PropList.txt; it cuts across the general categories.
  const bool space = (code_point >= 0x09 && code_point <= 0x0D) || code_point == 0x20 ||
                     code_point == 0x85 || code_point == 0xA0 || code_point == 0x1680 ||
                     (code_point >= 0x2000 && code_point <= 0x200A) || code_point == 0x2028 ||
                     code_point == 0x2029 || code_point == 0x202F || code_point == 0x205F ||
                     code_point == 0x3000;
  if (space) return kSpace;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      return kUpper;
    case UTF8PROC_CATEGORY_LL:
      return kLower;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return kOtherLetter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kMark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return kNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return kPunctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return kSymbol;
    default:
      return 0;
  }
}

constexpr char32_t kTableSize = 0x3000;  // all alphabets with short words; the rest asks utf8proc

std::array<CharClass, kTableSize> make_table() {
  std::array<CharClass, kTableSize> table{};
  for (char32_t c = 0; c < kTableSize; ++c) table[c] = class_of(c);
  return table;
}

}  // namespace

CharClass char_class(char32_t code_point) {
  static const std::array<CharClass, kTableSize> table = make_table();
  return code_point < kTableSize ? table[code_point] : class_of(code_point);
}

Utf8Step utf8_step(std::string_view text, std::size_t position) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[position + i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, Utf8State::kValid};

  std::size_t size = 0;
  char32_t value = 0;
  // Only the second byte has a narrower range: no overlong forms, surrogates, or above U+10FFFF.
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    size = 2;
    value = lead & 0x1Fu;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    size = 3;
    value = lead & 0x0Fu;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    size = 4;
    value = lead & 0x07u;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {};
  }
  const std::size_t present = std::min(size, text.size() - position);
  for (std::size_t i = 1; i < present; ++i) {
    if (byte(i) < low || byte(i) > high) {
      return {kReplacement, static_cast<std::uint8_t>(i), Utf8State::kInvalid};
    }
    value = (value << 6) | (byte(i) & 0x3Fu);
    low = 0x80;
    high = 0xBF;
  }
  if (present < size) {
    return {kReplacement, static_cast<std::uint8_t>(present), Utf8State::kIncomplete};
  }
  return {value, static_cast<std::uint8_t>(size), Utf8State::kValid};
}

void append_utf8(std::string& out, char32_t code_point) {
  const auto push = [&](char32_t bits) { out.push_back(static_cast<char>(bits)); };
  if (code_point < 0x80) {
    push(code_point);
  } else if (code_point < 0x800) {
    push(0xC0 | (code_point >> 6));
    push(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    push(0xE0 | (code_point >> 12));
    push(0x80 | ((code_point >> 6) & 0x3F));
    push(0x80 | (code_point & 0x3F));
  } else {
    push(0xF0 | (code_point >> 18));
    push(0x80 | ((code_point >> 12) & 0x3F));
    push(0x80 | ((code_point >> 6) & 0x3F));
    push(0x80 | (code_point & 0x3F));
  }
}

}  // namespace hearth::text

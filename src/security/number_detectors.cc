#include "security/number_detectors.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "security/context_words.h"

namespace hearth::security {
namespace {

FoldedChar next_visible(TextWindow& text, std::size_t& pos) {
  for (int i = 0;; ++i) {
    const FoldedChar c = text.at(pos);
    if (i == DigitChain::kBetweenMax || !is_invisible(c.code)) return c;
    pos += c.size;
  }
}

// `pos`: after a number. A fraction follows that is not the ".0" of a table of numbers.
bool fraction_follows(TextWindow& text, std::size_t pos) {
  const FoldedChar dot = next_visible(text, pos);
  if (dot.code != U'.') return false;
  pos += dot.size;
  FoldedChar c = text.at(pos);
  if (!is_digit(c.code)) return false;
  for (int zeros = 0; zeros < 2 && c.code == U'0'; ++zeros) {
    pos += c.size;
    c = text.at(pos);
    if (!is_digit(c.code)) return false;
  }
  return true;
}

bool is_fraction(const TextWindow& text, std::size_t pos) {
  const FoldedChar dot = text.before(pos);
  return dot.code == U'.' && is_digit(text.before(pos - dot.size).code);
}

// What is hidden already is no word that the number could belong to.
bool inside_word(const TextWindow& text, std::size_t pos, std::string_view line) {
  return pos != text.match_end() && !letters_allowed_before(line);
}

// An ASCII word is a unit only as a whole; 元 not as the beginning of 元旦 and its like.
bool unit_follows(TextWindow& text, std::size_t pos) {
  static constexpr std::u32string_view kUnits[] = {
      U"元",    U"美元", U"欧元", U"日元", U"港元", U"人民币", U"字节",   U"吨",
      U"bytes", U"byte", U"rmb",  U"cny",  U"usd",  U"yuan",   U"dollars"};
  static constexpr std::u32string_view kNotAfterYuan = U"旦月宵素音首老";
  if (text.at(pos).code == U' ') ++pos;
  for (const std::u32string_view unit : kUnits) {
    std::size_t at = pos;
    bool same = true;
    for (const char32_t wanted : unit) {
      FoldedChar c = text.at(at);
      if (is_letter(c.code)) c.code |= 0x20;
      if (c.code != wanted) {
        same = false;
        break;
      }
      at += c.size;
    }
    if (!same) continue;
    const char32_t after = text.at(at).code;
    if (is_letter(unit.front()) ? !is_letter(after)
                                : unit != U"元" || kNotAfterYuan.find(after) == kNotAfterYuan.npos)
      return true;
  }
  return false;
}

bool letter_follows(TextWindow& text, std::size_t pos) {
  return is_letter(next_visible(text, pos).code);
}

// Whether the digits from `first` on, `count` of them, stand in groups as a number is written: one
// group; single digits; or groups of three and more, of which the last may be shorter if
// `short_last`. Reads no further than the first group that is wrong.
bool read_groups(DigitChain& chain, int first, int count, bool short_last) {
  int size = 1;      // of the group that is being read
  int groups = 1;    // begun
  bool ones = true;  // all of those that ended have one digit
  for (int i = first + 1; i < first + count; ++i) {
    if (chain.digit(i) < 0) return false;
    if (!chain.starts_group(i)) {
      ++size;
      continue;
    }
    if (size != 1 && !(size >= 3 && (groups == 1 || !ones))) return false;
    if (size == 1 && !ones) return false;
    ones = ones && size == 1;
    ++groups;
    size = 1;
  }
  if (groups == 1) return true;
  return ones ? size == 1 : size >= 3 || short_last;
}

bool luhn(DigitChain& chain, int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) {
    int d = chain.digit(count - 1 - i);
    if (i % 2 == 1) d = d > 4 ? 2 * d - 9 : 2 * d;
    sum += d;
  }
  return sum % 10 == 0;
}

// Ranges of the first four digits, ISO/IEC 7812 as the card schemes publish them; 955x are old
// debit cards of Chinese banks.
bool has_issuer(DigitChain& chain) {
  struct Range {
    int first, last;
  };
  static constexpr Range kRanges[] = {
      {2200, 2204}, {2221, 2720}, {3000, 3059}, {3095, 3095}, {3528, 3589}, {3600, 3699},
      {3800, 3999}, {4000, 4999}, {5018, 5018}, {5020, 5020}, {5038, 5038}, {5100, 5599},
      {5893, 5893}, {6000, 6099}, {6200, 6299}, {6304, 6304}, {6400, 6599}, {6759, 6759},
      {6761, 6763}, {8100, 8299}, {9550, 9559}};
  int prefix = 0;
  for (int i = 0; i < 4; ++i) {
    const int d = chain.digit(i);
    if (d < 0) return false;
    prefix = 10 * prefix + d;
  }
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [&](Range r) { return prefix >= r.first && prefix <= r.last; });
}

bool is_region(int code) {
  static constexpr std::array<int, 41> kProvinces = {
      11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46,
      50, 51, 52, 53, 54, 61, 62, 63, 64, 65, 71, 81, 82, 83, 91, 92, 93, 94, 95, 96};
  return std::binary_search(kProvinces.begin(), kProvinces.end(), code);
}

bool is_date(int year, int month, int day) {
  static constexpr std::array<int, 12> kDays = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (month < 1 || month > 12 || day < 1) return false;
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (month == 2 && day == 29 && !leap) return false;
  return day <= kDays[static_cast<std::size_t>(month - 1)];
}

// Of the 17 digits; 10 is written X.
int check_value(DigitChain& chain) {
  static constexpr std::array<int, 17> kWeights = {7, 9, 10, 5,  8, 4, 2, 1, 6,
                                                   3, 7, 9,  10, 5, 8, 4, 2};
  int sum = 0;
  for (int i = 0; i < 17; ++i) sum += chain.digit(i) * kWeights[static_cast<std::size_t>(i)];
  return (12 - sum % 11) % 11;
}

}  // namespace

std::size_t find_phone(TextWindow& text, std::size_t pos, DigitChain& chain) {
  const bool plus = text.at(pos).code == U'+';
  const auto digits = [&](int first, std::string_view wanted) {
    for (const char c : wanted) {
      if (chain.digit(first++) != c - '0') return false;
    }
    return true;
  };
  int first = 0;
  if (chain.digit(0) == 8) {
    if (!digits(0, "86")) return 0;
    first = 2;
  } else if (chain.digit(0) == 0) {
    if (plus || !digits(0, "0086")) return 0;
    first = 4;
  }
  if (plus && first == 0) return 0;
  if (chain.digit(first) != 1 || chain.digit(first + 1) < 3) return 0;
  // 11 digits of which none is missing and no more follow.
  if (!read_groups(chain, first, 11, false) || !chain.ends_group(first + 10)) return 0;
  const std::size_t end = chain.end(first + 10);
  const std::string line = text.line_before(pos);
  if (letter_follows(text, end) || fraction_follows(text, end)) return 0;
  bool grouped = false;
  for (int i = first + 1; i < first + 11; ++i) grouped = grouped || chain.starts_group(i);
  if (grouped && inside_iban(line)) return 0;
  if (plus) return inside_url(line) ? 0 : end;
  if (is_fraction(text, pos) || after_currency(line) || inside_word(text, pos, line) ||
      labelled_as_other(line) || inside_url(line))
    return 0;
  return unit_follows(text, end) ? 0 : end;
}

std::size_t find_bank_card(TextWindow& text, std::size_t pos, DigitChain& chain) {
  std::string line;
  if (!has_issuer(chain)) {
    if (text.ran_out()) return 0;  // it may have one yet
    // Few numbers are so long, and looking at the line costs more than reading them.
    const bool may_be_long = read_groups(chain, 0, 16, true) || text.ran_out();
    if (may_be_long) line = text.line_before(pos);
    if (!speaks_of_card(line)) {
      text.clear();  // whatever comes, it is none
      return 0;
    }
  }
  int count = 0;  // of the longest that is right
  for (int n = 16; n <= 19; ++n) {
    if (!read_groups(chain, 0, n, true)) break;
    if (chain.ends_group(n - 1) && luhn(chain, n)) count = n;
  }
  if (count == 0 || text.ran_out()) return 0;
  if (line.empty()) line = text.line_before(pos);
  if (is_fraction(text, pos) || labelled_as_other(line) || inside_word(text, pos, line) ||
      inside_url(line) || inside_iban(line))
    return 0;
  const std::size_t end = chain.end(count - 1);
  return fraction_follows(text, end) ? 0 : end;
}

std::size_t find_id_card(TextWindow& text, DigitChain& chain) {
  const auto number = [&](int first, int count) {  // -1: a digit is missing
    int value = 0;
    for (int i = first; i < first + count; ++i) {
      const int d = chain.digit(i);
      if (d < 0) return -1;
      value = 10 * value + d;
    }
    return value;
  };
  if (!is_region(number(0, 2))) return 0;
  const int century = number(6, 2);
  if (century != 19 && century != 20) return 0;
  const int year = number(6, 4);
  // No clock: a number of the next decades is one too.
  if (year < 1900 || year > 2049 || !is_date(year, number(10, 2), number(12, 2))) return 0;
  if (number(14, 3) < 0) return 0;
  const int check = check_value(chain);
  if (check < 10) return chain.digit(17) == check && chain.ends_group(17) ? chain.end(17) : 0;
  std::size_t at = chain.end(16);
  for (int between = 0; between <= DigitChain::kBetweenMax; ++between) {
    const FoldedChar c = text.at(at);
    at += c.size;
    if ((c.code | 0x20) == U'x') return is_digit(text.at(at).code) ? 0 : at;
    if (!is_separator(c.code) && !is_invisible(c.code)) return 0;
  }
  return 0;
}

std::size_t find_digit_run(DigitChain& chain) {
  int count = 1;
  while (count < DigitChain::kDigitsMax && !chain.ends_group(count - 1)) {
    if (chain.digit(count) < 0) return 0;
    ++count;
  }
  return count == 11 || count >= 16 ? chain.end(count - 1) : 0;
}

}  // namespace hearth::security

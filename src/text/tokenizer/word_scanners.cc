#include "text/tokenizer/word_scanners.h"

#include <algorithm>

#include "text/tokenizer/pretokenizer.h"

namespace hearth::text {
namespace {

constexpr CharClass kUpperLike = kUpper | kOtherLetter | kMark;  // U of scan_tekken
constexpr CharClass kLowerLike = kLower | kOtherLetter | kMark;  // L of scan_tekken

// The stretch [begin, end) with the questions that the expressions ask about it.
struct Stretch {
  const Chars& chars;
  std::uint32_t end;

  bool is(std::uint32_t at, CharClass mask) const {
    return at < end && (chars.classes[at] & mask) != 0;
  }
  // A character of none of the classes; false at the end.
  bool is_not(std::uint32_t at, CharClass mask) const {
    return at < end && (chars.classes[at] & mask) == 0;
  }
  char32_t at(std::uint32_t index) const { return index < end ? chars.code_points[index] : 0; }
  bool is_char(std::uint32_t index, char32_t c) const {
    return index < end && chars.code_points[index] == c;
  }
  bool is_newline(std::uint32_t index) const {
    return is_char(index, U'\r') || is_char(index, U'\n');
  }
  std::uint32_t skip(std::uint32_t from, CharClass mask) const {
    while (is(from, mask)) ++from;
    return from;
  }
  std::uint32_t skip_not(std::uint32_t from, CharClass mask) const {
    while (is_not(from, mask)) ++from;
    return from;
  }
  // At most `most` numbers, so that a long run is not read again for each of its words.
  std::uint32_t skip_numbers(std::uint32_t from, std::uint32_t most) const {
    const std::uint32_t begin = from;
    while (from - begin < most && is(from, kNumber)) ++from;
    return from;
  }
  std::uint32_t skip_newlines(std::uint32_t from, bool slashes = false) const {
    while (is_newline(from) || (slashes && is_char(from, U'/'))) ++from;
    return from;
  }
};

// Characters of the English contraction at `at`, 0 if there is none.
std::uint32_t contraction(const Stretch& s, std::uint32_t at, bool any_case) {
  if (!s.is_char(at, U'\'')) return 0;
  const auto letter = [&](std::uint32_t index) {
    const char32_t c = s.at(index);
    return any_case && c >= U'A' && c <= U'Z' ? c + (U'a' - U'A') : c;
  };
  const char32_t first = letter(at + 1);
  if (first == U's' || first == U't' || first == U'm' || first == U'd') return 2;
  const char32_t second = letter(at + 2);
  const bool two = (first == U'r' && second == U'e') || (first == U'v' && second == U'e') ||
                   (first == U'l' && second == U'l');
  return two ? 3 : 0;
}

// \s+(?!\S)|\s+ at a space: all of a run but its last character, which goes to the word behind it.
std::uint32_t scan_spaces(const Stretch& s, std::uint32_t begin) {
  const std::uint32_t run = s.skip(begin, kSpace);
  return run < s.end && run - begin > 1 ? run - 1 : run;
}

// \s*[\r\n]+|\s+(?!\S)|\s+ at a space.
std::uint32_t scan_spaces_by_line(const Stretch& s, std::uint32_t begin) {
  std::uint32_t behind_newline = 0;
  for (std::uint32_t at = begin; s.is(at, kSpace); ++at) {
    if (s.is_newline(at)) behind_newline = at + 1;
  }
  return behind_newline != 0 ? behind_newline : scan_spaces(s, begin);
}

struct Llama3Style {
  std::uint32_t digits_max;
  CharClass letters;  // what a word is made of
};

std::uint32_t scan_llama3_style(const Chars& chars, std::uint32_t begin, std::uint32_t end,
                                const Llama3Style& style) {
  const Stretch s{chars, end};
  if (const std::uint32_t size = contraction(s, begin, true)) return begin + size;

  const bool may_lead = s.is_not(begin, kLetter | kNumber) && !s.is_newline(begin);
  if (may_lead && s.is(begin + 1, style.letters)) return s.skip(begin + 1, style.letters);
  if (s.is(begin, style.letters)) return s.skip(begin, style.letters);

  if (s.is(begin, kNumber)) return s.skip_numbers(begin, style.digits_max);
  const CharClass excluded = style.letters | kNumber | kSpace;
  const std::uint32_t other = s.is_char(begin, U' ') ? begin + 1 : begin;
  if (s.is_not(other, excluded)) return s.skip_newlines(s.skip_not(other, excluded));
  return scan_spaces_by_line(s, begin);
}

// U*L+|U+L* at `begin`; begin itself where neither matches.
std::uint32_t scan_cased_word(const Stretch& s, std::uint32_t begin) {
  const std::uint32_t upper_end = s.skip(begin, kUpperLike);
  const std::uint32_t lower_end = s.skip(upper_end, kLowerLike);
  if (lower_end > upper_end) return lower_end;
  // U* has eaten all: it gives back up to its last character that L+ can match instead.
  for (std::uint32_t at = upper_end; at > begin; --at) {
    if (s.is(at - 1, kLowerLike)) return at;
  }
  return upper_end;
}

struct CasedStyle {
  std::uint32_t digits_max;
  bool contractions;
};

std::uint32_t scan_cased_style(const Chars& chars, std::uint32_t begin, std::uint32_t end,
                               const CasedStyle& style) {
  const Stretch s{chars, end};
  const bool may_lead = s.is_not(begin, kLetter | kNumber) && !s.is_newline(begin);
  std::uint32_t word_end = begin;
  if (may_lead) {
    const std::uint32_t led_end = scan_cased_word(s, begin + 1);
    const bool led = led_end > begin + 1;
    if (!s.is(begin, kMark)) {
      word_end = led ? led_end : begin;
    } else {
      // A mark may lead a word or be one, and U*L+ without a lead goes before U+L* with one.
      word_end = led && s.is(led_end - 1, kLowerLike) ? led_end : begin + 1;
    }
  } else if (s.is(begin, kLetter)) {
    word_end = scan_cased_word(s, begin);
  }
  if (word_end > begin) {
    return word_end + (style.contractions ? contraction(s, word_end, true) : 0);
  }
  if (s.is(begin, kNumber)) return s.skip_numbers(begin, style.digits_max);
  constexpr CharClass kExcluded = kLetter | kNumber | kSpace;
  const std::uint32_t other = s.is_char(begin, U' ') ? begin + 1 : begin;
  if (s.is_not(other, kExcluded)) return s.skip_newlines(s.skip_not(other, kExcluded), true);
  return scan_spaces_by_line(s, begin);
}

bool is_ascii_letter(char32_t c) { return (c | 0x20) >= U'a' && (c | 0x20) <= U'z'; }
bool is_ascii_punctuation(char32_t c) {
  return c > U' ' && c < 0x7F && !is_ascii_letter(c) && !(c >= U'0' && c <= U'9');
}

// The end of a match of scan_deepseek3's expression at `begin`, or `begin`.
std::uint32_t match_deepseek3(const Stretch& s, std::uint32_t begin) {
  if (is_ascii_punctuation(s.at(begin)) && is_ascii_letter(s.at(begin + 1))) {
    std::uint32_t at = begin + 1;
    while (is_ascii_letter(s.at(at))) ++at;
    return at;
  }
  constexpr CharClass kWord = kLetter | kMark;
  const bool may_lead = s.is_not(begin, kLetter | kPunctuation | kSymbol) && !s.is_newline(begin);
  if (may_lead && s.is(begin + 1, kWord)) return s.skip(begin + 1, kWord);
  if (s.is(begin, kWord)) return s.skip(begin, kWord);
  const std::uint32_t other = s.is_char(begin, U' ') ? begin + 1 : begin;
  if (s.is(other, kPunctuation | kSymbol)) {
    return s.skip_newlines(s.skip(other, kPunctuation | kSymbol));
  }
  return s.is(begin, kSpace) ? scan_spaces_by_line(s, begin) : begin;
}

// Runs inside and outside of a set of characters.
template <class InSet>
std::uint32_t scan_runs(const Chars& chars, std::uint32_t begin, std::uint32_t end, InSet in_set) {
  const bool inside = in_set(chars, begin);
  do {
    ++begin;
  } while (begin < end && in_set(chars, begin) == inside);
  return begin;
}

bool is_number(const Chars& chars, std::uint32_t at) { return (chars.classes[at] & kNumber) != 0; }

bool is_split_punctuation(const Chars& chars, std::uint32_t at) {
  const char32_t c = chars.code_points[at];
  return (chars.classes[at] & kPunctuation) != 0 || c == U'$' || c == U'+' || c == U'<' ||
         c == U'=' || c == U'>' || c == U'^' || c == U'~' || c == U'|';
}

}  // namespace

std::uint32_t scan_gpt2(const Chars& chars, std::uint32_t begin, std::uint32_t end) {
  const Stretch s{chars, end};
  if (const std::uint32_t size = contraction(s, begin, false)) return begin + size;
  const std::uint32_t word = s.is_char(begin, U' ') ? begin + 1 : begin;
  if (s.is(word, kLetter)) return s.skip(word, kLetter);
  if (s.is(word, kNumber)) return s.skip(word, kNumber);
  constexpr CharClass kExcluded = kLetter | kNumber | kSpace;
  if (s.is_not(word, kExcluded)) return s.skip_not(word, kExcluded);
  return scan_spaces(s, begin);
}

std::uint32_t scan_llama3(const Chars& chars, std::uint32_t begin, std::uint32_t end) {
  return scan_llama3_style(chars, begin, end, {3, kLetter});
}

std::uint32_t scan_qwen2(const Chars& chars, std::uint32_t begin, std::uint32_t end) {
  return scan_llama3_style(chars, begin, end, {1, kLetter});
}

std::uint32_t scan_qwen35(const Chars& chars, std::uint32_t begin, std::uint32_t end) {
  return scan_llama3_style(chars, begin, end, {1, kLetter | kMark});
}

std::uint32_t scan_tekken(const Chars& chars, std::uint32_t begin, std::uint32_t end) {
  return scan_cased_style(chars, begin, end, {1, false});
}

std::uint32_t scan_gpt4o(const Chars& chars, std::uint32_t begin, std::uint32_t end) {
  return scan_cased_style(chars, begin, end, {3, true});
}

std::uint32_t scan_deepseek3(const Chars& chars, std::uint32_t begin, std::uint32_t end) {
  const Stretch s{chars, end};
  std::uint32_t match_end = match_deepseek3(s, begin);
  if (match_end > begin) return match_end;
  do {
    ++begin;
  } while (begin < end && match_deepseek3(s, begin) == begin);
  return begin;
}

std::uint32_t scan_each_number(const Chars& chars, std::uint32_t begin, std::uint32_t end) {
  return is_number(chars, begin) ? begin + 1 : scan_runs(chars, begin, end, is_number);
}

std::uint32_t scan_number_runs(const Chars& chars, std::uint32_t begin, std::uint32_t end) {
  return scan_runs(chars, begin, end, is_number);
}

std::uint32_t scan_number_triples(const Chars& chars, std::uint32_t begin, std::uint32_t end) {
  if (is_number(chars, begin)) return Stretch{chars, end}.skip_numbers(begin, 3);
  return scan_runs(chars, begin, end, is_number);
}

std::uint32_t scan_ascii_digit_triples(const Chars& chars, std::uint32_t begin, std::uint32_t end) {
  const auto triple = [&](std::uint32_t at) {
    if (end - at < 3) return false;
    return std::all_of(&chars.code_points[at], &chars.code_points[at] + 3,
                       [](char32_t c) { return c >= U'0' && c <= U'9'; });
  };
  if (triple(begin)) return begin + 3;
  do {
    ++begin;
  } while (begin < end && !triple(begin));
  return begin;
}

std::uint32_t scan_punctuation_runs(const Chars& chars, std::uint32_t begin, std::uint32_t end) {
  return scan_runs(chars, begin, end, is_split_punctuation);
}

std::uint32_t scan_falcon_punctuation_runs(const Chars& chars, std::uint32_t begin,
                                           std::uint32_t end) {
  return scan_runs(chars, begin, end, [](const Chars& c, std::uint32_t at) {
    return is_split_punctuation(c, at) || c.code_points[at] == U'`';
  });
}

std::uint32_t scan_cjk_runs(const Chars& chars, std::uint32_t begin, std::uint32_t end) {
  return scan_runs(chars, begin, end, [](const Chars& c, std::uint32_t at) {
    const char32_t cp = c.code_points[at];
    return (cp >= 0x4E00 && cp <= 0x9FA5) || (cp >= 0x3040 && cp <= 0x30FF);
  });
}

}  // namespace hearth::text

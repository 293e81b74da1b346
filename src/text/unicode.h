// Code points: strict UTF-8 decoding and the few classes that splitting text into words needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::text {

inline constexpr char32_t kReplacement = 0xFFFD;

enum class Utf8State : std::uint8_t {
  kValid,       // one code point
  kInvalid,     // bytes that no continuation can make valid
  kIncomplete,  // the text ends inside a code point that is valid so far
};

struct Utf8Step {
  char32_t code_point = kReplacement;  // kReplacement unless kValid
  std::uint8_t size = 1;               // bytes, 1 to 4
  Utf8State state = Utf8State::kInvalid;
};

// The step that starts at text[position]; position < text.size(). An ill-formed sequence is cut
// after its maximal subpart (The Unicode Standard, section 3.9, table 3-8).
Utf8Step utf8_step(std::string_view text, std::size_t position);

void append_utf8(std::string& out, char32_t code_point);

// Bits of char_class(): general categories grouped as regular expressions name them.
using CharClass = std::uint16_t;
inline constexpr CharClass kUpper = 1;         // Lu, Lt
inline constexpr CharClass kLower = 2;         // Ll
inline constexpr CharClass kOtherLetter = 4;   // Lm, Lo
inline constexpr CharClass kMark = 8;          // \p{M}
inline constexpr CharClass kNumber = 16;       // \p{N}
inline constexpr CharClass kPunctuation = 32;  // \p{P}
inline constexpr CharClass kSymbol = 64;       // \p{S}
inline constexpr CharClass kSpace = 128;       // \s, the property White_Space
inline constexpr CharClass kLetter = kUpper | kLower | kOtherLetter;

CharClass char_class(char32_t code_point);

}  // namespace hearth::text

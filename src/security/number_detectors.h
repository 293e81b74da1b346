// Phone, card and identity numbers at a place of a text. Each looks at a chain of digits, before
// which no digit stands, and returns the byte after the number that begins at `pos`, or 0; the
// answer counts only if `text` did not run out meanwhile.
#pragma once

#include <cstddef>

#include "security/digit_chain.h"
#include "security/text_window.h"

namespace hearth::security {

// What they read beyond `pos` at most: a plus, the digits, and what stands behind them (a word for
// a unit, a check character behind a gap).
inline constexpr std::size_t kNumberBytesMax = 3 + DigitChain::kBytesMax + 48;

// A mobile number of mainland China: 1, 3 to 9, nine digits; +86, 0086 or 86 before it. In groups
// as people write them. `pos`: where the chain begins, or at a plus before it.
std::size_t find_phone(TextWindow& text, std::size_t pos, DigitChain& chain);

// 16 to 19 digits with a check digit by Luhn (ISO/IEC 7812-1, annex B) and a prefix of an issuer,
// or a word for a card before it in the line.
std::size_t find_bank_card(TextWindow& text, std::size_t pos, DigitChain& chain);

// 18 characters by GB 11643-1999: region (GB/T 2260), date of birth, order, check character by ISO
// 7064 MOD 11-2.
std::size_t find_id_card(TextWindow& text, DigitChain& chain);

// Strict mode: a whole run of 11 digits or of 16 and more. Of a longer run than DigitChain can hold
// the beginning: the redactor hides what follows of it.
std::size_t find_digit_run(DigitChain& chain);

}  // namespace hearth::security

// E-mail addresses as they are used (a part of RFC 5321 and 5322): local part and domain in ASCII
// or full-width forms, a domain with a dot and a top level of letters.
#pragma once

#include <cstddef>

#include "security/text_window.h"

namespace hearth::security {

inline constexpr std::size_t kLocalBytesMax = 64;    // RFC 5321, 4.5.3.1.1
inline constexpr std::size_t kDomainBytesMax = 190;  // 254 in all, RFC 3696 erratum 1690
inline constexpr std::size_t kEmailBytesMax = kLocalBytesMax + 3 + kDomainBytesMax + 3;

bool is_local_char(char32_t c);   // letters, digits and . _ % + - '
bool is_local_start(char32_t c);  // letters, digits and _

// `pos`: after the @. The byte after the longest domain there, or 0; counts only if `text` did not
// run out. A name that ends like a file ("icon@2x.png") is no domain.
std::size_t find_domain(TextWindow& text, std::size_t pos);

}  // namespace hearth::security

#include "security/digit_chain.h"

namespace hearth::security {

bool DigitChain::read_one() {
  if (closed_ || count_ == kDigitsMax) return false;
  std::size_t pos = next_;
  bool separated = false;
  for (int between = 0; between <= kBetweenMax; ++between) {
    const FoldedChar c = text_.at(pos);
    if (is_digit(c.code)) {
      next_ = pos + c.size;
      entries_[static_cast<std::size_t>(count_)] = {static_cast<std::int8_t>(c.code - U'0'),
                                                    separated || count_ == 0, next_};
      ++count_;
      return true;
    }
    if (c.code == kNoChar) return false;  // asked again, it runs out again
    if (c.code < 0x80 && c.code != U' ' && c.code != U'-' && c.code != U'.') break;
    if (is_separator(c.code)) {
      separated = true;
    } else if (!is_invisible(c.code)) {
      break;
    }
    pos += c.size;
  }
  closed_ = true;
  return false;
}

int DigitChain::digit(int i) {
  while (count_ <= i) {
    if (!read_one()) return -1;
  }
  return entries_[static_cast<std::size_t>(i)].digit;
}

bool DigitChain::starts_group(int i) {
  return digit(i) >= 0 && entries_[static_cast<std::size_t>(i)].starts_group;
}

bool DigitChain::ends_group(int i) {
  if (digit(i) < 0) return false;
  if (count_ > i + 1) return entries_[static_cast<std::size_t>(i) + 1].starts_group;
  // Without reading on behind a separator: what stands there does not matter here.
  std::size_t pos = end(i);
  for (int between = 0; between <= kBetweenMax; ++between) {
    const FoldedChar c = text_.at(pos);
    if (is_digit(c.code)) return false;
    if (!is_invisible(c.code)) break;
    pos += c.size;
  }
  return true;
}

bool digit_before(const TextWindow& text, std::size_t pos) {
  for (int between = 0; between <= DigitChain::kBetweenMax; ++between) {
    const FoldedChar c = text.before(pos);
    if (is_digit(c.code)) return true;
    if (!is_invisible(c.code)) return false;
    pos -= c.size;
  }
  return false;
}

}  // namespace hearth::security

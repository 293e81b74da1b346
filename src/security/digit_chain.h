// Digits that stand together, in groups with separators between them: "138 1234 5678". Read one by
// one, only as far as somebody asks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "security/text_window.h"

namespace hearth::security {

class DigitChain {
 public:
  static constexpr int kDigitsMax = 20;  // one more than the longest card number has
  static constexpr int kBetweenMax = 3;  // characters between two digits
  // Each digit takes 4 bytes at most, each character between two of them 3.
  static constexpr std::size_t kBytesMax = kDigitsMax * (4 + kBetweenMax * 3);

  // A digit stands at `pos`.
  DigitChain(TextWindow& text, std::size_t pos) : text_(text), next_(pos) {}

  int digit(int i);          // -1: the chain has no such digit, or the text ran out
  bool starts_group(int i);  // digit(i) >= 0: a separator stands before it
  bool ends_group(int i);    // digit(i) >= 0: no digit follows but behind a separator
  std::size_t end(int i) const { return entries_[static_cast<std::size_t>(i)].end; }

 private:
  struct Entry {
    std::int8_t digit;
    bool starts_group;
    std::size_t end;  // the byte after it
  };
  bool read_one();

  TextWindow& text_;
  std::size_t next_;  // the byte after the last digit read
  int count_ = 0;
  bool closed_ = false;
  std::array<Entry, kDigitsMax> entries_;  // count_ of them are set: most chains are short
};

// Whether a digit stands right before `pos`, with nothing visible between.
bool digit_before(const TextWindow& text, std::size_t pos);

}  // namespace hearth::security

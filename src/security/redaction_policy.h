// What is hidden in texts, as it is configured; checked once, immutable and shared afterwards.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "security/custom_rules.h"

namespace hearth::security {

enum class RedactionAction : std::uint8_t {
  kOff,
  kLog,    // counted, and logged without the text
  kMask,   // replaced by kRedacted
  kBlock,  // the text ends before it
};
std::string_view name_of(RedactionAction action);

inline constexpr std::string_view kRedacted = "[REDACTED]";

struct RedactionOptions {
  // mask, block, log or off.
  std::string phone = "mask";
  std::string bank_card = "mask";
  std::string id_card = "mask";
  std::string email = "mask";
  bool strict_digits = false;  // mask every run of 11 and of 16 or more digits
  bool input = false;          // prompts too, before the model sees them
  std::vector<std::string> words;
  bool words_ignore_case = true;  // of ASCII letters
  std::string words_action = "mask";
  std::vector<PatternOptions> patterns;
};

// Places in tables by type; those of patterns come after kWord.
using RedactionType = std::size_t;
inline constexpr RedactionType kPhone = 0, kBankCard = 1, kIdCard = 2, kEmail = 3, kDigits = 4,
                               kWord = 5, kFirstPattern = 6;

// What a byte can be the beginning of; flags.
using ByteKind = std::uint8_t;
inline constexpr ByteKind kLetterByte = 1;  // of a local part of an address; not a digit
inline constexpr ByteKind kDigitByte = 2;   // a digit, or a plus
inline constexpr ByteKind kWideByte = 4;    // of a code point that may fold to one of those
inline constexpr ByteKind kWordByte = 8;    // of a configured word

class RedactionPolicy {
 public:
  // "invalid_redaction": an unknown action; a word or pattern that is empty or too long; an
  // expression that RE2 refuses, or that matches the empty text; a name twice.
  static Result<std::shared_ptr<const RedactionPolicy>> create(const RedactionOptions& options);

  std::size_t types() const { return names_.size(); }
  const std::string& name(RedactionType type) const { return names_[type]; }
  RedactionAction action(RedactionType type) const { return actions_[type]; }
  bool active(RedactionType type) const { return actions_[type] != RedactionAction::kOff; }
  bool filters_input() const { return input_; }
  bool hides_nothing() const;  // everything is off

  // More bytes are never held back in a stream.
  std::size_t held_bytes_max() const { return held_bytes_max_; }

  ByteKind kind(char byte) const { return kinds_[static_cast<unsigned char>(byte)]; }
  const WordList& words() const { return words_; }
  const std::vector<Pattern>& patterns() const { return patterns_; }

 private:
  RedactionPolicy() = default;
  void make_kinds();

  std::vector<std::string> names_;
  std::vector<RedactionAction> actions_;
  bool input_ = false;
  std::size_t held_bytes_max_ = 0;
  std::array<ByteKind, 256> kinds_{};
  WordList words_;
  std::vector<Pattern> patterns_;
};

}  // namespace hearth::security

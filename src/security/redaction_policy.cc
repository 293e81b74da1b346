#include "security/redaction_policy.h"

#include <algorithm>
#include <optional>

#include "security/email_detector.h"
#include "security/number_detectors.h"

namespace hearth::security {
namespace {

constexpr std::array<std::string_view, 4> kActions = {"off", "log", "mask", "block"};

Result<RedactionAction> action_named(const std::string& type, const std::string& name) {
  const auto* place = std::find(kActions.begin(), kActions.end(), name);
  if (place == kActions.end())
    return invalid("invalid_redaction", "{}: the action must be mask, block, log or off", type);
  return static_cast<RedactionAction>(place - kActions.begin());
}

}  // namespace

std::string_view name_of(RedactionAction action) {
  return kActions[static_cast<std::size_t>(action)];
}

Result<std::shared_ptr<const RedactionPolicy>> RedactionPolicy::create(
    const RedactionOptions& options) {
  const std::shared_ptr<RedactionPolicy> policy(new RedactionPolicy());
  const auto add = [&](const std::string& name, const std::string& action) -> Status {
    HEARTH_TRY(const RedactionAction known, action_named(name, action));
    if (std::find(policy->names_.begin(), policy->names_.end(), name) != policy->names_.end())
      return invalid("invalid_redaction", "there are two types called {}", name);
    policy->names_.push_back(name);
    policy->actions_.push_back(known);
    return {};
  };
  // In the order of the constants.
  HEARTH_TRY_VOID(add("phone", options.phone));
  HEARTH_TRY_VOID(add("bank_card", options.bank_card));
  HEARTH_TRY_VOID(add("id_card", options.id_card));
  HEARTH_TRY_VOID(add("email", options.email));
  HEARTH_TRY_VOID(add("digits", options.strict_digits ? "mask" : "off"));
  HEARTH_TRY_VOID(add("word", options.words.empty() ? "off" : options.words_action));
  policy->input_ = options.input;
  if (policy->active(kWord)) {
    HEARTH_TRY(policy->words_, WordList::create(options.words, options.words_ignore_case));
  }
  if (options.patterns.size() > kPatternsMax)
    return invalid("invalid_redaction", "there may be {} patterns at most", kPatternsMax);
  std::size_t held = std::max({kNumberBytesMax, kEmailBytesMax, policy->words_.longest()});
  for (const PatternOptions& pattern : options.patterns) {
    HEARTH_TRY(Pattern compiled, Pattern::create(pattern));
    HEARTH_TRY_VOID(add(pattern.name, pattern.action));
    held = std::max(held, compiled.bytes_max() + kPatternLookahead);
    policy->patterns_.push_back(std::move(compiled));
  }
  policy->held_bytes_max_ = held;
  policy->make_kinds();
  return policy;
}

bool RedactionPolicy::hides_nothing() const {
  return std::all_of(actions_.begin(), actions_.end(),
                     [](RedactionAction action) { return action == RedactionAction::kOff; });
}

void RedactionPolicy::make_kinds() {
  const bool numbers = active(kPhone) || active(kBankCard) || active(kIdCard) || active(kDigits);
  for (std::size_t i = 0; i < kinds_.size(); ++i) {
    const auto c = static_cast<char32_t>(i);
    ByteKind& kind = kinds_[i];
    if (active(kEmail) && i < 0x80 && is_local_start(c) && !is_digit(c)) kind |= kLetterByte;
    if ((numbers || active(kEmail)) && (is_digit(c) || c == U'+')) kind |= kDigitByte;
    // First bytes of U+0640..., U+06C0..., U+F000 to U+FFFF, U+10000 to U+3FFFF.
    if ((numbers || active(kEmail)) && (i == 0xD9 || i == 0xDB || i == 0xEF || i == 0xF0))
      kind |= kWideByte;
    if (words_.begins_with(static_cast<unsigned char>(i))) kind |= kWordByte;
  }
}

}  // namespace hearth::security

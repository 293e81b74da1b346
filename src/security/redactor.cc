#include "security/redactor.h"

#include <algorithm>
#include <utility>

#include "security/email_detector.h"
#include "security/number_detectors.h"

namespace hearth::security {

// What hides or ends the text at a place.
struct Redactor::Best {
  RedactionType type = 0;
  RedactionAction action = RedactionAction::kOff;
  std::size_t end = 0;        // 0: nothing
  std::vector<Match> logged;  // besides
};

Redactor::Redactor(std::shared_ptr<const RedactionPolicy> policy)
    : policy_(std::move(policy)),
      logged_until_(policy_->types()),
      pattern_next_(policy_->patterns().size()) {}

void Redactor::push(std::string_view text, std::string& out) {
  if (blocked_) return;
  text_ += text;
  scan(false, out);
  // What a decision may look back on stays, and moves only when there is much to drop.
  if (pos_ > 4 * kContextBytes) {
    const std::size_t drop = pos_ - kContextBytes;
    text_.erase(0, drop);
    base_ += drop;
    pos_ -= drop;
    run_end_ -= std::min(run_end_, drop);
    no_address_until_ -= std::min(no_address_until_, drop);
  }
  HEARTH_CHECK(blocked_ || text_.size() - pos_ <= policy_->held_bytes_max());
}

void Redactor::finish(std::string& out) {
  if (!blocked_) scan(true, out);
}

std::vector<Match> Redactor::take_matches() { return std::exchange(matches_, {}); }

void Redactor::scan(bool whole, std::string& out) {
  TextWindow text(text_, whole);
  if (match_end_ > base_) text.set_match_end(match_end_ - base_);
  const std::size_t size = text_.size();
  std::size_t shown = pos_;  // up to here it is in `out`
  const auto show = [&](std::size_t end) { out.append(text_, shown, end - shown); };
  if (run_open_) run_end_ = pos_;  // more has come
  next_at_ = 0;
  std::fill(pattern_next_.begin(), pattern_next_.end(), 0);
  std::size_t stop = 0;
  while (pos_ < size && !blocked_) {
    if (swallowing_) {
      show(pos_);
      swallow(text);
      shown = pos_;
      if (swallowing_) break;
      continue;
    }
    if (stop <= pos_) stop = pattern_stop(text);
    if (next_at_ <= pos_) find_at_sign();
    pos_ = plain_end(pos_, stop);
    if (pos_ == size) break;
    Best best;
    text.clear();
    look_at_place(text, best);
    if (text.ran_out()) break;
    for (const Match& match : best.logged) logged_until_[match.type] = match.end;
    std::move(best.logged.begin(), best.logged.end(), std::back_inserter(matches_));
    if (best.end == 0) {
      const FoldedChar c = text.at(pos_);
      pos_ += std::max<std::size_t>(1, c.size);
      if (is_digit(c.code)) pos_ = digits_end(pos_, stop);
      continue;
    }
    show(pos_);
    matches_.push_back({best.type, best.action, base_ + pos_, base_ + best.end, false});
    text.set_match_end(best.end);
    match_end_ = base_ + best.end;
    blocked_ = best.action == RedactionAction::kBlock;
    if (!blocked_) out += kRedacted;
    // Of a run that is longer than a chain of digits the rest.
    swallowing_ = best.type == kDigits;
    shown = pos_ = blocked_ ? size : best.end;
  }
  show(pos_);
}

// From `pos` on nothing can begin before this place; at most `limit`.
std::size_t Redactor::plain_end(std::size_t pos, std::size_t limit) const {
  const RedactionPolicy& policy = *policy_;
  const std::size_t letters_end = std::min(limit, no_address_until_);
  while (pos < letters_end && (policy.kind(text_[pos]) & ~kLetterByte) == 0) ++pos;
  if (pos < letters_end) return pos;
  while (pos < limit && policy.kind(text_[pos]) == 0) ++pos;
  return pos;
}

// Nor does anything begin at a digit behind another, unless an address or a word does.
std::size_t Redactor::digits_end(std::size_t pos, std::size_t limit) const {
  const std::size_t end = std::min(limit, no_address_until_);
  while (pos < end && text_[pos] >= '0' && text_[pos] <= '9' &&
         policy_->kind(text_[pos]) == kDigitByte)
    ++pos;
  return pos;
}

// Far from the next @ no letter begins an address, so that most text is passed without a look at
// its words.
void Redactor::find_at_sign() {
  if (!policy_->active(kEmail)) {
    next_at_ = no_address_until_ = text_.size();
    return;
  }
  constexpr std::string_view kWide = "＠";
  const std::size_t narrow = std::min(text_.find('@', pos_), text_.size());
  const std::size_t wide = std::string_view(text_).substr(0, narrow).find(kWide, pos_);
  next_at_ = std::min(narrow, wide);
  // A part of a wide one may stand at the end.
  constexpr std::size_t kReach = kLocalBytesMax + kWide.size() - 1;
  if (next_at_ > kReach) no_address_until_ = std::max(no_address_until_, next_at_ - kReach);
}

void Redactor::look_at_place(TextWindow& text, Best& best) {
  const RedactionPolicy& policy = *policy_;
  if ((policy.kind(text_[pos_]) & kWordByte) != 0)
    consider(kWord, policy.words().find(text, pos_), best);
  for (std::size_t i = 0; i < pattern_next_.size(); ++i) {
    if (pattern_next_[i] == pos_)
      consider(kFirstPattern + i, policy.patterns()[i].find(text, pos_), best);
  }
  const char32_t c = text.at(pos_).code;
  if (is_local_start(c) && policy.active(kEmail) && pos_ >= no_address_until_)
    consider(kEmail, address_end(text), best);
  if (is_digit(c) && !digit_before(text, pos_)) {
    look_at_number(text, best);
  } else if (c == U'+' && policy.active(kPhone)) {
    const std::size_t first = pos_ + text.at(pos_).size;
    if (!is_digit(text.at(first).code)) return;
    DigitChain chain(text, first);
    consider(kPhone, find_phone(text, pos_, chain), best);
  }
}

void Redactor::look_at_number(TextWindow& text, Best& best) {
  const RedactionPolicy& policy = *policy_;
  DigitChain chain(text, pos_);
  if (policy.active(kPhone)) consider(kPhone, find_phone(text, pos_, chain), best);
  if (policy.active(kIdCard)) consider(kIdCard, find_id_card(text, chain), best);
  if (policy.active(kBankCard)) consider(kBankCard, find_bank_card(text, pos_, chain), best);
  if (policy.active(kDigits)) consider(kDigits, find_digit_run(chain), best);
}

void Redactor::consider(RedactionType type, std::size_t end, Best& best) {
  const RedactionAction action = policy_->action(type);
  if (end == 0 || action == RedactionAction::kOff) return;
  if (action == RedactionAction::kLog) {
    if (base_ + pos_ < logged_until_[type]) return;
    best.logged.push_back({type, action, base_ + pos_, base_ + end, false});
    return;
  }
  if (action < best.action || (action == best.action && end <= best.end)) return;
  best.type = type;
  best.action = action;
  best.end = end;
}

// The end of the address that begins here, or 0.
std::size_t Redactor::address_end(TextWindow& text) {
  if (pos_ >= run_end_) measure_run(text.whole());
  const std::size_t local = run_end_ - pos_;
  if (run_open_ || local > kLocalBytesMax) {
    // From here it is too far; from its last bytes an address may begin.
    if (local > kLocalBytesMax)
      no_address_until_ = run_end_ - kLocalBytesMax;
    else
      text.run_out();
    return 0;
  }
  const FoldedChar at = text.at(run_end_);
  const std::size_t end = at.code == U'@' ? find_domain(text, run_end_ + at.size) : 0;
  if (end == 0 && !text.ran_out()) no_address_until_ = run_end_;  // nor from its other letters
  return end;
}

void Redactor::measure_run(bool whole) {
  TextWindow text(text_, whole);  // that it runs out is no decision yet
  run_end_ = pos_;
  for (;;) {
    const FoldedChar c = text.at(run_end_);
    if (c.size == 0 || !is_local_char(c.code)) break;
    run_end_ += c.size;
  }
  run_open_ = text.ran_out();
}

void Redactor::swallow(TextWindow& text) {
  const std::size_t begin = pos_;
  for (;;) {
    text.clear();
    const FoldedChar c = text.at(pos_);
    if (!is_digit(c.code) && !is_invisible(c.code)) break;
    pos_ += c.size;
  }
  swallowing_ = text.ran_out();
  if (pos_ > begin)
    matches_.push_back({kDigits, RedactionAction::kMask, base_ + begin, base_ + pos_, true});
}

// The first place where one of the patterns has to be looked at.
std::size_t Redactor::pattern_stop(const TextWindow& text) {
  std::size_t stop = text_.size();
  for (std::size_t i = 0; i < pattern_next_.size(); ++i) {
    if (pattern_next_[i] <= pos_) pattern_next_[i] = policy_->patterns()[i].next(text, pos_);
    stop = std::min(stop, pattern_next_[i]);
  }
  return stop;
}

std::string redact(const std::shared_ptr<const RedactionPolicy>& policy, std::string_view text,
                   std::vector<Match>* matches) {
  Redactor redactor(policy);
  std::string out;
  redactor.push(text, out);
  redactor.finish(out);
  if (matches != nullptr) *matches = redactor.take_matches();
  return out;
}

}  // namespace hearth::security

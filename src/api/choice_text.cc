#include "api/choice_text.h"

#include <algorithm>
#include <utility>

namespace hearth::api {

ChoiceText::ChoiceText(std::shared_ptr<const text::Tokenizer> tokenizer,
                       std::vector<std::string> stop, bool logprobs,
                       std::unique_ptr<OutputFilter> filter)
    : tokenizer_(tokenizer),
      detokenizer_(std::move(tokenizer)),
      stops_(std::move(stop)),
      filter_(std::move(filter)),
      logprobs_(logprobs) {}

Delta ChoiceText::push(const engine::TokenOut& token) {
  if (ended()) return {};
  ++tokens_;
  const std::string text = detokenizer_.push(token.id);
  if (logprobs_) note(token, text);
  made_ += static_cast<std::int64_t>(text.size());
  return release(stops_.push(text));
}

void ChoiceText::note(const engine::TokenOut& token, const std::string& text) {
  const auto text_of = [&](engine::TokenId id, float logprob) {
    TokenText out{{}, logprob};
    tokenizer_->append_bytes(id, out.bytes, true);
    return out;
  };
  TokenInfo info{text_of(token.id, token.logprob), {}};
  for (const engine::TokenLogprob& other : token.top) {
    info.top.push_back(text_of(other.id, other.logprob));
  }
  pending_.push_back({std::move(info), filter_ ? text : "", made_, detokenizer_.pending()});
}

Delta ChoiceText::finish() {
  Delta delta;
  if (!ended()) {
    std::string text = stops_.push(detokenizer_.finish());
    if (!stopped()) text += stops_.finish();
    delta = release(text);
  }
  finished_ = true;
  if (filter_) delta.text += filter_->finish();
  std::vector<TokenInfo> rest = take_tokens();
  std::move(rest.begin(), rest.end(), std::back_inserter(delta.tokens));
  return delta;
}

Delta ChoiceText::release(std::string_view text) {
  Delta delta;
  if (text.empty()) return delta;
  given_ += static_cast<std::int64_t>(text.size());
  delta.text = filter_ ? filter_->push(text) : std::string(text);
  if (!delta.text.empty()) delta.tokens = take_tokens();
  return delta;
}

// Those of which it is known what of them is shown; with finished_ all that are left.
std::vector<TokenInfo> ChoiceText::take_tokens() {
  std::vector<TokenInfo> out;
  std::size_t taken = 0;
  for (; taken < pending_.size(); ++taken) {
    Pending& token = pending_[taken];
    if (filter_ && !show(token)) {
      if (finished_ || withheld()) taken = pending_.size();
      break;
    }
    out.push_back(std::move(token.info));
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(taken));
  return out;
}

// Takes out of a token what the filter hides. False: it is not decided yet, or the text ends before
// it: what is withheld or cut off by a stop string is not told here either.
bool ChoiceText::show(Pending& token) {
  const auto size = static_cast<std::int64_t>(token.text.size());
  const std::int64_t end = token.begin + size + (token.unfinished ? 1 : 0);
  const std::int64_t text_end =
      finished_ ? std::min(given_, filter_->end()) : filter_->end();  // more may be given
  if (end > token.begin && token.begin >= text_end) return false;
  if (!finished_ && end > filter_->decided()) return false;
  const std::int64_t left = std::min(size, text_end - token.begin);
  const auto original = std::string_view(token.text)
                            .substr(0, static_cast<std::size_t>(std::max<std::int64_t>(0, left)));
  bool changed = false;
  std::string shown = filter_->shown(token.begin, original, token.unfinished, changed);
  if (changed || left < size) token.info = {{std::move(shown), 0.f}, {}};
  return true;
}

}  // namespace hearth::api

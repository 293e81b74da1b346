#include "api/choice_text.h"

#include <utility>

namespace hearth::api {

ChoiceText::ChoiceText(std::shared_ptr<const text::Tokenizer> tokenizer,
                       std::vector<std::string> stop, bool logprobs,
                       std::vector<std::unique_ptr<OutputFilter>> filters)
    : tokenizer_(tokenizer),
      detokenizer_(std::move(tokenizer)),
      stops_(std::move(stop)),
      filters_(std::move(filters)),
      logprobs_(logprobs) {}

Delta ChoiceText::push(const engine::TokenOut& token) {
  if (stopped()) return {};
  ++tokens_;
  if (logprobs_) {
    const auto text_of = [&](engine::TokenId id, float logprob) {
      TokenText out{{}, logprob};
      tokenizer_->append_bytes(id, out.bytes, true);
      return out;
    };
    TokenInfo info{text_of(token.id, token.logprob), {}};
    for (const engine::TokenLogprob& other : token.top) {
      info.top.push_back(text_of(other.id, other.logprob));
    }
    infos_.push_back(std::move(info));
  }
  return release(stops_.push(detokenizer_.push(token.id)));
}

Delta ChoiceText::finish() {
  std::string text;
  if (!stopped()) {
    text = stops_.push(detokenizer_.finish());
    if (!stopped()) text += stops_.finish();
  }
  Delta delta = release(std::move(text));
  delta.text += filters_.finish();
  if (!infos_.empty()) delta.tokens = std::exchange(infos_, {});
  return delta;
}

Delta ChoiceText::release(std::string text) {
  Delta delta;
  if (text.empty()) return delta;
  TextSpan span{std::move(text), bytes_, first_token_, tokens_};
  bytes_ += static_cast<std::int64_t>(span.text.size());
  first_token_ = tokens_;
  delta.text = filters_.push(std::move(span));
  if (!delta.text.empty()) delta.tokens = std::exchange(infos_, {});
  return delta;
}

}  // namespace hearth::api

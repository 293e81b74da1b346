#include "text/detokenizer.h"

#include "text/unicode.h"

namespace hearth::text {
namespace {

// Moves what is final from the front of `pending` to the result.
std::string take_final(std::string& pending) {
  std::string out;
  out.reserve(pending.size());
  std::size_t at = 0;
  while (at < pending.size()) {
    const Utf8Step step = utf8_step(pending, at);
    if (step.state == Utf8State::kIncomplete) break;
    if (step.state == Utf8State::kValid) {
      out.append(pending, at, step.size);
    } else {
      append_utf8(out, kReplacement);
    }
    at += step.size;
  }
  pending.erase(0, at);
  return out;
}

}  // namespace

Detokenizer::Detokenizer(std::shared_ptr<const Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)) {}

std::string Detokenizer::push(TokenId id) {
  tokenizer_->append_bytes(id, pending_);
  return take_final(pending_);
}

std::string Detokenizer::finish() {
  std::string out;
  // One ill-formed sequence, so one U+FFFD, however many bytes it has.
  if (!pending_.empty()) append_utf8(out, kReplacement);
  pending_.clear();
  return out;
}

std::string decode(const Tokenizer& tokenizer, std::span<const TokenId> ids, bool control) {
  std::string bytes;
  for (const TokenId id : ids) tokenizer.append_bytes(id, bytes, control);
  const TokenizerData& data = tokenizer.data();
  if (data.model == TokenizerData::Model::kSentencePieceBpe && data.add_space_prefix) {
    const auto shown = [&](TokenId id) { return !tokenizer.is_control(id); };
    // The prefix was put before text, so not where a control token was written out first.
    const bool text_first = !control || ids.empty() || shown(ids.front());
    if (text_first && bytes.starts_with(' ')) bytes.erase(0, 1);
  }
  std::string out = take_final(bytes);
  if (!bytes.empty()) append_utf8(out, kReplacement);
  return out;
}

}  // namespace hearth::text

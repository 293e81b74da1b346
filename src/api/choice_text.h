// One choice's tokens as text: detokenizer, stop strings, output filter, logprobs. No threads, no
// HTTP.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/output_filter.h"
#include "api/stop_strings.h"
#include "engine/messages.h"
#include "text/detokenizer.h"

namespace hearth::api {

struct TokenText {
  std::string bytes;  // may be a part of a code point; control tokens by their name
  float logprob = 0.f;
};

// Of a token with hidden text only what is shown of it, with logprob 0 and no others: by them
// somebody with the same model could tell what it was.
struct TokenInfo {
  TokenText token;
  std::vector<TokenText> top;  // best first
};

struct Delta {
  std::string text;               // valid UTF-8, whole code points
  std::vector<TokenInfo> tokens;  // those since the last delta with text; empty without logprobs
};

class ChoiceText {
 public:
  // `filter`: null, everything passes.
  ChoiceText(std::shared_ptr<const text::Tokenizer> tokenizer, std::vector<std::string> stop,
             bool logprobs, std::unique_ptr<OutputFilter> filter = nullptr);

  // After ended() nothing more is taken.
  Delta push(const engine::TokenOut& token);
  Delta finish();  // what was held back; once, at the end

  bool stopped() const { return stops_.matched(); }                 // a stop string was completed
  bool withheld() const { return filter_ && filter_->withheld(); }  // by the filter
  bool ended() const { return stopped() || withheld(); }
  std::int64_t tokens() const { return tokens_; }  // taken so far, the completing one included

 private:
  struct Pending {
    TokenInfo info;
    std::string text;         // what it made final
    std::int64_t begin = 0;   // where that is in the choice's text
    bool unfinished = false;  // a code point began in it that the next tokens end
  };
  void note(const engine::TokenOut& token, const std::string& text);
  Delta release(std::string_view text);
  std::vector<TokenInfo> take_tokens();
  bool show(Pending& token);

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  text::Detokenizer detokenizer_;
  StopStrings stops_;
  std::unique_ptr<OutputFilter> filter_;
  const bool logprobs_;
  std::vector<Pending> pending_;  // not yet given out
  std::int64_t tokens_ = 0;
  std::int64_t made_ = 0;   // bytes out of the detokenizer
  std::int64_t given_ = 0;  // of them to the filter
  bool finished_ = false;
};

}  // namespace hearth::api

// One choice's tokens as text: detokenizer, stop strings, output filters, logprobs. No threads, no
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
  ChoiceText(std::shared_ptr<const text::Tokenizer> tokenizer, std::vector<std::string> stop,
             bool logprobs, std::vector<std::unique_ptr<OutputFilter>> filters = {});

  // After a stop string was completed nothing more is taken.
  Delta push(const engine::TokenOut& token);
  Delta finish();  // what was held back; once, at the end

  bool stopped() const { return stops_.matched(); }  // a stop string was completed
  std::int64_t tokens() const { return tokens_; }    // taken so far, the completing one included

 private:
  Delta release(std::string text);

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  text::Detokenizer detokenizer_;
  StopStrings stops_;
  FilterChain filters_;
  const bool logprobs_;
  std::vector<TokenInfo> infos_;  // not yet given out
  std::int64_t tokens_ = 0;
  std::int64_t bytes_ = 0;        // given to the filters
  std::int64_t first_token_ = 0;  // of the text given to the filters next
};

}  // namespace hearth::api

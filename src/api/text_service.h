// From a request's text to token ids. User text is never trusted: only a template's own text may
// become control tokens.
#pragma once

#include <string>
#include <vector>

#include "api/served_model.h"
#include "base/json.h"
#include "base/result.h"

namespace hearth::api {

// A raw prompt, with BOS as the tokenizer says. Text that cannot fit into the context whatever its
// tokens are is refused before tokenizing ("context_length_exceeded").
Result<std::vector<engine::TokenId>> encode_prompt(const ServedModel& model,
                                                   const std::string& text);

// Messages through the model's template, asking for the assistant's turn.
Result<std::vector<engine::TokenId>> encode_chat(const ServedModel& model,
                                                 const OrderedJson& messages);

// The text of these ids, control tokens left out; always valid UTF-8. Ids outside the vocabulary
// are refused ("invalid_prompt").
Result<std::string> decode(const ServedModel& model, const std::vector<engine::TokenId>& tokens);

// "context_length_exceeded" unless the prompt leaves room for a token.
Status check_prompt_length(const ServedModel& model, std::size_t tokens);

}  // namespace hearth::api

// The logits of every position of a text: for `logits` and `eval`, not for serving.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "model/model.h"

namespace hearth::engine {

// Calls `on_position(i, logits)` for each token i in order; logits are those of the token after it.
// "invalid_prompt" for ids out of the vocabulary, "context_length_exceeded" beyond the model's
// context (or `context`, where that is not 0).
Status score(
    const model::Model& model, std::span<const std::int32_t> tokens, std::int64_t context,
    const std::function<void(std::int64_t position, std::span<const float> logits)>& on_position);

}  // namespace hearth::engine

// Fields of requests that have a structure of their own. Each states its schema where it is read;
// see api/fields.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/fields.h"
#include "api/request_limits.h"
#include "engine/messages.h"

namespace hearth::api {

using PromptOrIds = std::variant<std::string, std::vector<engine::TokenId>>;

void read_stop(Fields& fields, const RequestLimits& limits, std::vector<std::string>& out);
void read_logit_bias(Fields& fields, const RequestLimits& limits,
                     std::vector<std::pair<engine::TokenId, float>>& out);
// Negative ones and those beyond int64 too. `as_text`: it may be written as text.
void read_seed(Fields& fields, bool as_text, std::optional<std::uint64_t>& out);
void read_prompt(Fields& fields, PromptOrIds& out);
// `input` of an embedding: a text, a list of token ids, or a list of these.
void read_inputs(Fields& fields, const RequestLimits& limits, std::vector<PromptOrIds>& out);
void read_token_ids(Fields& fields, std::string_view name, std::vector<engine::TokenId>& out);
// The list that a chat template takes: objects with `role`, `content` as one string, perhaps
// `name`.
void read_messages(Fields& fields, OrderedJson& out);

}  // namespace hearth::api

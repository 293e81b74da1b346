// The bodies of generating requests, read once into native types. Every field is range-checked;
// fields we do not have are refused by name ("unsupported_field", "unknown_field") unless their
// value asks for nothing; `chat_template` anywhere in a request is refused, and so is NUL in any
// string.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/fields.h"
#include "api/request_limits.h"
#include "api/structured_fields.h"
#include "engine/messages.h"
#include "net/http.h"

namespace hearth::api {

struct GenerationParams {
  std::string model;  // empty or "default": the first
  engine::SamplingParams sampling;
  std::optional<std::uint64_t> seed;       // absent: one from the operating system
  std::optional<std::int64_t> max_tokens;  // absent: what is left of the context
  bool max_tokens_given = false;           // else it is the route's usual number
  std::int64_t choices = 1;
  std::vector<std::string> stop;
  std::optional<engine::Priority> priority;  // absent: the key's usual one
  bool ignore_eos = false;
  bool stream = false;
  bool include_usage = false;
};

struct GenerateCall {
  GenerationParams params;
  std::string prompt;
};

struct CompletionCall {
  GenerationParams params;
  PromptOrIds prompt;
};

struct ChatCall {
  GenerationParams params;
  OrderedJson messages;  // checked: objects with `role` and string `content`; perhaps `name`
};

struct TokenizeCall {
  std::string model;
  std::string prompt;
  OrderedJson messages;  // an array where the template is to make the prompt; else null
};

struct EmbeddingCall {
  std::string model;
  std::vector<PromptOrIds> inputs;  // at least one
  bool base64 = false;
};

struct DetokenizeCall {
  std::string model;
  std::vector<engine::TokenId> tokens;
};

template <class T>
using Parsed = tl::expected<T, ApiError>;

// The request's document: the JSON body whatever its Content-Type, or, for `query_allowed` and an
// empty body, the query's pairs as an object of strings (`from_query`).
struct Document {
  OrderedJson object;
  bool from_query = false;
  // If set, a parse function reads nothing: it puts the JSON Schema of what it accepts here. Of
  // `object` only matters which fields it has, where other fields depend on that.
  OrderedJson* described = nullptr;
  RequestLimits limits = {};
};
Parsed<Document> read_document(const net::HttpRequest& request, bool query_allowed,
                               const RequestLimits& limits = {});

Parsed<GenerateCall> parse_generate(const Document& document);
Parsed<CompletionCall> parse_completion(const Document& document);
Parsed<ChatCall> parse_chat(const Document& document);
Parsed<EmbeddingCall> parse_embedding(const Document& document);
Parsed<TokenizeCall> parse_tokenize(const Document& document);
Parsed<DetokenizeCall> parse_detokenize(const Document& document);

// The JSON Schema of what `parse` accepts; of a document that has the fields of `present`, where
// they change which others there are.
template <class T>
OrderedJson describe(Parsed<T> (*parse)(const Document&),
                     OrderedJson present = OrderedJson::object(),
                     const RequestLimits& limits = {}) {
  OrderedJson schema;
  [[maybe_unused]] const auto nothing = parse(Document{std::move(present), false, &schema, limits});
  return schema;
}

}  // namespace hearth::api

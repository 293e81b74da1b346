#include "api/answer_schema.h"

#include <utility>

namespace hearth::api {
namespace {

// All of these are there, and nothing else.
OrderedJson object(OrderedJson properties) {
  OrderedJson required = OrderedJson::array();
  for (const auto& [name, schema] : properties.items()) required.push_back(name);
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)},
          {"additionalProperties", false}};
}

OrderedJson string() { return {{"type", "string"}}; }
OrderedJson null() { return {{"type", "null"}}; }
OrderedJson number() { return {{"type", "number"}}; }
OrderedJson count() { return {{"type", "integer"}, {"minimum", 0}}; }
OrderedJson amount() { return {{"type", "number"}, {"minimum", 0}}; }
OrderedJson constant(const char* text) { return {{"type", "string"}, {"const", text}}; }
OrderedJson list(OrderedJson items) { return {{"type", "array"}, {"items", std::move(items)}}; }
OrderedJson one_of(std::initializer_list<const char*> choices) {
  OrderedJson values = OrderedJson::array();
  for (const char* choice : choices) values.push_back(choice);
  return {{"type", "string"}, {"enum", std::move(values)}};
}
OrderedJson or_null(OrderedJson schema) {
  return {{"anyOf", OrderedJson::array({std::move(schema), null()})}};
}

OrderedJson finish_reason() { return one_of({"stop", "length"}); }

OrderedJson usage() {
  return object({{"prompt_tokens", count()},
                 {"completion_tokens", count()},
                 {"total_tokens", count()},
                 {"prompt_tokens_details", object({{"cached_tokens", count()}})}});
}

OrderedJson timings() {
  return object({{"queued_ms", amount()},
                 {"prefill_ms", amount()},
                 {"decode_ms", amount()},
                 {"ttft_ms", amount()},
                 {"prompt_tokens_per_s", amount()},
                 {"tokens_per_s", amount()}});
}

OrderedJson token_properties() {
  const OrderedJson byte = {{"type", "integer"}, {"minimum", 0}, {"maximum", 255}};
  return {{"token", string()}, {"logprob", number()}, {"bytes", list(byte)}};
}

OrderedJson chat_logprobs() {
  OrderedJson entry = token_properties();
  entry["top_logprobs"] = list(object(token_properties()));
  return object({{"content", list(object(std::move(entry)))}, {"refusal", null()}});
}

OrderedJson completion_logprobs() {
  const OrderedJson by_text = {{"type", "object"}, {"additionalProperties", number()}};
  return object({{"tokens", list(string())},
                 {"token_logprobs", list(number())},
                 {"top_logprobs", list(by_text)},
                 {"text_offset", list(count())}});
}

OrderedJson openai_answer(const char* name, OrderedJson choice) {
  return object({{"id", string()},
                 {"object", constant(name)},
                 {"created", count()},
                 {"model", string()},
                 {"choices", list(std::move(choice))},
                 {"usage", usage()}});
}

}  // namespace

Answer json_answer(NamedSchema schema, int status, std::string description) {
  return {status, std::move(description), "application/json", std::move(schema)};
}

Answer metrics_answer() { return {200, "Success.", "text/plain", {"Metrics", string()}}; }

Answer stream_answer() {
  // Of each event, as those do who read text/event-stream in an OpenAPI document before 3.2.
  OrderedJson event = object({{"event", one_of({"message", "error"})}, {"data", string()}});
  event["required"] = OrderedJson::array({"data"});
  event["description"] =
      "With `stream`: each event's data is a JSON document, the last one's is [DONE]. An event of "
      "the name `error` carries an error and is the last.";
  return {200, "Success.", "text/event-stream", {"StreamEvent", std::move(event)}};
}

NamedSchema health_schema() {
  return {"Health", object({{"status", one_of({"ok", "ready", "engine_failed"})}})};
}

NamedSchema model_schema() {
  return {"Model", object({{"id", string()},
                           {"object", constant("model")},
                           {"created", count()},
                           {"owned_by", string()}})};
}

NamedSchema model_list_schema() {
  return {"ModelList",
          object({{"object", constant("list")}, {"data", list(model_schema().schema)}})};
}

NamedSchema loaded_model_schema() {
  OrderedJson schema = model_schema().schema;
  const OrderedJson more = {
      {"healthy", {{"type", "boolean"}}}, {"max_model_len", count()}, {"weight_bytes", count()},
      {"cache_bytes", count()},           {"running", count()},       {"waiting", count()}};
  for (const auto& [name, property] : more.items()) {
    schema["properties"][name] = property;
    schema["required"].push_back(name);
  }
  return {"LoadedModel", std::move(schema)};
}

NamedSchema loaded_model_list_schema() {
  return {"LoadedModelList",
          object({{"object", constant("list")}, {"data", list(loaded_model_schema().schema)}})};
}

NamedSchema deleted_model_schema() {
  return {"DeletedModel", object({{"id", string()},
                                  {"object", constant("model")},
                                  {"deleted", {{"type", "boolean"}}}})};
}

NamedSchema generate_schema() {
  return {"GenerateAnswer", object({{"text", string()},
                                    {"finish_reason", finish_reason()},
                                    {"usage", usage()},
                                    {"timings", timings()}})};
}

NamedSchema completion_schema() {
  return {"CompletionAnswer",
          openai_answer("text_completion", object({{"index", count()},
                                                   {"text", string()},
                                                   {"logprobs", or_null(completion_logprobs())},
                                                   {"finish_reason", finish_reason()}}))};
}

NamedSchema chat_schema() {
  OrderedJson message =
      object({{"role", constant("assistant")}, {"content", string()}, {"refusal", null()}});
  return {"ChatAnswer",
          openai_answer("chat.completion", object({{"index", count()},
                                                   {"message", std::move(message)},
                                                   {"logprobs", or_null(chat_logprobs())},
                                                   {"finish_reason", finish_reason()}}))};
}

NamedSchema embeddings_schema() {
  // A list of numbers, or these in base64.
  const OrderedJson vector = {{"anyOf", OrderedJson::array({list(number()), string()})}};
  OrderedJson one =
      object({{"object", constant("embedding")}, {"index", count()}, {"embedding", vector}});
  return {"Embeddings",
          object({{"object", constant("list")},
                  {"data", list(std::move(one))},
                  {"model", string()},
                  {"usage", object({{"prompt_tokens", count()}, {"total_tokens", count()}})}})};
}

NamedSchema tokens_schema() {
  return {"Tokens",
          object({{"count", count()}, {"max_model_len", count()}, {"tokens", list(count())}})};
}

NamedSchema text_schema() { return {"Text", object({{"prompt", string()}})}; }

NamedSchema openapi_schema() {
  return {"OpenApi", {{"type", "object"}, {"description", "This document."}}};
}

}  // namespace hearth::api

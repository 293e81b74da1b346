#include "api/schema.h"

#include <algorithm>
#include <limits>

#include "api/neutral.h"
#include "api/structured_fields.h"

namespace hearth::api {
namespace {

tl::unexpected<ApiError> refuse(ErrorKind kind, std::string code, std::string param,
                                std::string message) {
  return tl::unexpected(
      ApiError{Error{kind, std::move(code), std::move(message)}, std::move(param)});
}

// The parser has bounded the depth.
std::optional<ApiError> check_tree(const OrderedJson& value) {
  const auto no_nul = [](const std::string& text) { return text.find('\0') == std::string::npos; };
  if (value.is_string() && !no_nul(value.get_ref<const std::string&>())) {
    return ApiError{Error{ErrorKind::kInvalid, "invalid_value", "NUL character in a string"}, ""};
  }
  if (!value.is_structured()) return std::nullopt;
  for (const auto& [name, member] : value.items()) {
    if (value.is_object()) {
      if (name == "chat_template") {
        return ApiError{Error{ErrorKind::kUnsupported, "unsupported_field",
                              "a chat template cannot be given in a request"},
                        "chat_template"};
      }
      if (!no_nul(name)) {
        return ApiError{Error{ErrorKind::kInvalid, "invalid_value", "NUL character in a name"}, ""};
      }
    }
    if (auto error = check_tree(member)) return error;
  }
  return std::nullopt;
}

// What every generating route has.
void read_common(Fields& fields, const Document& document, GenerationParams& params) {
  const RequestLimits& limits = document.limits;
  engine::SamplingParams& s = params.sampling;
  fields.text("model", params.model);
  fields.number("temperature", s.temperature, 0, limits.temperature_max);
  fields.number("top_p", s.top_p, 0, 1);
  if (s.top_p == 0.f) {  // OpenAI allows it; the limit of ever smaller values is the best token
    s.top_p = 1.f;
    s.top_k = 1;
  }
  std::int64_t top_k = s.top_k;
  fields.integer("top_k", top_k, -1, limits.top_k_max);
  if (top_k > 0 && s.top_k != 1) s.top_k = static_cast<std::int32_t>(top_k);
  fields.number("min_p", s.min_p, 0, 1);
  s.repetition_penalty = 1.f;
  fields.number("repetition_penalty", s.repetition_penalty, limits.repetition_penalty_min,
                limits.repetition_penalty_max);
  fields.number("presence_penalty", s.presence_penalty, -limits.penalty_max, limits.penalty_max);
  fields.number("frequency_penalty", s.frequency_penalty, -limits.penalty_max, limits.penalty_max);
  read_logit_bias(fields, limits, s.logit_bias);
  read_seed(fields, document.from_query, params.seed);
  read_stop(fields, limits, params.stop);
  params.max_tokens_given = fields.has("max_tokens");
  fields.integer("max_tokens", params.max_tokens, 1, limits.max_tokens_max);
  fields.boolean("ignore_eos", params.ignore_eos);
  fields.boolean("stream", params.stream);
}

// What both OpenAI routes have besides.
void read_openai(Fields& fields, const RequestLimits& limits, GenerationParams& params) {
  fields.integer("n", params.choices, 1, limits.choices_max);
  bool has_options = false;
  fields.object("stream_options", [&](Fields& options) {
    has_options = true;
    options.boolean("include_usage", params.include_usage);
    options.unsupported_unless("include_obfuscation", kAnyBoolean);  // random padding: we send none
  });
  if (has_options && !params.stream) {
    fields.fail(ErrorKind::kInvalid, "invalid_value", "stream_options",
                "stream_options is only for streams");
  }
  std::string tier = "auto";
  fields.one_of("service_tier", tier, {"auto", "default", "flex"});
  if (tier == "default") params.priority = engine::Priority::kInteractive;
  if (tier == "flex") params.priority = engine::Priority::kBatch;
  fields.unsupported_unless("user", kAnyText);
}

// Bounds what one request can make the server hold.
void check_volume(Fields& fields, const RequestLimits& limits, const GenerationParams& params) {
  if (!params.max_tokens) return;
  const std::int64_t per_token = std::max(0, params.sampling.top_logprobs) + 1;
  if (params.choices * per_token > limits.output_tokens_max / *params.max_tokens) {
    fields.fail(
        ErrorKind::kInvalid, "invalid_value", "n",
        fmt::format("n * max_tokens * (1 + logprobs) may be {} at most", limits.output_tokens_max));
  }
}

template <class T>
Parsed<T> finish(Fields& fields, const Document& document, T call) {
  check_volume(fields, document.limits, call.params);
  if (!fields.error()) fields.finish();
  if (fields.error()) return tl::unexpected(*fields.error());
  return call;
}

// Neutral values of what the chat API has and we do not.
void read_neutral_chat_fields(Fields& fields) {
  fields.unsupported_unless("response_format", kTextFormat);
  fields.unsupported_unless("tools", kEmptyList);
  fields.unsupported_unless("functions", kEmptyList);
  fields.unsupported_unless("tool_choice", kNoToolOrAuto);
  fields.unsupported_unless("function_call", kNoToolOrAuto);
  fields.unsupported_unless("parallel_tool_calls", kAnyBoolean);
  fields.unsupported_unless("store", kFalse);
  fields.unsupported_unless("metadata", kTextsByName);
  fields.unsupported_unless("modalities", kTextModality);
  fields.unsupported_unless("safety_identifier", kAnyText);
  fields.unsupported_unless("prompt_cache_key", kAnyText);
  for (const char* name : {"audio", "prediction", "reasoning_effort", "verbosity",
                           "web_search_options", "prompt_cache_retention"}) {
    fields.unsupported_unless(name, kNever);
  }
}

// Whether `document` is read or described.
Fields fields_of(const Document& document) {
  if (document.described != nullptr) return Fields::describing(*document.described);
  return Fields(document.object, document.from_query);
}

}  // namespace

Parsed<Document> read_document(const net::HttpRequest& request, bool query_allowed,
                               const RequestLimits& limits) {
  Document document;
  document.limits = limits;
  for (const auto& [name, value] : request.query) {
    if (name == "chat_template") {
      return refuse(ErrorKind::kUnsupported, "unsupported_field", name,
                    "a chat template cannot be given in a request");
    }
  }
  if (query_allowed && !request.query.empty()) {
    if (!request.body.empty()) {
      return refuse(ErrorKind::kInvalid, "query_and_body", "",
                    "give the fields in the query or in the body, not in both");
    }
    document.from_query = true;
    document.object = OrderedJson::object();
    for (const auto& [name, value] : request.query) {
      if (document.object.contains(name)) {
        return refuse(ErrorKind::kInvalid, "duplicate_field", name.substr(0, 100),
                      "a field is in the query twice");
      }
      document.object[name] = value;
    }
    return document;
  }
  auto parsed = parse_json_ordered(request.body, {request.body.size() + 1, limits.json_depth_max});
  if (!parsed) return tl::unexpected(ApiError{std::move(parsed).error(), ""});
  document.object = *std::move(parsed);
  if (!document.object.is_object()) {
    return refuse(ErrorKind::kInvalid, "invalid_type", "", "the body must be a JSON object");
  }
  if (auto error = check_tree(document.object)) return tl::unexpected(*std::move(error));
  return document;
}

Parsed<GenerateCall> parse_generate(const Document& document) {
  GenerateCall call;
  call.params.max_tokens = 200;
  Fields fields = fields_of(document);
  fields.require("prompt");
  fields.text("prompt", call.prompt);
  read_common(fields, document, call.params);
  return finish(fields, document, std::move(call));
}

Parsed<CompletionCall> parse_completion(const Document& document) {
  CompletionCall call;
  call.params.sampling.temperature = 1.f;
  call.params.max_tokens = 16;
  Fields fields = fields_of(document);
  read_prompt(fields, call.prompt);
  read_common(fields, document, call.params);
  read_openai(fields, document.limits, call.params);
  std::int64_t logprobs = -1;
  fields.integer("logprobs", logprobs, 0, document.limits.top_logprobs_max);
  call.params.sampling.top_logprobs = static_cast<std::int32_t>(logprobs);
  std::optional<std::int64_t> best_of;
  fields.integer("best_of", best_of, 1, document.limits.choices_max);
  if (best_of && *best_of != call.params.choices) {
    fields.fail(ErrorKind::kUnsupported, "unsupported_field", "best_of",
                "best_of is only supported where it equals n");
  }
  fields.unsupported_unless("echo", kFalse);
  fields.unsupported_unless("suffix", kNoText);
  return finish(fields, document, std::move(call));
}

Parsed<ChatCall> parse_chat(const Document& document) {
  ChatCall call;
  call.params.sampling.temperature = 1.f;
  Fields fields = fields_of(document);
  read_messages(fields, call.messages);
  read_common(fields, document, call.params);
  call.params.max_tokens_given |= fields.has("max_completion_tokens");
  fields.integer("max_completion_tokens", call.params.max_tokens, 1,
                 document.limits.max_tokens_max);
  read_openai(fields, document.limits, call.params);
  bool logprobs = false;
  std::int64_t top = -1;
  fields.boolean("logprobs", logprobs);
  fields.integer("top_logprobs", top, 0, document.limits.top_logprobs_max);
  if (top > 0 && !logprobs) {
    fields.fail(ErrorKind::kInvalid, "invalid_value", "top_logprobs",
                "top_logprobs needs logprobs: true");
  }
  if (logprobs)
    call.params.sampling.top_logprobs = static_cast<std::int32_t>(std::max<std::int64_t>(0, top));
  read_neutral_chat_fields(fields);
  return finish(fields, document, std::move(call));
}

Parsed<EmbeddingCall> parse_embedding(const Document& document) {
  EmbeddingCall call;
  Fields fields = fields_of(document);
  fields.text("model", call.model);
  read_inputs(fields, document.limits, call.inputs);
  std::string format = "float";
  fields.one_of("encoding_format", format, {"float", "base64"});
  call.base64 = format == "base64";
  fields.unsupported_unless("dimensions", kNever);
  fields.unsupported_unless("user", kAnyText);
  fields.finish();
  if (fields.error()) return tl::unexpected(*fields.error());
  return call;
}

Parsed<TokenizeCall> parse_tokenize(const Document& document) {
  TokenizeCall call;
  Fields fields = fields_of(document);
  fields.text("model", call.model);
  if (document.object.contains("messages")) {  // null too: it is there, and wrong
    read_messages(fields, call.messages);
  } else {
    fields.require("prompt");
    fields.text("prompt", call.prompt);
  }
  fields.finish();
  if (fields.error()) return tl::unexpected(*fields.error());
  return call;
}

Parsed<DetokenizeCall> parse_detokenize(const Document& document) {
  DetokenizeCall call;
  Fields fields = fields_of(document);
  fields.text("model", call.model);
  read_token_ids(fields, "tokens", call.tokens);
  fields.finish();
  if (fields.error()) return tl::unexpected(*fields.error());
  return call;
}

}  // namespace hearth::api

#include "api/schema.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

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

bool is_false(const OrderedJson& value) { return value == false; }
bool is_bool(const OrderedJson& value) { return value.is_boolean(); }
bool is_text(const OrderedJson& value) { return value.is_string(); }
bool is_empty(const OrderedJson& value) { return value.is_structured() && value.empty(); }
bool never(const OrderedJson&) { return false; }

void read_stop(Fields& fields, std::vector<std::string>& out) {
  const OrderedJson* value = fields.take("stop");
  if (value == nullptr) return;
  const auto wrong = [&](std::string message) {
    fields.fail(ErrorKind::kInvalid, "invalid_value", "stop", std::move(message));
  };
  if (value->is_string()) {
    out.push_back(value->get<std::string>());
  } else if (value->is_array()) {
    if (value->size() > kStopStringsMax) {
      return wrong(fmt::format("stop takes at most {} strings", kStopStringsMax));
    }
    for (const OrderedJson& element : *value) {
      if (!element.is_string()) return wrong("stop must be a string or a list of strings");
      out.push_back(element.get<std::string>());
    }
  } else {
    return wrong("stop must be a string or a list of strings");
  }
  for (const std::string& text : out) {
    if (text.empty() || text.size() > kStopBytesMax) {
      return wrong(fmt::format("a stop string must have 1 to {} bytes", kStopBytesMax));
    }
  }
}

void read_logit_bias(Fields& fields, engine::SamplingParams& sampling) {
  const OrderedJson* value = fields.take("logit_bias");
  if (value == nullptr) return;
  const auto wrong = [&](std::string message) {
    fields.fail(ErrorKind::kInvalid, "invalid_value", "logit_bias", std::move(message));
  };
  if (!value->is_object()) return wrong("logit_bias must be an object of token ids and numbers");
  if (value->size() > kLogitBiasMax) {
    return wrong(fmt::format("logit_bias takes at most {} entries", kLogitBiasMax));
  }
  for (const auto& [key, bias] : value->items()) {
    engine::TokenId id = -1;
    const auto [end, ec] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (ec != std::errc() || end != key.data() + key.size() || id < 0) {
      return wrong("the keys of logit_bias must be token ids");
    }
    if (!bias.is_number() || !(std::abs(bias.get<double>()) <= 100.0)) {
      return wrong("the values of logit_bias must be from -100 to 100");
    }
    sampling.logit_bias.emplace_back(id, bias.get<float>());
  }
}

void read_seed(Fields& fields, bool as_text, std::optional<std::uint64_t>& out) {
  const OrderedJson* value = fields.take("seed");
  if (value == nullptr) return;
  if (!as_text && value->is_number_unsigned()) {  // beyond int64 too
    out = value->get<std::uint64_t>();
    return;
  }
  std::optional<std::int64_t> seed;
  fields.integer("seed", seed, std::numeric_limits<std::int64_t>::min(),
                 std::numeric_limits<std::int64_t>::max());
  if (seed) out = static_cast<std::uint64_t>(*seed);
}

// What every generating route has.
void read_common(Fields& fields, bool as_text, GenerationParams& params) {
  engine::SamplingParams& s = params.sampling;
  fields.text("model", params.model);
  fields.number("temperature", s.temperature, 0, 100);
  fields.number("top_p", s.top_p, 0, 1);
  if (s.top_p == 0.f) {  // OpenAI allows it; the limit of ever smaller values is the best token
    s.top_p = 1.f;
    s.top_k = 1;
  }
  std::int64_t top_k = s.top_k;
  fields.integer("top_k", top_k, -1, std::numeric_limits<std::int32_t>::max());
  if (top_k > 0 && s.top_k != 1) s.top_k = static_cast<std::int32_t>(top_k);
  fields.number("min_p", s.min_p, 0, 1);
  s.repetition_penalty = 1.f;
  fields.number("repetition_penalty", s.repetition_penalty, 0.01, 10);
  fields.number("presence_penalty", s.presence_penalty, -2, 2);
  fields.number("frequency_penalty", s.frequency_penalty, -2, 2);
  read_logit_bias(fields, s);
  read_seed(fields, as_text, params.seed);
  read_stop(fields, params.stop);
  fields.integer("max_tokens", params.max_tokens, 1, std::numeric_limits<std::int32_t>::max());
  fields.boolean("ignore_eos", params.ignore_eos);
  fields.boolean("stream", params.stream);
}

// What both OpenAI routes have besides.
void read_openai(Fields& fields, GenerationParams& params) {
  fields.integer("n", params.choices, 1, kChoicesMax);
  if (const OrderedJson* options = fields.take("stream_options")) {
    Fields inner(*options, false, "stream_options.");
    inner.boolean("include_usage", params.include_usage);
    inner.unsupported_unless("include_obfuscation", is_bool);  // random padding; we send none
    inner.finish();
    if (inner.error()) {
      fields.fail(inner.error()->error.kind, inner.error()->error.code, inner.error()->param,
                  inner.error()->error.message);
    }
    if (!params.stream) {
      fields.fail(ErrorKind::kInvalid, "invalid_value", "stream_options",
                  "stream_options is only for streams");
    }
  }
  fields.unsupported_unless("user", is_text);
}

// Bounds what one request can make the server hold.
void check_volume(Fields& fields, const GenerationParams& params) {
  if (!params.max_tokens) return;
  const std::int64_t per_token = std::max(0, params.sampling.top_logprobs) + 1;
  if (params.choices * per_token > kOutputTokensMax / *params.max_tokens) {
    fields.fail(ErrorKind::kInvalid, "invalid_value", "n",
                fmt::format("n * max_tokens * (1 + logprobs) may be {} at most", kOutputTokensMax));
  }
}

template <class T>
Parsed<T> finish(Fields& fields, T call) {
  check_volume(fields, call.params);
  if (!fields.error()) fields.finish();
  if (fields.error()) return tl::unexpected(*fields.error());
  return call;
}

// None if an element is no token id.
std::optional<std::vector<engine::TokenId>> token_ids(const OrderedJson& array) {
  std::vector<engine::TokenId> ids;
  ids.reserve(array.size());
  for (const OrderedJson& element : array) {
    if (!element.is_number_unsigned() ||
        element.get<std::uint64_t>() > std::numeric_limits<engine::TokenId>::max()) {
      return std::nullopt;
    }
    ids.push_back(element.get<engine::TokenId>());
  }
  return ids;
}

void read_prompt(Fields& fields, CompletionCall& call) {
  fields.require("prompt");
  const OrderedJson* value = fields.take("prompt");
  if (value == nullptr) return;
  const auto wrong = [&](ErrorKind kind, std::string code, std::string message) {
    fields.fail(kind, std::move(code), "prompt", std::move(message));
  };
  if (value->is_array() && value->size() == 1 && !value->front().is_number()) {
    value = &value->front();  // a list of one prompt
  }
  if (value->is_string()) {
    call.prompt = value->get<std::string>();
    return;
  }
  if (!value->is_array() || value->empty()) {
    return wrong(ErrorKind::kInvalid, "invalid_type",
                 "prompt must be a string or a list of token ids");
  }
  if (!value->front().is_number()) {
    return wrong(ErrorKind::kUnsupported, "unsupported_field", "only one prompt per request");
  }
  auto ids = token_ids(*value);
  if (!ids) {
    return wrong(ErrorKind::kInvalid, "invalid_prompt",
                 "prompt has an element that is no token id");
  }
  call.prompt = *std::move(ids);
}

// A string, null, or a list of text parts, which are joined by newlines.
std::optional<std::string> read_content(Fields& fields) {
  const OrderedJson* content = fields.take("content");
  if (content == nullptr) return std::string();
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) {
    fields.fail(ErrorKind::kInvalid, "invalid_type", "content",
                "content must be a string or a list of parts");
    return std::nullopt;
  }
  std::string joined;
  bool first = true;
  for (const OrderedJson& part : *content) {
    const bool text = part.is_object() && part.contains("type") && part["type"] == "text" &&
                      part.contains("text") && part["text"].is_string();
    if (!text) {
      fields.fail(ErrorKind::kUnsupported, "unsupported_content", "content",
                  "only text parts are supported");
      return std::nullopt;
    }
    if (!first) joined += '\n';
    first = false;
    joined += part["text"].get_ref<const std::string&>();
  }
  return joined;
}

std::optional<ApiError> read_message(const OrderedJson& message, std::size_t index,
                                     OrderedJson& out) {
  Fields fields(message, false, fmt::format("messages[{}].", index));
  std::string role;
  std::string name;
  fields.require("role");
  fields.text("role", role);
  if (role == "developer") role = "system";
  if (!fields.error() && (role == "tool" || role == "function")) {
    fields.fail(ErrorKind::kUnsupported, "unsupported_field", "role", "tools are not supported");
  }
  if (!fields.error() && role != "system" && role != "user" && role != "assistant") {
    fields.fail(ErrorKind::kInvalid, "invalid_value", "role",
                "role must be system, developer, user or assistant");
  }
  const auto content = read_content(fields);
  if (role != "assistant") fields.require("content");
  fields.text("name", name);
  fields.unsupported_unless("tool_calls", is_empty);
  for (const char* field : {"function_call", "tool_call_id", "audio", "refusal"}) {
    fields.unsupported_unless(field, never);
  }
  fields.unsupported_unless("annotations", is_empty);
  if (!fields.error()) fields.finish();
  if (fields.error()) return fields.error();
  out = OrderedJson::object();
  out["role"] = role;
  out["content"] = *content;
  if (!name.empty()) out["name"] = name;
  return std::nullopt;
}

void read_messages(Fields& fields, OrderedJson& out) {
  fields.require("messages");
  const OrderedJson* messages = fields.take("messages");
  if (messages == nullptr) return;
  if (!messages->is_array() || messages->empty()) {
    return fields.fail(ErrorKind::kInvalid, "invalid_type", "messages",
                       "messages must be a list with at least one message");
  }
  out = OrderedJson::array();
  for (std::size_t i = 0; i < messages->size(); ++i) {
    OrderedJson message;
    if (const auto error = read_message((*messages)[i], i, message)) {
      return fields.fail(error->error.kind, error->error.code, error->param, error->error.message);
    }
    out.push_back(std::move(message));
  }
}

// Neutral values of what the chat API has and we do not.
void read_neutral_chat_fields(Fields& fields) {
  fields.unsupported_unless("response_format", [](const OrderedJson& value) {
    return value.is_object() && value.size() == 1 && value.contains("type") &&
           value["type"] == "text";
  });
  fields.unsupported_unless("tools", is_empty);
  fields.unsupported_unless("functions", is_empty);
  for (const char* name : {"tool_choice", "function_call"}) {
    fields.unsupported_unless(
        name, [](const OrderedJson& value) { return value == "none" || value == "auto"; });
  }
  fields.unsupported_unless("parallel_tool_calls", is_bool);
  fields.unsupported_unless("store", is_false);
  fields.unsupported_unless("metadata", [](const OrderedJson& value) { return value.is_object(); });
  fields.unsupported_unless("modalities", [](const OrderedJson& value) {
    return value.is_array() && value.size() == 1 && value.front() == "text";
  });
  fields.unsupported_unless("service_tier", [](const OrderedJson& value) {
    return value == "auto" || value == "default";
  });
  for (const char* name : {"safety_identifier", "prompt_cache_key"}) {
    fields.unsupported_unless(name, is_text);
  }
  for (const char* name : {"audio", "prediction", "reasoning_effort", "verbosity",
                           "web_search_options", "prompt_cache_retention"}) {
    fields.unsupported_unless(name, never);
  }
}

}  // namespace

Parsed<Document> read_document(const net::HttpRequest& request, bool query_allowed) {
  Document document;
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
  auto parsed = parse_json_ordered(request.body);
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
  Fields fields(document.object, document.from_query);
  fields.require("prompt");
  fields.text("prompt", call.prompt);
  read_common(fields, document.from_query, call.params);
  return finish(fields, std::move(call));
}

Parsed<CompletionCall> parse_completion(const Document& document) {
  CompletionCall call;
  call.params.sampling.temperature = 1.f;
  call.params.max_tokens = 16;
  Fields fields(document.object);
  read_prompt(fields, call);
  read_common(fields, false, call.params);
  read_openai(fields, call.params);
  std::int64_t logprobs = -1;
  fields.integer("logprobs", logprobs, 0, kTopLogprobsMax);
  call.params.sampling.top_logprobs = static_cast<std::int32_t>(logprobs);
  std::optional<std::int64_t> best_of;
  fields.integer("best_of", best_of, 1, kChoicesMax);
  if (best_of && *best_of != call.params.choices) {
    fields.fail(ErrorKind::kUnsupported, "unsupported_field", "best_of",
                "best_of is only supported where it equals n");
  }
  fields.unsupported_unless("echo", is_false);
  fields.unsupported_unless("suffix", [](const OrderedJson& value) { return value == ""; });
  return finish(fields, std::move(call));
}

Parsed<ChatCall> parse_chat(const Document& document) {
  ChatCall call;
  call.params.sampling.temperature = 1.f;
  Fields fields(document.object);
  read_messages(fields, call.messages);
  read_common(fields, false, call.params);
  fields.integer("max_completion_tokens", call.params.max_tokens, 1,
                 std::numeric_limits<std::int32_t>::max());
  read_openai(fields, call.params);
  bool logprobs = false;
  std::int64_t top = -1;
  fields.boolean("logprobs", logprobs);
  fields.integer("top_logprobs", top, 0, kTopLogprobsMax);
  if (top > 0 && !logprobs) {
    fields.fail(ErrorKind::kInvalid, "invalid_value", "top_logprobs",
                "top_logprobs needs logprobs: true");
  }
  if (logprobs)
    call.params.sampling.top_logprobs = static_cast<std::int32_t>(std::max<std::int64_t>(0, top));
  read_neutral_chat_fields(fields);
  return finish(fields, std::move(call));
}

Parsed<TokenizeCall> parse_tokenize(const Document& document) {
  TokenizeCall call;
  Fields fields(document.object);
  fields.text("model", call.model);
  if (document.object.contains("messages")) {
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
  Fields fields(document.object);
  fields.text("model", call.model);
  fields.require("tokens");
  if (const OrderedJson* value = fields.take("tokens")) {
    auto ids = value->is_array() ? token_ids(*value) : std::nullopt;
    if (ids) {
      call.tokens = *std::move(ids);
    } else {
      fields.fail(ErrorKind::kInvalid, "invalid_type", "tokens",
                  "tokens must be a list of token ids");
    }
  }
  fields.finish();
  if (fields.error()) return tl::unexpected(*fields.error());
  return call;
}

}  // namespace hearth::api

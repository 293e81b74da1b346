#include "api/structured_fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "api/neutral.h"

namespace hearth::api {
namespace {

OrderedJson token_id_schema() {
  return {{"type", "integer"},
          {"minimum", 0},
          {"maximum", std::numeric_limits<engine::TokenId>::max()}};
}

OrderedJson list_schema(OrderedJson items, std::size_t min, std::optional<std::size_t> max) {
  OrderedJson schema = {{"type", "array"}, {"items", std::move(items)}};
  if (min > 0) schema["minItems"] = min;
  if (max) schema["maxItems"] = *max;
  return schema;
}

OrderedJson any_of(std::initializer_list<OrderedJson> choices) {
  OrderedJson list = OrderedJson::array();
  for (const OrderedJson& choice : choices) list.push_back(choice);
  return {{"anyOf", std::move(list)}};
}

std::size_t code_points(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

OrderedJson stop_schema(const RequestLimits& limits) {
  OrderedJson text = string_schema();
  text["minLength"] = 1;
  text["maxLength"] = limits.stop_characters_max;
  return any_of({text, list_schema(text, 0, limits.stop_strings_max)});
}

OrderedJson logit_bias_schema(const RequestLimits& limits) {
  return {{"type", "object"},
          {"propertyNames", {{"pattern", "^(0|[1-9][0-9]{0,8})$"}}},
          {"additionalProperties",
           {{"type", "number"},
            {"minimum", -limits.logit_bias_max},
            {"maximum", limits.logit_bias_max}}},
          {"maxProperties", limits.logit_bias_entries_max}};
}

// The one way to write each id, so that no token can be named twice; no vocabulary needs more
// than 9 digits.
std::optional<engine::TokenId> token_id_of(const std::string& key) {
  engine::TokenId id = -1;
  const auto [end, ec] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (ec != std::errc() || end != key.data() + key.size() || id < 0) return std::nullopt;
  if (key.size() > 9 || (key.size() > 1 && key.front() == '0')) return std::nullopt;
  return id;
}

// None if an element is no token id.
std::optional<std::vector<engine::TokenId>> token_ids(const OrderedJson& array) {
  std::vector<engine::TokenId> ids;
  ids.reserve(array.size());
  for (const OrderedJson& element : array) {
    const auto id = as_integer(element);
    if (!id || *id < 0 || *id > std::numeric_limits<engine::TokenId>::max()) return std::nullopt;
    ids.push_back(static_cast<engine::TokenId>(*id));
  }
  return ids;
}

OrderedJson prompt_schema() {
  const OrderedJson ids = list_schema(token_id_schema(), 1, std::nullopt);
  return any_of({string_schema(), ids, list_schema(any_of({string_schema(), ids}), 1, 1)});
}

OrderedJson inputs_schema(const RequestLimits& limits) {
  const OrderedJson ids = list_schema(token_id_schema(), 1, std::nullopt);
  return any_of(
      {string_schema(), ids, list_schema(any_of({string_schema(), ids}), 1, limits.inputs_max)});
}

void read_part(Fields& part, std::string& text) {
  std::string type;
  part.require("type");
  part.one_of("type", type, {"text"});
  part.require("text");
  part.text("text", text);
}

OrderedJson content_schema() {
  const OrderedJson part = Fields::describe([](Fields& fields) {
    std::string text;
    read_part(fields, text);
  });
  return any_of({string_schema(), list_schema(part, 0, std::nullopt)});
}

bool is_other_part(const OrderedJson& part) {
  const auto type = part.is_object() ? part.find("type") : part.end();
  return part.is_object() && type != part.end() && type->is_string() && *type != "text";
}

// A string, null, or a list of text parts, which are joined by newlines.
std::string read_content(Fields& fields) {
  const OrderedJson* content = fields.take("content", content_schema);
  if (content == nullptr) return {};
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) {
    fields.fail(ErrorKind::kInvalid, "invalid_type", "content",
                "content must be a string or a list of parts");
    return {};
  }
  std::string joined;
  for (std::size_t i = 0; i < content->size() && !fields.error(); ++i) {
    if (is_other_part((*content)[i])) {
      fields.fail(ErrorKind::kUnsupported, "unsupported_content", "content",
                  "only text parts are supported");
      return {};
    }
    Fields part((*content)[i], false, fmt::format("{}content[{}].", fields.prefix(), i));
    std::string text;
    read_part(part, text);
    part.finish();
    fields.adopt(part);
    if (i > 0) joined += '\n';
    joined += text;
  }
  return joined;
}

void read_message(Fields& fields, std::initializer_list<std::string_view> roles, OrderedJson& out) {
  std::string role;
  std::string name;
  fields.require("role");
  fields.one_of("role", role, roles);
  const std::string content = read_content(fields);
  if (role != "assistant") fields.require("content");
  fields.text("name", name);
  fields.unsupported_unless("tool_calls", kEmptyList);
  for (const char* field : {"function_call", "tool_call_id", "audio", "refusal"}) {
    fields.unsupported_unless(field, kNever);
  }
  fields.unsupported_unless("annotations", kEmptyList);
  out = OrderedJson::object();
  out["role"] = role == "developer" ? "system" : role;
  out["content"] = content;
  if (!name.empty()) out["name"] = name;
}

OrderedJson messages_schema() {
  OrderedJson ignored;
  const auto of = [&](std::initializer_list<std::string_view> roles) {
    return Fields::describe([&](Fields& fields) { read_message(fields, roles, ignored); });
  };
  return list_schema(any_of({of({"system", "developer", "user"}), of({"assistant"})}), 1,
                     std::nullopt);
}

bool is_tool_message(const OrderedJson& message) {
  const auto role = message.is_object() ? message.find("role") : message.end();
  return message.is_object() && role != message.end() && (*role == "tool" || *role == "function");
}

}  // namespace

void read_stop(Fields& fields, const RequestLimits& limits, std::vector<std::string>& out) {
  const OrderedJson* value = fields.take("stop", [&] { return stop_schema(limits); });
  if (value == nullptr) return;
  const auto wrong = [&](std::string message) {
    fields.fail(ErrorKind::kInvalid, "invalid_value", "stop", std::move(message));
  };
  if (value->is_string()) {
    out.push_back(value->get<std::string>());
  } else if (value->is_array()) {
    if (value->size() > limits.stop_strings_max) {
      return wrong(fmt::format("stop takes at most {} strings", limits.stop_strings_max));
    }
    for (const OrderedJson& element : *value) {
      if (!element.is_string()) return wrong("stop must be a string or a list of strings");
      out.push_back(element.get<std::string>());
    }
  } else {
    return wrong("stop must be a string or a list of strings");
  }
  for (const std::string& text : out) {
    if (text.empty() || code_points(text) > limits.stop_characters_max) {
      return wrong(
          fmt::format("a stop string must have 1 to {} characters", limits.stop_characters_max));
    }
  }
}

void read_logit_bias(Fields& fields, const RequestLimits& limits,
                     std::vector<std::pair<engine::TokenId, float>>& out) {
  const OrderedJson* value = fields.take("logit_bias", [&] { return logit_bias_schema(limits); });
  if (value == nullptr) return;
  const auto wrong = [&](std::string message) {
    fields.fail(ErrorKind::kInvalid, "invalid_value", "logit_bias", std::move(message));
  };
  if (!value->is_object()) return wrong("logit_bias must be an object of token ids and numbers");
  if (value->size() > limits.logit_bias_entries_max) {
    return wrong(fmt::format("logit_bias takes at most {} entries", limits.logit_bias_entries_max));
  }
  for (const auto& [key, bias] : value->items()) {
    const auto id = token_id_of(key);
    if (!id) return wrong("the keys of logit_bias must be token ids");
    if (!bias.is_number() || !(std::abs(bias.get<double>()) <= limits.logit_bias_max)) {
      return wrong(fmt::format("the values of logit_bias must be from {} to {}",
                               -limits.logit_bias_max, limits.logit_bias_max));
    }
    out.emplace_back(*id, bias.get<float>());
  }
}

void read_seed(Fields& fields, bool as_text, std::optional<std::uint64_t>& out) {
  // Not the least one: as a double it is also what smaller ones become.
  constexpr std::int64_t kMin = -std::numeric_limits<std::int64_t>::max();
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  const OrderedJson* value = fields.take("seed", [&] {
    return OrderedJson{{"type", "integer"}, {"minimum", kMin}, {"maximum", kMax}};
  });
  if (value == nullptr) return;
  std::int64_t small = 0;
  std::uint64_t large = 0;  // beyond int64 too
  const auto take = [&](std::int64_t number) {
    if (number >= kMin) out = static_cast<std::uint64_t>(number);
  };
  if (as_text && value->is_string()) {
    const auto& text = value->get_ref<const std::string&>();
    const auto parse = [&](auto& number) {
      const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
      return ec == std::errc() && end == text.data() + text.size();
    };
    if (parse(large)) {
      out = large;
    } else if (parse(small)) {
      take(small);
    }
  } else if (value->is_number_unsigned()) {
    out = value->get<std::uint64_t>();
  } else if (value->is_number_integer()) {
    take(value->get<std::int64_t>());
  } else if (value->is_number_float()) {
    const double number = value->get<double>();
    if (std::trunc(number) == number && number > -0x1p63 && number < 0x1p64) {
      out = number < 0 ? static_cast<std::uint64_t>(static_cast<std::int64_t>(number))
                       : static_cast<std::uint64_t>(number);
    }
  }
  if (out) return;
  fields.fail(ErrorKind::kInvalid, value->is_number() || as_text ? "invalid_value" : "invalid_type",
              "seed", fmt::format("seed must be an integer from {} to {}", kMin, kMax));
}

void read_prompt(Fields& fields, PromptOrIds& out) {
  fields.require("prompt");
  const OrderedJson* value = fields.take("prompt", prompt_schema);
  if (value == nullptr) return;
  const auto wrong = [&](ErrorKind kind, std::string code, std::string message) {
    fields.fail(kind, std::move(code), "prompt", std::move(message));
  };
  if (value->is_array() && value->size() == 1 && !value->front().is_number()) {
    value = &value->front();  // a list of one prompt
  }
  if (value->is_string()) {
    out = value->get<std::string>();
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
  out = *std::move(ids);
}

void read_inputs(Fields& fields, const RequestLimits& limits, std::vector<PromptOrIds>& out) {
  fields.require("input");
  const OrderedJson* value = fields.take("input", [&] { return inputs_schema(limits); });
  if (value == nullptr) return;
  const auto wrong = [&](std::string code, std::string message) {
    fields.fail(ErrorKind::kInvalid, std::move(code), "input", std::move(message));
  };
  const auto read_one = [&](const OrderedJson& one) {
    if (one.is_string()) {
      out.emplace_back(one.get<std::string>());
      return true;
    }
    auto ids = one.is_array() && !one.empty() ? token_ids(one) : std::nullopt;
    if (!ids) return false;
    out.emplace_back(*std::move(ids));
    return true;
  };
  if (!value->is_array() || (!value->empty() && value->front().is_number())) {
    if (!read_one(*value)) {
      wrong("invalid_type", "input must be a text, a list of token ids, or a list of these");
    }
    return;
  }
  if (value->empty() || value->size() > limits.inputs_max) {
    return wrong("invalid_value", fmt::format("input takes 1 to {} entries", limits.inputs_max));
  }
  for (const OrderedJson& one : *value) {
    if (!read_one(one)) {
      return wrong("invalid_type", "an entry of input must be a text or a list of token ids");
    }
  }
}

void read_messages(Fields& fields, OrderedJson& out) {
  fields.require("messages");
  const OrderedJson* messages = fields.take("messages", messages_schema);
  if (messages == nullptr) return;
  if (!messages->is_array() || messages->empty()) {
    return fields.fail(ErrorKind::kInvalid, "invalid_type", "messages",
                       "messages must be a list with at least one message");
  }
  out = OrderedJson::array();
  for (std::size_t i = 0; i < messages->size(); ++i) {
    Fields inner((*messages)[i], false, fmt::format("messages[{}].", i));
    if (is_tool_message((*messages)[i])) {
      inner.fail(ErrorKind::kUnsupported, "unsupported_field", "role", "tools are not supported");
    }
    OrderedJson message;
    read_message(inner, {"system", "developer", "user", "assistant"}, message);
    inner.finish();
    if (inner.error()) return fields.adopt(inner);
    out.push_back(std::move(message));
  }
}

void read_token_ids(Fields& fields, std::string_view name, std::vector<engine::TokenId>& out) {
  fields.require(name);
  const OrderedJson* value =
      fields.take(name, [] { return list_schema(token_id_schema(), 0, std::nullopt); });
  if (value == nullptr) return;
  auto ids = value->is_array() ? token_ids(*value) : std::nullopt;
  if (!ids) {
    return fields.fail(ErrorKind::kInvalid, "invalid_type", name,
                       fmt::format("{} must be a list of token ids", name));
  }
  out = *std::move(ids);
}

}  // namespace hearth::api

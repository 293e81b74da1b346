#include "api/fields.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace hearth::api {
namespace {

template <class T>
std::optional<T> parse_text(const std::string& text) {
  T value{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> as_number(const OrderedJson& value, bool as_text) {
  if (as_text && value.is_string()) {
    const auto number = parse_text<double>(value.get_ref<const std::string&>());
    return number && std::isfinite(*number) ? number : std::nullopt;
  }
  if (value.is_number()) return value.get<double>();
  return std::nullopt;
}

// Null is accepted beside what `schema` accepts.
void add_null(OrderedJson& schema) {
  if (schema.contains("type") && schema["type"].is_string() && !schema.contains("enum")) {
    if (schema["type"] != "null") schema["type"] = OrderedJson::array({schema["type"], "null"});
  } else if (schema.contains("anyOf")) {
    schema["anyOf"].push_back({{"type", "null"}});
  } else {
    schema = {{"anyOf", OrderedJson::array({std::move(schema), {{"type", "null"}}})}};
  }
}

}  // namespace

OrderedJson string_schema() { return {{"type", "string"}, {"pattern", R"(^[^\u0000]*$)"}}; }

std::optional<std::int64_t> as_integer(const OrderedJson& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::trunc(number) == number && std::abs(number) <= 9007199254740992.0) {  // 2^53
      return static_cast<std::int64_t>(number);
    }
  }
  return std::nullopt;
}

Fields::Fields(const OrderedJson& object, bool scalars_as_text, std::string prefix)
    : object_(&object), scalars_as_text_(scalars_as_text), prefix_(std::move(prefix)) {
  if (!object.is_object()) fail(ErrorKind::kInvalid, "invalid_type", "", "an object is expected");
}

void Fields::fail(ErrorKind kind, std::string code, std::string_view name, std::string message) {
  if (error_ || object_ == nullptr) return;
  error_ = ApiError{Error{kind, std::move(code), std::move(message)}, prefix_ + std::string(name)};
}

void Fields::adopt(const Fields& inner) {
  if (!error_) error_ = inner.error_;
}

OrderedJson Fields::describe(const std::function<void(Fields&)>& read) {
  OrderedJson schema;
  Fields fields(&schema);
  read(fields);
  fields.finish();
  return schema;
}

void Fields::describe_field(std::string_view name, OrderedJson schema) {
  const std::string key(name);
  HEARTH_CHECK(!properties_.contains(key));
  properties_[key] = std::move(schema);
}

template <class T>
void Fields::describe_range(std::string_view name, const char* type, T min, T max,
                            const std::optional<T>& initial) {
  OrderedJson schema = {{"type", type}, {"minimum", min}, {"maximum", max}};
  // What cannot be asked for stands for "not set".
  if (initial && *initial >= min && *initial <= max) schema["default"] = *initial;
  describe_field(name, std::move(schema));
}

const OrderedJson* Fields::find(std::string_view name) {
  known_.emplace(name);
  if (!object_->is_object()) return nullptr;
  const auto found = object_->find(std::string(name));
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

const OrderedJson* Fields::take(std::string_view name, const SchemaOf& schema) {
  if (object_ != nullptr) return find(name);
  describe_field(name, schema());
  return nullptr;
}

void Fields::number(std::string_view name, float& out, double min, double max) {
  if (object_ == nullptr) {
    return describe_range<double>(name, "number", min, max, static_cast<double>(out));
  }
  const OrderedJson* value = find(name);
  if (value == nullptr) return;
  const auto number = as_number(*value, scalars_as_text_);
  if (!number) {
    return fail(ErrorKind::kInvalid, "invalid_type", name,
                fmt::format("{}{} must be a number", prefix_, name));
  }
  if (!(*number >= min && *number <= max)) {
    return fail(ErrorKind::kInvalid, "invalid_value", name,
                fmt::format("{}{} must be from {} to {}", prefix_, name, min, max));
  }
  out = static_cast<float>(*number);
}

void Fields::integer(std::string_view name, std::optional<std::int64_t>& out, std::int64_t min,
                     std::int64_t max) {
  if (object_ == nullptr) return describe_range(name, "integer", min, max, out);
  const OrderedJson* value = find(name);
  if (value == nullptr) return;
  const auto number = scalars_as_text_ && value->is_string()
                          ? parse_text<std::int64_t>(value->get_ref<const std::string&>())
                          : as_integer(*value);
  if (!number && !(value->is_number() || scalars_as_text_)) {
    return fail(ErrorKind::kInvalid, "invalid_type", name,
                fmt::format("{}{} must be an integer", prefix_, name));
  }
  if (!number || *number < min || *number > max) {
    return fail(ErrorKind::kInvalid, "invalid_value", name,
                fmt::format("{}{} must be an integer from {} to {}", prefix_, name, min, max));
  }
  out = number;
}

void Fields::integer(std::string_view name, std::int64_t& out, std::int64_t min, std::int64_t max) {
  std::optional<std::int64_t> value;
  if (object_ == nullptr) value = out;  // the default
  integer(name, value, min, max);
  if (value) out = *value;
}

void Fields::boolean(std::string_view name, bool& out) {
  if (object_ == nullptr) return describe_field(name, {{"type", "boolean"}, {"default", out}});
  const OrderedJson* value = find(name);
  if (value == nullptr) return;
  if (value->is_boolean()) {
    out = value->get<bool>();
  } else if (scalars_as_text_ && (*value == "true" || *value == "1")) {
    out = true;
  } else if (scalars_as_text_ && (*value == "false" || *value == "0")) {
    out = false;
  } else {
    fail(ErrorKind::kInvalid, "invalid_type", name,
         fmt::format("{}{} must be true or false", prefix_, name));
  }
}

void Fields::text(std::string_view name, std::string& out) {
  const OrderedJson* value = take(name, string_schema);
  if (value == nullptr) return;
  if (!value->is_string()) {
    return fail(ErrorKind::kInvalid, "invalid_type", name,
                fmt::format("{}{} must be a string", prefix_, name));
  }
  out = value->get<std::string>();
}

void Fields::one_of(std::string_view name, std::string& out,
                    std::initializer_list<std::string_view> choices) {
  if (object_ == nullptr) {
    out = *choices.begin();
    return describe_field(name, {{"type", "string"}, {"enum", choices}});
  }
  text(name, out);
  if (error_ || find(name) == nullptr) return;
  if (std::find(choices.begin(), choices.end(), out) == choices.end()) {
    fail(ErrorKind::kInvalid, "invalid_value", name,
         fmt::format("{}{} must be one of: {}", prefix_, name, fmt::join(choices, ", ")));
  }
}

void Fields::object(std::string_view name, const std::function<void(Fields&)>& read) {
  const OrderedJson* value = take(name, [&] { return describe(read); });
  if (value == nullptr) return;
  Fields inner(*value, false, fmt::format("{}{}.", prefix_, name));
  read(inner);
  inner.finish();
  adopt(inner);
}

void Fields::unsupported_unless(std::string_view name, const Neutral& neutral) {
  const OrderedJson* value = take(name, [&] { return OrderedJson::parse(neutral.schema); });
  if (value == nullptr || neutral.accepts(*value)) return;
  fail(ErrorKind::kUnsupported, "unsupported_field", name,
       fmt::format("{}{} is not supported here", prefix_, name));
}

void Fields::require(std::string_view name) {
  if (object_ == nullptr) {
    required_.emplace(name);
    return;
  }
  if (find(name) != nullptr) return;
  fail(ErrorKind::kInvalid, "missing_field", name, fmt::format("{}{} is missing", prefix_, name));
}

void Fields::finish() {
  if (object_ == nullptr) {
    for (auto& [name, schema] : properties_.items()) {
      if (required_.count(name) == 0) add_null(schema);
    }
    *schema_ = {{"type", "object"},
                {"properties", std::move(properties_)},
                {"additionalProperties", false}};
    if (!required_.empty()) (*schema_)["required"] = required_;
    return;
  }
  if (!object_->is_object()) return;
  for (const auto& [name, value] : object_->items()) {
    if (known_.count(name) == 0) {
      const std::string shown = name.substr(0, 100);
      return fail(ErrorKind::kInvalid, "unknown_field", shown,
                  fmt::format("{}{} is not a field of this request", prefix_, shown));
    }
  }
}

}  // namespace hearth::api

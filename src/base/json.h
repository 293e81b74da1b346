// JSON from outside, bounded and strict; nlohmann on the wire.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace hearth {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  // keeps the order in which keys were put in

struct JsonLimits {
  std::size_t bytes_max = 8u << 20;
  std::size_t depth_max = 64;
};

// Strict RFC 8259. Refused, with the byte position in the message: text over the limits, duplicate
// keys, numbers that overflow a double (1e999), invalid UTF-8 and lone surrogates (code
// "invalid_json"), nesting beyond depth_max (code "json_too_deep").
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});
Result<OrderedJson> parse_json_ordered(std::string_view text, const JsonLimits& limits = {});

// Text for the wire; invalid UTF-8 inside strings becomes U+FFFD, so output is always valid.
std::string dump_json(const Json& value, int indent = -1);
std::string dump_json(const OrderedJson& value, int indent = -1);

}  // namespace hearth

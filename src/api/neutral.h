// What clients may say in fields of the OpenAI API that we do not have: values that ask for
// nothing.
#pragma once

#include <algorithm>

#include "api/fields.h"

namespace hearth::api {

inline const Neutral kFalse = {R"({"type":"boolean","enum":[false]})",
                               [](const OrderedJson& value) { return value == false; }};
inline const Neutral kAnyBoolean = {R"({"type":"boolean"})",
                                    [](const OrderedJson& value) { return value.is_boolean(); }};
inline const Neutral kAnyText = {R"({"type":"string","pattern":"^[^\\u0000]*$"})",
                                 [](const OrderedJson& value) { return value.is_string(); }};
inline const Neutral kNoText = {R"({"type":"string","maxLength":0})",
                                [](const OrderedJson& value) { return value == ""; }};
inline const Neutral kEmptyList = {
    R"({"type":"array","maxItems":0})",
    [](const OrderedJson& value) { return value.is_array() && value.empty(); }};
inline const Neutral kNever = {R"({"type":"null"})", [](const OrderedJson&) { return false; }};
inline const Neutral kNoToolOrAuto = {
    R"({"type":"string","enum":["none","auto"]})",
    [](const OrderedJson& value) { return value == "none" || value == "auto"; }};
inline const Neutral kTextFormat = {
    R"({"type":"object","properties":{"type":{"type":"string","enum":["text"]}},
        "required":["type"],"additionalProperties":false})",
    [](const OrderedJson& value) {
      return value.is_object() && value.size() == 1 && value.contains("type") &&
             value["type"] == "text";
    }};
inline const Neutral kTextModality = {
    R"({"type":"array","items":{"type":"string","enum":["text"]},"minItems":1,"maxItems":1})",
    [](const OrderedJson& value) {
      return value.is_array() && value.size() == 1 && value.front() == "text";
    }};
inline const Neutral kTextsByName = {
    R"({"type":"object","propertyNames":{"pattern":"^[^\\u0000]*$"},
        "additionalProperties":{"type":"string","pattern":"^[^\\u0000]*$"}})",
    [](const OrderedJson& value) {
      return value.is_object() &&
             std::all_of(value.begin(), value.end(),
                         [](const OrderedJson& member) { return member.is_string(); });
    }};

}  // namespace hearth::api

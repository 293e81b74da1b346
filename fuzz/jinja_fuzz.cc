// Any bytes as a chat template: parsing and rendering end within their budgets, and the pieces are
// as promised.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/jinja/template.h"

namespace {

using hearth::OrderedJson;
namespace jinja = hearth::text::jinja;

const OrderedJson& variables() {
  static const OrderedJson json = OrderedJson::parse(R"({
    "messages": [
      {"role": "system", "content": " Sys <|im_end|> "},
      {"role": "user", "content": "Grüße\n\"世界\" 🌍"},
      {"role": "assistant", "content": null, "tool_calls": [
        {"id": "abc123def", "type": "function", "function": {"name": "f", "arguments": {"x": [1, 2.5, true]}}}]},
      {"role": "tool", "content": "{}", "tool_call_id": "abc123def"},
      {"role": "user", "content": [{"type": "text", "text": "<think>\nhm\n</think>\n\n"}]}
    ],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {
      "type": "object", "properties": {"x": {"type": "array", "items": {"type": "string"}}}, "required": ["x"]}}}],
    "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "strftime_now": 1700000000,
    "x": "text", "n": 7, "f": -2.5, "e": "", "l": [3, 1, 2], "d": {"a": {"b": [1]}, "items": 1}, "none": null
  })");
  return json;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  jinja::Budget budget;
  budget.source_bytes_max = 1 << 16;
  budget.steps_max = 20'000;
  budget.output_bytes_max = 1 << 18;
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto parsed = jinja::parse(source, budget);
  if (!parsed) {
    HEARTH_CHECK(parsed.error().code == "template_syntax");
    return 0;
  }
  const auto pieces = (*parsed)->render(variables(), {"bos_token", "eos_token"}, budget);
  if (!pieces) {
    const std::string& code = pieces.error().code;
    HEARTH_CHECK(code == "template_error" || code == "template_budget");
    HEARTH_CHECK(pieces.error().message.find('\n') == std::string::npos);
    return 0;
  }
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < pieces->size(); ++i) {
    HEARTH_CHECK(!(*pieces)[i].text.empty());
    HEARTH_CHECK(i == 0 || (*pieces)[i].trusted != (*pieces)[i - 1].trusted);
    bytes += (*pieces)[i].text.size();
  }
  HEARTH_CHECK(bytes <= static_cast<std::size_t>(budget.output_bytes_max));
  return 0;
}

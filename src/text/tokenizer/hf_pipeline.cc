#include "text/tokenizer/hf_pipeline.h"

#include <algorithm>
#include <vector>

namespace hearth::text {
namespace {

namespace dom = simdjson::dom;

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

tl::unexpected<Error> unsupported(std::string_view what, std::string_view name) {
  return fail(ErrorKind::kUnsupported, "unsupported_tokenizer",
              "tokenizer.json: {} \"{}\" is not supported", what, name.substr(0, 300));
}

// The parts of a normalizer or pre-tokenizer: those of a Sequence (of Sequences), else itself.
// The parser has bounded the depth.
void flatten(dom::object part, std::string_view list_key, std::vector<dom::object>& parts) {
  const auto list = json_array(part, list_key);
  if (json_string(part, "type") != "Sequence" || !list) {
    parts.push_back(part);
    return;
  }
  for (const dom::element element : *list) {
    dom::object inner;
    if (element.get(inner) == simdjson::SUCCESS) flatten(inner, list_key, parts);
  }
}

std::vector<dom::object> parts_of(dom::object root, std::string_view key,
                                  std::string_view list_key) {
  std::vector<dom::object> parts;
  if (const auto part = json_object(root, key)) flatten(*part, list_key, parts);
  return parts;
}

// Expressions as they stand in published files. tokenizer/word_scanners.h has the same.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)"
    R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kCjk = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";
constexpr std::string_view kDeepSeek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|)"
    R"([^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

struct KnownSteps {
  std::vector<std::string> steps;
  std::string_view pre;
};

const std::vector<KnownSteps>& known_steps() {
  static const std::vector<KnownSteps> known{
      {{std::string(kGpt2)}, "gpt2"},
      {{R"(\p{N})", std::string(kGpt2)}, "smollm"},
      {{std::string(kLlama3)}, "llama-bpe"},
      {{std::string(kQwen2)}, "qwen2"},
      {{std::string(kQwen35)}, "qwen35"},
      {{std::string(kTekken)}, "tekken"},
      {{std::string(kGpt4o)}, "gpt-4o"},
      {{R"(\p{N}{1,3})", std::string(kCjk), std::string(kDeepSeek3)}, "deepseek-v3"},
  };
  return known;
}

// Newlines inside an expression may be escaped or not; here they are.
std::string escape_newlines(std::string_view regex) {
  std::string out;
  for (const char c : regex) {
    if (c == '\r') {
      out += R"(\r)";
    } else if (c == '\n') {
      out += R"(\n)";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

// The expression of a Split that keeps both matches and what is between them.
Result<std::string> read_split(dom::object part) {
  const auto pattern = json_object(part, "pattern");
  const auto text = pattern ? json_string(*pattern, "Regex") : std::nullopt;
  if (!text) return unsupported("pre-tokenizer", "Split without a Regex");
  std::string regex = escape_newlines(*text);
  const auto behavior = json_string(part, "behavior");
  const bool inverted = json_bool(part, "invert").value_or(false);
  // Where an expression matches everything, nothing is lost by removing what it does not match.
  const bool total = regex.ends_with(R"(|\s+)") && regex != kDeepSeek3;
  const bool keeps =
      (behavior == "Isolated" && !inverted) || (behavior == "Removed" && inverted && total);
  if (!keeps) return unsupported("behavior of Split", behavior.value_or(""));
  return regex;
}

Result<HfPipeline> read_byte_level(dom::object root, const std::vector<dom::object>& parts) {
  for (const dom::object& part : parts_of(root, "normalizer", "normalizers")) {
    const std::string_view type = json_string(part, "type").value_or("");
    if (type != "NFC") return unsupported("normalizer", type);
  }
  std::vector<std::string> steps;
  for (const dom::object& part : parts) {
    const std::string_view type = json_string(part, "type").value_or("");
    if (type == "ByteLevel") {
      if (json_bool(part, "add_prefix_space").value_or(true)) {
        return unsupported("pre-tokenizer", "ByteLevel with add_prefix_space");
      }
      if (json_bool(part, "use_regex").value_or(true)) steps.emplace_back(kGpt2);
    } else if (type == "Digits") {
      const bool each = json_bool(part, "individual_digits").value_or(false);
      if (!each) return unsupported("pre-tokenizer", "Digits without individual_digits");
      steps.emplace_back(R"(\p{N})");
    } else if (type == "Split") {
      HEARTH_TRY(std::string regex, read_split(part));
      steps.push_back(std::move(regex));
    } else {
      return unsupported("pre-tokenizer", type);
    }
  }
  const auto known = std::ranges::find(known_steps(), steps, &KnownSteps::steps);
  if (known == known_steps().end()) {
    return unsupported("pre-tokenizer with the expressions",
                       fmt::format("{}", fmt::join(steps, "\", \"")));
  }
  HfPipeline pipeline;
  pipeline.pre = known->pre;
  return pipeline;
}

Status read_metaspace(dom::object part, HfPipeline& pipeline) {
  if (json_string(part, "replacement").value_or(kSpaceMark) != kSpaceMark) {
    return unsupported("replacement of Metaspace", json_string(part, "replacement").value_or(""));
  }
  if (json_bool(part, "split").value_or(true)) {
    return unsupported("pre-tokenizer", "Metaspace with split");
  }
  const bool prefix = json_bool(part, "add_prefix_space").value_or(true);
  const auto scheme = json_string(part, "prepend_scheme").value_or(prefix ? "always" : "never");
  pipeline.add_space_prefix = scheme != "never";
  pipeline.space_prefix_first_only = scheme == "first";
  return {};
}

Result<HfPipeline> read_sentence_piece(dom::object root, const std::vector<dom::object>& parts) {
  HfPipeline pipeline;
  pipeline.model = TokenizerData::Model::kSentencePieceBpe;
  pipeline.pre = "default";
  bool replaces = false;
  for (const dom::object& part : parts_of(root, "normalizer", "normalizers")) {
    const std::string_view type = json_string(part, "type").value_or("");
    const auto pattern = json_object(part, "pattern");
    if (type == "Prepend" && json_string(part, "prepend") == kSpaceMark) {
      pipeline.add_space_prefix = true;
    } else if (type == "Replace" && pattern && json_string(*pattern, "String") == " " &&
               json_string(part, "content") == kSpaceMark) {
      replaces = true;
    } else {
      return unsupported("normalizer", type);
    }
  }
  for (const dom::object& part : parts) {
    const std::string_view type = json_string(part, "type").value_or("");
    const auto pattern = json_object(part, "pattern");
    if (type == "Metaspace") {
      HEARTH_TRY_VOID(read_metaspace(part, pipeline));
      replaces = true;
    } else if (type == "Split" && replaces && pattern && json_string(*pattern, "String") == " ") {
      continue;  // no spaces are left to split at
    } else {
      return unsupported("pre-tokenizer", type);
    }
  }
  if (!replaces) return unsupported("normalizer", "none that replaces spaces");
  return pipeline;
}

}  // namespace

std::optional<std::string_view> json_string(dom::object object, std::string_view key) {
  std::string_view value;
  if (object[key].get(value) != simdjson::SUCCESS) return std::nullopt;
  return value;
}

std::optional<bool> json_bool(dom::object object, std::string_view key) {
  bool value = false;
  if (object[key].get(value) != simdjson::SUCCESS) return std::nullopt;
  return value;
}

std::optional<dom::object> json_object(dom::object object, std::string_view key) {
  dom::object value;
  if (object[key].get(value) != simdjson::SUCCESS) return std::nullopt;
  return value;
}

std::optional<dom::array> json_array(dom::object object, std::string_view key) {
  dom::array value;
  if (object[key].get(value) != simdjson::SUCCESS) return std::nullopt;
  return value;
}

Result<HfPipeline> read_hf_pipeline(dom::object root, bool byte_fallback) {
  const auto parts = parts_of(root, "pre_tokenizer", "pretokenizers");
  const bool byte_level = std::ranges::any_of(
      parts, [](dom::object part) { return json_string(part, "type") == "ByteLevel"; });
  if (byte_level) return read_byte_level(root, parts);
  if (!byte_fallback) return unsupported("model", "BPE over code points without byte_fallback");
  return read_sentence_piece(root, parts);
}

}  // namespace hearth::text

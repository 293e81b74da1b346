#include <simdjson.h>

#include <algorithm>
#include <unordered_set>

#include "text/tokenizer.h"
#include "text/tokenizer/hf_pipeline.h"

namespace hearth::text {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kBytesMax = std::size_t{512} << 20;
constexpr std::size_t kDepthMax = 64;
constexpr std::size_t kIdsMax = std::size_t{1} << 24;
constexpr std::size_t kHolesMax = std::size_t{1} << 16;  // ids without a token
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

template <class... Args>
tl::unexpected<Error> bad(fmt::format_string<Args...> format, Args&&... args) {
  return invalid("bad_tokenizer_json", "tokenizer.json: {}",
                 fmt::format(format, std::forward<Args>(args)...));
}

Result<dom::object> parse(dom::parser& parser, std::string_view json, const char* name) {
  if (json.size() > kBytesMax) {
    return fail(ErrorKind::kTooLarge, "tokenizer_too_large", "{}: {} bytes, at most {}", name,
                json.size(), kBytesMax);
  }
  dom::object root;
  auto error = parser.allocate(std::max<std::size_t>(json.size(), 64), kDepthMax);
  if (error == simdjson::SUCCESS) error = parser.parse(json.data(), json.size()).get(root);
  if (error != simdjson::SUCCESS) {
    return invalid("bad_tokenizer_json", "{}: {}", name, simdjson::error_message(error));
  }
  return root;
}

Result<TokenId> read_id(const dom::element& element) {
  std::int64_t id = 0;
  if (element.get(id) != simdjson::SUCCESS || id < 0 || static_cast<std::uint64_t>(id) >= kIdsMax) {
    return bad("a token id is not a number from 0 to {}", kIdsMax - 1);
  }
  return static_cast<TokenId>(id);
}

struct Entry {
  TokenId id = 0;
  std::string_view text;
  TokenType type = TokenType::kNormal;
};

Result<std::vector<Entry>> read_entries(dom::object root, dom::object model, bool sentence_piece) {
  const auto vocab = json_object(model, "vocab");
  if (!vocab) return bad("model.vocab is missing");
  const auto unk = json_string(model, "unk_token");
  std::vector<Entry> entries;
  for (const dom::key_value_pair pair : *vocab) {
    HEARTH_TRY(const TokenId id, read_id(pair.value));
    Entry entry{id, pair.key, TokenType::kNormal};
    if (sentence_piece && pair.key.size() == 6 && pair.key.starts_with("<0x")) {
      entry.type = TokenType::kByte;
    } else if (sentence_piece && pair.key == unk) {
      entry.type = TokenType::kUnknown;
    }
    entries.push_back(entry);
  }
  if (const auto added = json_array(root, "added_tokens")) {
    for (const dom::element element : *added) {
      dom::object token;
      dom::element id_element;
      if (element.get(token) != simdjson::SUCCESS ||
          token["id"].get(id_element) != simdjson::SUCCESS) {
        return bad("an added token has no id");
      }
      const auto content = json_string(token, "content");
      if (!content) return bad("an added token has no content");
      HEARTH_TRY(const TokenId id, read_id(id_element));
      const bool special = json_bool(token, "special").value_or(false);
      entries.push_back({id, *content, special ? TokenType::kControl : TokenType::kUserDefined});
    }
  }
  return entries;
}

// Fills tokens and types; an added token (later in `entries`) decides the type.
Status place_entries(const std::vector<Entry>& entries, TokenizerData& data) {
  std::size_t count = 0;
  for (const Entry& entry : entries) {
    count = std::max(count, static_cast<std::size_t>(entry.id) + 1);
  }
  if (count > entries.size() + kHolesMax) {
    return bad("ids up to {} for {} tokens", count - 1, entries.size());
  }
  data.tokens.resize(count);
  data.types.assign(count, TokenType::kUnused);
  for (const Entry& entry : entries) {
    const auto id = static_cast<std::size_t>(entry.id);
    if (data.types[id] != TokenType::kUnused && data.tokens[id] != entry.text) {
      return bad("two tokens have the id {}", id);
    }
    data.tokens[id] = entry.text;
    data.types[id] = entry.type;
  }
  return {};
}

Status read_merges(dom::object model, TokenizerData& data) {
  const auto merges = json_array(model, "merges");
  if (!merges) return bad("model.merges is missing");
  data.merges.reserve(merges->size());
  for (const dom::element element : *merges) {
    std::string_view joined;
    if (element.get(joined) == simdjson::SUCCESS) {
      data.merges.emplace_back(joined);
      continue;
    }
    dom::array pair;
    std::string_view left;
    std::string_view right;
    if (element.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
        pair.at(0).get(left) != simdjson::SUCCESS || pair.at(1).get(right) != simdjson::SUCCESS) {
      return bad("merge {} is not a pair of tokens", data.merges.size());
    }
    if (left.find(' ') != std::string_view::npos || right.find(' ') != std::string_view::npos) {
      return fail(ErrorKind::kUnsupported, "unsupported_tokenizer",
                  "tokenizer.json: merge {} has a space inside a token", data.merges.size());
    }
    data.merges.push_back(fmt::format("{} {}", left, right));
  }
  return {};
}

// User-defined tokens are matched before spaces become U+2581, so here they have spaces. What
// merges would do with them is then never asked for, and goes.
void unmark_user_defined(TokenizerData& data) {
  std::unordered_set<std::string> marked;
  for (std::size_t i = 0; i < data.tokens.size(); ++i) {
    std::string& token = data.tokens[i];
    if (data.types[i] != TokenType::kUserDefined || token.find(kSpaceMark) == std::string::npos) {
      continue;
    }
    marked.insert(token);
    for (std::size_t at = 0; (at = token.find(kSpaceMark, at)) != std::string::npos; ++at) {
      token.replace(at, kSpaceMark.size(), " ");
    }
  }
  if (marked.empty()) return;
  std::erase_if(data.merges, [&](const std::string& merge) {
    const std::size_t space = merge.find(' ');
    if (space == std::string::npos) return false;
    const std::string left = merge.substr(0, space);
    const std::string right = merge.substr(space + 1);
    return marked.contains(left) || marked.contains(right) || marked.contains(left + right);
  });
}

std::optional<TokenId> find_token(const TokenizerData& data, std::string_view text) {
  const auto found = std::ranges::find(data.tokens, text);
  if (found == data.tokens.end()) return std::nullopt;
  return static_cast<TokenId>(found - data.tokens.begin());
}

// BOS and EOS from what a TemplateProcessing puts before and after the text.
void read_template(dom::object processor, TokenizerData& data) {
  if (const auto inner = json_array(processor, "processors")) {
    for (const dom::element element : *inner) {
      dom::object part;
      if (element.get(part) == simdjson::SUCCESS) read_template(part, data);
    }
  }
  const auto single = json_array(processor, "single");
  if (json_string(processor, "type") != "TemplateProcessing" || !single) return;
  bool behind_text = false;
  for (const dom::element element : *single) {
    dom::object item;
    if (element.get(item) != simdjson::SUCCESS) continue;
    if (json_object(item, "Sequence")) behind_text = true;
    const auto special = json_object(item, "SpecialToken");
    const auto name = special ? json_string(*special, "id") : std::nullopt;
    const auto id = name ? find_token(data, *name) : std::nullopt;
    if (!id) continue;
    (behind_text ? data.eos : data.bos) = id;
    (behind_text ? data.add_eos : data.add_bos) = true;
  }
}

std::optional<TokenId> config_token(dom::object config, std::string_view key,
                                    const TokenizerData& data) {
  auto text = json_string(config, key);
  if (const auto object = json_object(config, key)) text = json_string(*object, "content");
  return text ? find_token(data, *text) : std::nullopt;
}

void read_config(dom::object config, TokenizerData& data) {
  if (const auto id = config_token(config, "bos_token", data)) data.bos = id;
  if (const auto id = config_token(config, "eos_token", data)) data.eos = id;
  if (const auto id = config_token(config, "unk_token", data)) data.unk = id;
  data.add_bos = json_bool(config, "add_bos_token").value_or(data.add_bos);
  data.add_eos = json_bool(config, "add_eos_token").value_or(data.add_eos);
  if (const auto text = json_string(config, "chat_template")) data.chat_template = *text;
  if (const auto list = json_array(config, "chat_template")) {
    for (const dom::element element : *list) {
      dom::object named;
      if (element.get(named) != simdjson::SUCCESS) continue;
      if (json_string(named, "name") != "default") continue;
      data.chat_template = json_string(named, "template").value_or("");
    }
  }
}

}  // namespace

Result<TokenizerData> tokenizer_from_json(std::string_view tokenizer_json,
                                          std::string_view tokenizer_config_json) {
  dom::parser parser;
  HEARTH_TRY(const dom::object root, parse(parser, tokenizer_json, "tokenizer.json"));
  const auto model = json_object(root, "model");
  if (!model) return bad("model is missing");
  // Old files do not name the model; only BPE has merges.
  const std::string_view type =
      json_string(*model, "type").value_or(json_array(*model, "merges") ? "BPE" : "unnamed");
  if (type != "BPE") {
    return fail(ErrorKind::kUnsupported, "unsupported_tokenizer",
                "tokenizer.json: model \"{}\" is not supported", type.substr(0, 100));
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!json_string(*model, key).value_or("").empty()) {
      return fail(ErrorKind::kUnsupported, "unsupported_tokenizer",
                  "tokenizer.json: {} is not supported", key);
    }
  }
  const bool byte_fallback = json_bool(*model, "byte_fallback").value_or(false);
  HEARTH_TRY(HfPipeline pipeline, read_hf_pipeline(root, byte_fallback));

  TokenizerData data;
  data.model = pipeline.model;
  data.pre = std::move(pipeline.pre);
  data.add_space_prefix = pipeline.add_space_prefix;
  data.space_prefix_first_only = pipeline.space_prefix_first_only;
  const bool sentence_piece = data.model == TokenizerData::Model::kSentencePieceBpe;
  if (!sentence_piece) {
    data.ignore_merges = json_bool(*model, "ignore_merges").value_or(false);
  }
  HEARTH_TRY(const std::vector<Entry> entries, read_entries(root, *model, sentence_piece));
  HEARTH_TRY_VOID(place_entries(entries, data));
  HEARTH_TRY_VOID(read_merges(*model, data));
  if (sentence_piece) unmark_user_defined(data);
  if (const auto unk = json_string(*model, "unk_token")) data.unk = find_token(data, *unk);
  if (const auto processor = json_object(root, "post_processor")) read_template(*processor, data);

  if (!tokenizer_config_json.empty()) {
    dom::parser config_parser;
    HEARTH_TRY(const dom::object config,
               parse(config_parser, tokenizer_config_json, "tokenizer_config.json"));
    read_config(config, data);
  }
  data.add_bos = data.add_bos && data.bos.has_value();
  data.add_eos = data.add_eos && data.eos.has_value();
  return data;
}

}  // namespace hearth::text

#include "formats/gguf_tokenizer.h"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "formats/shown_name.h"

namespace hearth {
namespace {

using text::TokenId;
using text::TokenizerData;
using text::TokenType;

Result<std::optional<TokenId>> id_at(const GgufFile& file, std::string_view key) {
  HEARTH_TRY(const auto value, file.get_i64(key));
  // Some converters write -1 (also as 2^32 - 1) for "none".
  if (!value || *value == -1 || *value == 0xffffffff) return std::nullopt;
  if (*value < 0 || *value > std::numeric_limits<TokenId>::max()) {
    return invalid("invalid_gguf", "metadata '{}' is {}, which is no token", key, *value);
  }
  return static_cast<TokenId>(*value);
}

Result<std::vector<TokenType>> token_types(const GgufFile& file) {
  HEARTH_TRY(const auto numbers, file.get_ints("tokenizer.ggml.token_type"));
  std::vector<TokenType> types;
  if (!numbers) return types;
  types.reserve(numbers->size());
  for (const std::int64_t number : *numbers) {
    // 0 is "undefined" in ggml, which treats such tokens as normal ones.
    if (number < 0 || number > static_cast<int>(TokenType::kByte)) {
      return invalid("invalid_gguf", "tokenizer.ggml.token_type holds {}, which is no type",
                     number);
    }
    types.push_back(number == 0 ? TokenType::kNormal : static_cast<TokenType>(number));
  }
  return types;
}

// The ends of a turn that llama.cpp also looks for when a file does not say which it is.
Result<std::optional<TokenId>> end_of_turn(const GgufFile& file) {
  HEARTH_TRY(const auto said, id_at(file, "tokenizer.ggml.eot_token_id"));
  if (said) return said;
  constexpr std::string_view kKnown[] = {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>"};
  HEARTH_TRY(const auto tokens, file.get_strings("tokenizer.ggml.tokens"));
  HEARTH_TRY(const auto types, token_types(file));
  if (!tokens || tokens->size() > static_cast<std::size_t>(std::numeric_limits<TokenId>::max())) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < std::min(tokens->size(), types.size()); ++i) {
    const bool special = types[i] == TokenType::kControl || types[i] == TokenType::kUserDefined;
    if (special &&
        std::find(std::begin(kKnown), std::end(kKnown), (*tokens)[i]) != std::end(kKnown)) {
      return static_cast<TokenId>(i);
    }
  }
  return std::nullopt;
}

// llama.cpp adds BOS by default for SentencePiece models and for Llama 3's pre-tokenizer.
bool bos_by_default(const TokenizerData& data) {
  if (data.model == TokenizerData::Model::kSentencePieceBpe) return true;
  return data.pre == "llama3" || data.pre == "llama-v3" || data.pre == "llama-bpe";
}

std::vector<std::string> copied(const std::vector<std::string_view>& views) {
  return {views.begin(), views.end()};
}

}  // namespace

Result<std::optional<TokenizerData>> tokenizer_from_gguf(const GgufFile& file) {
  HEARTH_TRY(const auto model, file.get_string("tokenizer.ggml.model"));
  if (!model || *model == "none" || *model == "no_vocab") return std::nullopt;
  TokenizerData data;
  if (*model == "gpt2") {
    data.model = TokenizerData::Model::kByteLevelBpe;
  } else if (*model == "llama") {
    data.model = TokenizerData::Model::kSentencePieceBpe;
  } else {
    return fail(ErrorKind::kUnsupported, "unsupported_tokenizer",
                "tokenizer model '{}' is not supported; gpt2 and llama are", shown_name(*model));
  }
  const bool pieces = data.model == TokenizerData::Model::kSentencePieceBpe;

  HEARTH_TRY(const auto tokens, file.get_strings("tokenizer.ggml.tokens"));
  if (!tokens || tokens->empty()) {
    return invalid("invalid_gguf", "the tokenizer has no tokens (tokenizer.ggml.tokens)");
  }
  data.tokens = copied(*tokens);
  HEARTH_TRY(auto scores, file.get_floats("tokenizer.ggml.scores"));
  if (scores) data.scores = std::move(*scores);
  HEARTH_TRY(data.types, token_types(file));
  for (const auto& [name, size] :
       {std::pair{"scores", data.scores.size()}, std::pair{"token_type", data.types.size()}}) {
    if (size != 0 && size != data.tokens.size()) {
      return invalid("invalid_gguf", "tokenizer.ggml.{} has {} entries for {} tokens", name, size,
                     data.tokens.size());
    }
  }
  HEARTH_TRY(const auto merges, file.get_strings("tokenizer.ggml.merges"));
  if (merges) data.merges = copied(*merges);

  HEARTH_TRY(const auto pre, file.get_string("tokenizer.ggml.pre"));
  data.pre = std::string(pre.value_or("default"));
  HEARTH_TRY(const auto add_bos, file.get_bool("tokenizer.ggml.add_bos_token"));
  data.add_bos = add_bos.value_or(bos_by_default(data));
  HEARTH_TRY(const auto add_eos, file.get_bool("tokenizer.ggml.add_eos_token"));
  data.add_eos = add_eos.value_or(false);
  HEARTH_TRY(const auto prefix, file.get_bool("tokenizer.ggml.add_space_prefix"));
  data.add_space_prefix = prefix.value_or(pieces);

  HEARTH_TRY(data.bos, id_at(file, "tokenizer.ggml.bos_token_id"));
  HEARTH_TRY(data.eos, id_at(file, "tokenizer.ggml.eos_token_id"));
  HEARTH_TRY(data.unk, id_at(file, "tokenizer.ggml.unknown_token_id"));
  HEARTH_TRY(data.eot, end_of_turn(file));
  if (pieces && data.tokens.size() > 2) {  // SentencePiece's own numbering
    if (!data.bos) data.bos = 1;
    if (!data.eos) data.eos = 2;
    if (!data.unk) data.unk = 0;
  }
  HEARTH_TRY(const auto chat_template, file.get_string("tokenizer.chat_template"));
  data.chat_template = std::string(chat_template.value_or(""));
  return data;
}

Result<std::vector<TokenId>> end_tokens_from_gguf(const GgufFile& file) {
  HEARTH_TRY(const auto eos, id_at(file, "tokenizer.ggml.eos_token_id"));
  HEARTH_TRY(const auto eot, end_of_turn(file));
  HEARTH_TRY(const auto eom, id_at(file, "tokenizer.ggml.eom_token_id"));
  HEARTH_TRY(const auto model, file.get_string("tokenizer.ggml.model"));
  std::vector<TokenId> ends;
  const std::optional<TokenId> fallback =
      model == "llama" ? std::optional<TokenId>(2) : std::nullopt;  // as tokenizer_from_gguf
  for (const auto& id : {eos ? eos : fallback, eot, eom}) {
    if (id && std::find(ends.begin(), ends.end(), *id) == ends.end()) ends.push_back(*id);
  }
  return ends;
}

}  // namespace hearth

#include "text/tokenizer/vocab.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "text/tokenizer/hash.h"

namespace hearth::text {
namespace {

constexpr std::size_t kTokensMax = std::size_t{1} << 24;
constexpr std::size_t kByteTokenSize = 6;  // "<0x41>"

std::optional<std::uint8_t> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  return std::nullopt;
}

std::optional<std::uint8_t> parse_byte_token(std::string_view token) {
  if (token.size() != kByteTokenSize || !token.starts_with("<0x") || token.back() != '>') {
    return std::nullopt;
  }
  const auto high = hex_digit(token[3]);
  const auto low = hex_digit(token[4]);
  if (!high || !low) return std::nullopt;
  return static_cast<std::uint8_t>(*high * 16 + *low);
}

Status check_id(const char* name, std::optional<TokenId> id, std::size_t count) {
  if (id && (*id < 0 || static_cast<std::size_t>(*id) >= count)) {
    return invalid("bad_token_id", "tokenizer: {} is {}, but there are {} tokens", name, *id,
                   count);
  }
  return {};
}

}  // namespace

Result<Vocab> Vocab::make(TokenizerData data) {
  Vocab vocab;
  vocab.data_ = std::move(data);
  HEARTH_TRY_VOID(vocab.check());
  HEARTH_TRY_VOID(vocab.settle_types());
  vocab.build_index();
  return vocab;
}

Status Vocab::check() {
  const std::size_t count = data_.tokens.size();
  if (count == 0) return invalid("empty_vocabulary", "tokenizer: no tokens");
  if (count > kTokensMax) {
    return fail(ErrorKind::kTooLarge, "vocabulary_too_large", "tokenizer: {} tokens, at most {}",
                count, kTokensMax);
  }
  if (!data_.types.empty() && data_.types.size() != count) {
    return invalid("bad_token_types", "tokenizer: {} tokens, but {} token types", count,
                   data_.types.size());
  }
  const bool scores_needed =
      data_.model == TokenizerData::Model::kSentencePieceBpe && data_.merges.empty();
  if (data_.scores.size() != count && (scores_needed || !data_.scores.empty())) {
    return invalid("bad_token_scores", "tokenizer: {} tokens, but {} scores", count,
                   data_.scores.size());
  }
  for (std::size_t i = 0; i < data_.scores.size(); ++i) {
    if (std::isnan(data_.scores[i])) {
      return invalid("bad_token_scores", "tokenizer: the score of token {} is not a number", i);
    }
  }
  HEARTH_TRY_VOID(check_id("bos", data_.bos, count));
  HEARTH_TRY_VOID(check_id("eos", data_.eos, count));
  HEARTH_TRY_VOID(check_id("unk", data_.unk, count));
  HEARTH_TRY_VOID(check_id("eot", data_.eot, count));
  if (data_.add_bos && !data_.bos) {
    return invalid("bad_token_id", "tokenizer: BOS is to be added, but there is none");
  }
  if (data_.add_eos && !data_.eos) {
    return invalid("bad_token_id", "tokenizer: EOS is to be added, but there is none");
  }
  return {};
}

Status Vocab::settle_types() {
  const bool sentence_piece = data_.model == TokenizerData::Model::kSentencePieceBpe;
  byte_tokens_.fill(kNoToken);
  const bool typed = !data_.types.empty();
  if (!typed) data_.types.assign(data_.tokens.size(), TokenType::kNormal);
  for (std::size_t i = 0; i < data_.tokens.size(); ++i) {
    TokenType& type = data_.types[i];
    if (type < TokenType::kNormal || type > TokenType::kByte) {
      return invalid("bad_token_types", "tokenizer: token {} has the unknown type {}", i,
                     static_cast<int>(type));
    }
    const auto byte = parse_byte_token(data_.tokens[i]);
    if (!byte) {
      if (type != TokenType::kByte) continue;
      return invalid("bad_byte_token", "tokenizer: byte token {} is not of the form <0x00>", i);
    }
    // Files from before token types still have their byte tokens.
    if (!typed && sentence_piece) type = TokenType::kByte;
    if (type == TokenType::kByte && byte_tokens_[*byte] == kNoToken) {
      byte_tokens_[*byte] = static_cast<TokenId>(i);
    }
  }
  // What ends or begins a text is not to be had from ordinary text, however the file types it.
  for (const auto id : {data_.bos, data_.eos, data_.eot}) {
    if (id && !is_hidden(*id)) data_.types[static_cast<std::size_t>(*id)] = TokenType::kControl;
  }
  return {};
}

void Vocab::build_index() {
  slots_.resize(std::bit_ceil(data_.tokens.size() * 2));
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = 0; i < data_.tokens.size(); ++i) {
    const std::string& token = data_.tokens[i];
    if (!is_mergeable(static_cast<TokenId>(i)) || token.empty()) continue;
    const std::uint64_t hash = hash_bytes(token);
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    std::size_t at = hash & mask;
    bool known = false;
    for (; slots_[at].id != kNoToken; at = (at + 1) & mask) {
      if (slots_[at].hash == tag && text(slots_[at].id) == token) {
        known = true;
        break;
      }
    }
    if (known) continue;
    slots_[at] = {tag, static_cast<TokenId>(i)};
    longest_ = std::max(longest_, token.size());
  }
}

TokenId Vocab::find(std::string_view text_sought) const {
  const std::uint64_t hash = hash_bytes(text_sought);
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash & mask; slots_[at].id != kNoToken; at = (at + 1) & mask) {
    if (slots_[at].hash == tag && text(slots_[at].id) == text_sought) return slots_[at].id;
  }
  return kNoToken;
}

std::uint8_t Vocab::byte_of(std::string_view token) {
  const auto byte = parse_byte_token(token);
  HEARTH_CHECK(byte.has_value());
  return *byte;
}

Result<MergeSides> parse_merge(std::string_view merge) {
  // From 1: a side may be a space itself, but is never empty.
  const std::size_t space = merge.find(' ', 1);
  if (space == std::string_view::npos || space + 1 == merge.size()) {
    return invalid("bad_merge", "a merge is not of the form \"left right\"");
  }
  return MergeSides{merge.substr(0, space), merge.substr(space + 1)};
}

}  // namespace hearth::text

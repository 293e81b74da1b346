// The checked vocabulary: token texts by id and back, in compact tables built once.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace hearth::text {

inline constexpr TokenId kNoToken = -1;

class Vocab {
 public:
  // Errors: kInvalid with what is wrong and at which id; kTooLarge over 2^24 tokens.
  static Result<Vocab> make(TokenizerData data);

  const TokenizerData& data() const { return data_; }
  std::size_t size() const { return data_.tokens.size(); }
  bool contains(TokenId id) const {
    return id >= 0 && static_cast<std::size_t>(id) < data_.tokens.size();
  }
  // `id` is in the vocabulary for the rest.
  const std::string& text(TokenId id) const { return data_.tokens[static_cast<std::size_t>(id)]; }
  TokenType type(TokenId id) const { return data_.types[static_cast<std::size_t>(id)]; }
  // Control and unknown tokens: made only from trusted text, and invisible in output.
  bool is_hidden(TokenId id) const {
    return type(id) == TokenType::kControl || type(id) == TokenType::kUnknown;
  }

  // Whether merging may arrive at this token: normal ones, and in SentencePiece files user-defined
  // ones. In byte-level files these are plain text, to be matched as such and never as mapped
  // bytes.
  bool is_mergeable(TokenId id) const {
    return type(id) == TokenType::kNormal ||
           (type(id) == TokenType::kUserDefined &&
            data_.model == TokenizerData::Model::kSentencePieceBpe);
  }
  // The mergeable token with this text, the lowest id if there are several; kNoToken if there is
  // none.
  TokenId find(std::string_view text) const;
  // Bytes of the longest text that find() can return.
  std::size_t longest() const { return longest_; }
  // The token <0xNN>, kNoToken without one.
  TokenId byte_token(std::uint8_t byte) const { return byte_tokens_[byte]; }
  // Stands for what no token can express; kNoToken if that is left out. Never a control token, as
  // anybody can write bytes that the vocabulary lacks.
  TokenId fallback() const {
    const auto unk = data_.unk;
    return unk && type(*unk) != TokenType::kControl ? *unk : kNoToken;
  }
  // The byte of a token of type kByte.
  static std::uint8_t byte_of(std::string_view token);

 private:
  struct Slot {
    std::uint32_t hash = 0;
    TokenId id = kNoToken;
  };

  Status check();
  Status settle_types();
  void build_index();

  TokenizerData data_;       // types filled in, one for each token
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  std::array<TokenId, 256> byte_tokens_{};
  std::size_t longest_ = 0;
};

// The two sides of an entry of TokenizerData::merges; an error unless it is "left right".
struct MergeSides {
  std::string_view left;
  std::string_view right;
};
Result<MergeSides> parse_merge(std::string_view merge);

}  // namespace hearth::text

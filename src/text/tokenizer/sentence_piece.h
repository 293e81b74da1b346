// SentencePiece's BPE: spaces become U+2581, code points merge by the score of what they become,
// and code points without a token fall back to one token per byte. Kudo and Richardson,
// "SentencePiece" (EMNLP 2018).
#pragma once

#include <bitset>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer/merge_table.h"
#include "text/tokenizer/vocab.h"

namespace hearth::text {

class SentencePieceBpe {
 public:
  // Scores decide; without any, the ranked merges do, as in files from Hugging Face.
  static Result<SentencePieceBpe> make(const Vocab& vocab);

  void encode(const Vocab& vocab, std::string_view text, bool space_prefix,
              std::vector<TokenId>& out) const;

  // U+2581 becomes a space again.
  static void append_bytes(std::string_view token, std::string& out);

 private:
  void encode_chunk(const Vocab& vocab, std::string_view text, std::vector<Symbol>& symbols,
                    MergeScratch& scratch, std::vector<TokenId>& out) const;
  Merge find_merge(const Vocab& vocab, std::string_view text, const Symbol& left,
                   const Symbol& right) const;

  std::optional<MergeTable> ranked_;
  std::vector<std::uint32_t> priorities_;  // by id, from the scores; empty if ranked_
  // Last bytes of what stands before a U+2581 inside any token. No merge crosses from another byte
  // into a U+2581, so the text may be cut there, and chunks stay as short as words.
  std::bitset<256> joins_space_;
};

}  // namespace hearth::text

// Byte-level BPE as in GPT-2: every byte is written as one printable code point, and ranked merges
// join these inside words. Radford et al., "Language Models are Unsupervised Multitask Learners"
// (2019), section 2.2.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer/merge_table.h"
#include "text/tokenizer/pretokenizer.h"
#include "text/tokenizer/vocab.h"

namespace hearth::text {

class ByteLevelBpe {
 public:
  static Result<ByteLevelBpe> make(const Vocab& vocab);

  void encode(const Vocab& vocab, std::string_view text, std::vector<TokenId>& out) const;

  // The bytes that the token text `token` stands for. Code points outside of the map are
  // themselves.
  static void append_bytes(std::string_view token, std::string& out);

 private:
  ByteLevelBpe(Pretokenizer pretokenizer, MergeTable merges, bool ignore_merges)
      : pretokenizer_(pretokenizer), merges_(std::move(merges)), ignore_merges_(ignore_merges) {}

  // The token that the whole word is, kNoToken if it is none. `mapped` is working memory.
  TokenId whole_word(const Vocab& vocab, std::string_view word, std::string& mapped) const;

  Pretokenizer pretokenizer_;
  MergeTable merges_;
  bool ignore_merges_;
  std::array<TokenId, 256> byte_ids_{};  // the token of each byte's code point
};

}  // namespace hearth::text

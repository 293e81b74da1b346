// The ranked merges of a vocabulary: (left id, right id) -> rank and merged id.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "text/tokenizer/merge.h"
#include "text/tokenizer/vocab.h"

namespace hearth::text {

class MergeTable {
 public:
  // Every merge must join two tokens into a third (kInvalid otherwise); the first of equal ones
  // counts. Merges with tokens that are not Vocab::is_mergeable (control tokens, say) are left out.
  static Result<MergeTable> make(const Vocab& vocab);

  Merge find(TokenId left, TokenId right) const;

 private:
  struct Slot {
    TokenId left = -1;
    TokenId right = -1;
    Merge merge;
  };

  static std::uint64_t hash(TokenId left, TokenId right);

  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
};

}  // namespace hearth::text

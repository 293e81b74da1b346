// Finds the tokens that are matched in the text as they are, before any merging: control, unknown
// and user-defined ones.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer/vocab.h"

namespace hearth::text {

// Bytes [begin, end) of a text.
struct ByteRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

struct SpecialMatch {
  std::size_t begin = 0;
  std::size_t end = 0;
  TokenId id = kNoToken;
};

class SpecialTokens {
 public:
  // Special tokens over 512 bytes are refused (kTooLarge).
  static Result<SpecialTokens> make(const Vocab& vocab);

  // Non-overlapping matches in ascending order. The longest token in the whole text is taken first,
  // at each of its places from the left, then the next shorter one in what is left, and so on
  // (equal lengths: lower id first). So of two that overlap the longer wins, even if it begins
  // later; that is how llama.cpp partitions a text. Hidden tokens match only inside one of the
  // `trusted` ranges, which are ascending and do not touch. O(n log n) for texts of n bytes.
  std::vector<SpecialMatch> match(std::string_view text, std::span<const ByteRange> trusted) const;

 private:
  // A trie; node 0 is the root. Edges are in a hash table, as most nodes have one child.
  struct Node {
    TokenId hidden = kNoToken;  // the token that ends here; a text may be both
    TokenId open = kNoToken;
  };
  struct Edge {
    std::uint64_t key = 0;  // node << 8 | byte; 0 (the root's NUL byte, kept in roots_) is free
    std::uint32_t to = 0;
  };
  struct Found {
    std::size_t size = 0;
    TokenId id = kNoToken;
  };

  std::uint32_t child(std::uint32_t node, std::uint8_t byte) const;  // 0: none
  void insert(std::string_view token, TokenId id, bool hidden);
  // The longest token that begins with rest[0] and fits into `room` bytes.
  Found longest(std::string_view rest, std::size_t room, std::size_t trusted_room) const;

  std::vector<Node> nodes_{1};
  std::array<std::uint32_t, 256> roots_{};  // children of the root
  std::vector<Edge> edges_;                 // open addressing, a power of two, at most half full
  std::bitset<65536> pairs_;                // first two bytes of a token; a quick no
};

}  // namespace hearth::text

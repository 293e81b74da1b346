// Guesses at what a text goes on with, from where it has said the same before: prompt lookup
// (Saxena 2023; "LLMA", Yang et al., arXiv 2304.04487). A chain of earlier places for every pair of
// tokens, as LZ77 keeps them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/messages.h"

namespace hearth::engine {

class PromptLookup {
 public:
  struct Guess {
    std::int64_t matched = 0;     // tokens before it that are alike; 0: nothing was found
    std::vector<TokenId> drafts;  // at most as many as were asked for
  };

  // `tokens` are those of the last call and what has come since.
  Guess guess(std::span<const TokenId> tokens, std::int64_t drafts_max);

  static constexpr std::int64_t kMatchMax = 32;  // longer ones are not told apart

 private:
  static constexpr int kPlacesMax = 16;  // that are looked at for one guess
  void index_until(std::span<const TokenId> tokens, std::size_t end);
  std::size_t slot(TokenId a, TokenId b) const;

  std::vector<std::int32_t> heads_;    // by hash of a pair: where it ends last, + 1; 0: nowhere
  std::vector<std::int32_t> earlier_;  // by place: the one before it of the same hash, + 1
};

}  // namespace hearth::engine

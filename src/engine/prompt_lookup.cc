#include "engine/prompt_lookup.h"

#include <algorithm>
#include <bit>

namespace hearth::engine {

std::size_t PromptLookup::slot(TokenId a, TokenId b) const {
  const std::uint64_t pair =
      (std::uint64_t{static_cast<std::uint32_t>(a)} << 32) | static_cast<std::uint32_t>(b);
  return static_cast<std::size_t>((pair * 0x9e3779b97f4a7c15u) >> 32) & (heads_.size() - 1);
}

void PromptLookup::index_until(std::span<const TokenId> tokens, std::size_t end) {
  if (heads_.size() < end) {
    heads_.assign(std::bit_ceil(std::max<std::size_t>(2 * end, 256)), 0);
    earlier_.clear();
  }
  if (earlier_.empty() && end > 0) earlier_.push_back(0);  // a pair needs a token before it
  for (std::size_t i = earlier_.size(); i < end; ++i) {
    std::int32_t& head = heads_[slot(tokens[i - 1], tokens[i])];
    earlier_.push_back(head);
    head = static_cast<std::int32_t>(i) + 1;
  }
}

PromptLookup::Guess PromptLookup::guess(std::span<const TokenId> tokens, std::int64_t drafts_max) {
  Guess out;
  if (tokens.size() < 3 || drafts_max <= 0) return out;
  const std::size_t last = tokens.size() - 1;
  index_until(tokens, last);

  std::size_t best = 0;
  int places = 0;
  for (std::int32_t at = heads_[slot(tokens[last - 1], tokens[last])];
       at != 0 && places < kPlacesMax && out.matched < kMatchMax; ++places) {
    const auto place = static_cast<std::size_t>(at - 1);
    std::int64_t matched = 0;
    while (matched < kMatchMax && static_cast<std::size_t>(matched) <= place &&
           tokens[place - static_cast<std::size_t>(matched)] ==
               tokens[last - static_cast<std::size_t>(matched)])
      ++matched;
    if (matched >= 2 && matched > out.matched) {
      out.matched = matched;
      best = place;
    }
    at = earlier_[place];
  }
  // What follows there; where that reaches the end, it goes on in what was guessed: a loop.
  for (std::int64_t i = 0; out.matched > 0 && i < drafts_max; ++i) {
    const std::size_t from = best + 1 + static_cast<std::size_t>(i);
    out.drafts.push_back(from < tokens.size() ? tokens[from] : out.drafts[from - tokens.size()]);
  }
  return out;
}

}  // namespace hearth::engine

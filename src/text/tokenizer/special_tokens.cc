#include "text/tokenizer/special_tokens.h"

#include <algorithm>
#include <bit>
#include <map>
#include <queue>

#include "text/tokenizer/hash.h"

namespace hearth::text {
namespace {

// The longest seen in published vocabularies are runs of some 30 spaces; the cap keeps a hostile
// vocabulary from making every position of a text cost more than this.
constexpr std::size_t kSpecialBytesMax = 512;

std::size_t pair_index(std::uint8_t first, std::uint8_t second) { return first * 256u + second; }

// Longer first, then the lower id, then the left one.
struct Claim {
  std::size_t size;
  TokenId id;
  std::size_t begin;

  bool operator<(const Claim& other) const {  // the greatest is on top of a std::priority_queue
    if (size != other.size) return size < other.size;
    if (id != other.id) return id > other.id;
    return begin > other.begin;
  }
};

}  // namespace

std::uint32_t SpecialTokens::child(std::uint32_t node, std::uint8_t byte) const {
  if (node == 0) return roots_[byte];
  const std::uint64_t key = (std::uint64_t{node} << 8) | byte;
  const std::size_t mask = edges_.size() - 1;
  for (std::size_t at = mix_bits(key) & mask; edges_[at].key != 0; at = (at + 1) & mask) {
    if (edges_[at].key == key) return edges_[at].to;
  }
  return 0;
}

void SpecialTokens::insert(std::string_view token, TokenId id, bool hidden) {
  std::uint32_t node = 0;
  for (const char c : token) {
    const auto byte = static_cast<std::uint8_t>(c);
    std::uint32_t to = child(node, byte);
    if (to == 0) {
      to = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
      if (node == 0) {
        roots_[byte] = to;
      } else {
        const std::uint64_t key = (std::uint64_t{node} << 8) | byte;
        const std::size_t mask = edges_.size() - 1;
        std::size_t at = mix_bits(key) & mask;
        while (edges_[at].key != 0) at = (at + 1) & mask;
        edges_[at] = {key, to};
      }
    }
    node = to;
  }
  TokenId& place = hidden ? nodes_[node].hidden : nodes_[node].open;
  if (place == kNoToken) place = id;
  const auto first = static_cast<std::uint8_t>(token[0]);
  if (token.size() > 1) {
    pairs_.set(pair_index(first, static_cast<std::uint8_t>(token[1])));
  } else {
    for (std::size_t second = 0; second < 256; ++second) {
      pairs_.set(pair_index(first, static_cast<std::uint8_t>(second)));
    }
  }
}

Result<SpecialTokens> SpecialTokens::make(const Vocab& vocab) {
  const auto is_special = [&](TokenId id) {
    return (vocab.is_hidden(id) || vocab.type(id) == TokenType::kUserDefined) &&
           !vocab.text(id).empty();
  };
  const auto count = static_cast<TokenId>(vocab.size());
  std::size_t bytes = 0;
  for (TokenId id = 0; id < count; ++id) {
    if (!is_special(id)) continue;
    if (vocab.text(id).size() > kSpecialBytesMax) {
      return fail(ErrorKind::kTooLarge, "special_token_too_long",
                  "tokenizer: special token {} is longer than {} bytes", id, kSpecialBytesMax);
    }
    bytes += vocab.text(id).size();
  }
  SpecialTokens special;
  special.edges_.resize(std::bit_ceil(bytes * 2 + 2));
  for (TokenId id = 0; id < count; ++id) {
    if (is_special(id)) special.insert(vocab.text(id), id, vocab.is_hidden(id));
  }
  return special;
}

SpecialTokens::Found SpecialTokens::longest(std::string_view rest, std::size_t room,
                                            std::size_t trusted_room) const {
  Found found;
  std::uint32_t node = 0;
  for (std::size_t i = 0; i < room; ++i) {
    node = child(node, static_cast<std::uint8_t>(rest[i]));
    if (node == 0) break;
    const TokenId hidden = i < trusted_room ? nodes_[node].hidden : kNoToken;
    const TokenId open = nodes_[node].open;
    if (hidden == kNoToken && open == kNoToken) continue;
    const bool take_hidden = open == kNoToken || (hidden != kNoToken && hidden < open);
    found = {i + 1, take_hidden ? hidden : open};
  }
  return found;
}

std::vector<SpecialMatch> SpecialTokens::match(std::string_view text,
                                               std::span<const ByteRange> trusted) const {
  const auto trusted_room = [&](std::size_t begin) -> std::size_t {
    const auto after = std::ranges::upper_bound(trusted, begin, {}, &ByteRange::begin);
    if (after == trusted.begin()) return 0;
    const ByteRange& range = *std::prev(after);
    return range.end > begin ? range.end - begin : 0;
  };
  std::vector<Claim> claims;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto first = static_cast<std::uint8_t>(text[at]);
    if (roots_[first] == 0) continue;
    if (at + 1 < text.size() &&
        !pairs_[pair_index(first, static_cast<std::uint8_t>(text[at + 1]))]) {
      continue;
    }
    const Found found = longest(text.substr(at), text.size() - at, trusted_room(at));
    if (found.id != kNoToken) claims.push_back({found.size, found.id, at});
  }

  // Each claim is the longest of its place. Where a claim runs into a match that is already taken,
  // the longest that still fits claims the place instead: that at least halves the room each time.
  std::priority_queue<Claim> queue({}, std::move(claims));
  std::map<std::size_t, SpecialMatch> taken;  // by begin
  while (!queue.empty()) {
    const Claim claim = queue.top();
    queue.pop();
    const auto right = taken.lower_bound(claim.begin);
    if (right != taken.end() && right->second.begin == claim.begin) continue;
    if (right != taken.begin() && std::prev(right)->second.end > claim.begin) continue;
    const std::size_t room =
        (right == taken.end() ? text.size() : right->second.begin) - claim.begin;
    if (claim.size <= room) {
      taken.emplace_hint(right, claim.begin,
                         SpecialMatch{claim.begin, claim.begin + claim.size, claim.id});
      continue;
    }
    const Found found = longest(text.substr(claim.begin), room, trusted_room(claim.begin));
    if (found.id != kNoToken) queue.push({found.size, found.id, claim.begin});
  }
  std::vector<SpecialMatch> matches;
  matches.reserve(taken.size());
  for (const auto& [begin, match] : taken) matches.push_back(match);
  return matches;
}

}  // namespace hearth::text

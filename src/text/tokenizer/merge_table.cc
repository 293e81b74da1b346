#include "text/tokenizer/merge_table.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "text/tokenizer/hash.h"

namespace hearth::text {

namespace {
constexpr std::size_t kMergesMax = std::size_t{1} << 26;
}  // namespace

std::uint64_t MergeTable::hash(TokenId left, TokenId right) {
  return mix_bits((std::uint64_t{static_cast<std::uint32_t>(left)} << 32) |
                  static_cast<std::uint32_t>(right));
}

Result<MergeTable> MergeTable::make(const Vocab& vocab) {
  const std::vector<std::string>& merges = vocab.data().merges;
  if (merges.size() > kMergesMax) {
    return fail(ErrorKind::kTooLarge, "too_many_merges", "tokenizer: {} merges, at most {}",
                merges.size(), kMergesMax);
  }
  MergeTable table;
  table.slots_.resize(std::bit_ceil(std::max<std::size_t>(merges.size() * 2, 2)));
  const std::size_t mask = table.slots_.size() - 1;
  std::unordered_set<std::string_view> barred;  // texts that merging must not arrive at
  for (std::size_t i = 0; i < vocab.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!vocab.is_mergeable(id)) barred.insert(vocab.text(id));
  }
  std::string joined;
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    auto sides = parse_merge(merges[rank]);
    if (!sides) return prefixed(fmt::format("tokenizer: merge {}", rank), sides.error());
    joined.assign(sides->left).append(sides->right);
    const TokenId left = vocab.find(sides->left);
    const TokenId right = vocab.find(sides->right);
    const TokenId whole = vocab.find(joined);
    if (left == kNoToken || right == kNoToken || whole == kNoToken) {
      const auto known = [&](TokenId id, std::string_view text) {
        return id != kNoToken || barred.contains(text);
      };
      if (known(left, sides->left) && known(right, sides->right) && known(whole, joined)) continue;
      return invalid("bad_merge", "tokenizer: merge {} is of tokens that do not exist", rank);
    }
    std::size_t at = hash(left, right) & mask;
    bool known = false;
    for (; table.slots_[at].left != -1; at = (at + 1) & mask) {
      if (table.slots_[at].left == left && table.slots_[at].right == right) {
        known = true;
        break;
      }
    }
    if (known) continue;
    table.slots_[at] = {left, right, {static_cast<std::uint32_t>(rank), whole}};
  }
  return table;
}

Merge MergeTable::find(TokenId left, TokenId right) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash(left, right) & mask; slots_[at].left != -1; at = (at + 1) & mask) {
    if (slots_[at].left == left && slots_[at].right == right) return slots_[at].merge;
  }
  return {};
}

}  // namespace hearth::text

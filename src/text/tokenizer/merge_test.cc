#include "text/tokenizer/merge.h"

#include <gtest/gtest.h>

#include <random>

namespace hearth::text {
namespace {

// Random rules over few symbols, so that many merges compete and stack up.
struct Rules {
  explicit Rules(std::mt19937& random) {
    for (auto& row : table) {
      for (Merge& merge : row) {
        if (random() % 3 != 0) continue;
        merge.priority = static_cast<std::uint32_t>(random() % 6);  // ties on purpose
        merge.id = static_cast<TokenId>(random() % 8);
      }
    }
  }
  Merge operator()(const Symbol& left, const Symbol& right) const {
    return table[static_cast<std::size_t>(left.id)][static_cast<std::size_t>(right.id)];
  }
  Merge table[8][8];
};

// The definition, word for word.
void merge_plainly(std::vector<Symbol>& symbols, const Rules& rules) {
  while (true) {
    Merge best;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const Merge merge = rules(symbols[i], symbols[i + 1]);
      if (merge.priority < best.priority) {
        best = merge;
        at = i;
      }
    }
    if (best.priority == Merge::kNever) return;
    symbols[at].id = best.id;
    symbols[at].size += symbols[at + 1].size;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

bool same(const std::vector<Symbol>& a, const std::vector<Symbol>& b) {
  return std::ranges::equal(a, b, [](const Symbol& x, const Symbol& y) {
    return x.begin == y.begin && x.size == y.size && x.id == y.id;
  });
}

TEST(Merge, BothWaysFollowTheDefinition) {
  std::mt19937 random(3);
  MergeScratch scratch;
  for (int round = 0; round < 3000; ++round) {
    const Rules rules(random);
    std::vector<Symbol> symbols;
    const auto count = static_cast<std::uint32_t>(random() % 100);
    for (std::uint32_t i = 0; i < count; ++i) {
      symbols.push_back({i, 1, static_cast<TokenId>(random() % 8)});
    }
    auto expected = symbols;
    merge_plainly(expected, rules);
    auto few = symbols;
    merge_few(few, rules, scratch);
    ASSERT_TRUE(same(few, expected)) << round;
    auto many = symbols;
    merge_many(many, rules, scratch);
    ASSERT_TRUE(same(many, expected)) << round;
  }
}

}  // namespace
}  // namespace hearth::text

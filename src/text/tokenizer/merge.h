// Byte pair encoding, the part that both kinds of tokenizer share: of all neighbours that may merge
// the best pair does, the leftmost of equals, until none may. Sennrich et al., "Neural Machine
// Translation of Rare Words with Subword Units" (ACL 2016). O(n log n) for n symbols.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "text/tokenizer.h"

namespace hearth::text {

// A stretch of the text that is (or is going to be) one token.
struct Symbol {
  std::uint32_t begin = 0;  // byte offset
  std::uint32_t size = 0;   // bytes
  TokenId id = -1;          // -1: not a token
};

struct Merge {
  static constexpr std::uint32_t kNever = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t priority = kNever;  // lower goes first
  TokenId id = -1;                  // what the pair becomes
};

// Working memory, kept from word to word.
struct MergeScratch {
  struct Candidate {
    std::uint64_t order;  // priority, then position: one comparison
    std::uint32_t size;   // bytes of the pair, to see that neither side has changed since
    TokenId id;
  };
  std::vector<Merge> merges;  // of symbol i with symbol i + 1
  std::vector<Candidate> heap;
  std::vector<std::uint32_t> previous;
  std::vector<std::uint32_t> next;
};

// Few symbols: a scan of all pairs for each merge is faster than a heap.
template <class Lookup>
void merge_few(std::vector<Symbol>& symbols, const Lookup& lookup, MergeScratch& scratch) {
  auto& merges = scratch.merges;
  merges.clear();
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
    merges.push_back(lookup(symbols[i], symbols[i + 1]));
  }
  while (!merges.empty()) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < merges.size(); ++i) {
      if (merges[i].priority < merges[best].priority) best = i;
    }
    if (merges[best].priority == Merge::kNever) break;
    symbols[best].size += symbols[best + 1].size;
    symbols[best].id = merges[best].id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    merges.erase(merges.begin() + static_cast<std::ptrdiff_t>(best));
    if (best < merges.size()) merges[best] = lookup(symbols[best], symbols[best + 1]);
    if (best > 0) merges[best - 1] = lookup(symbols[best - 1], symbols[best]);
  }
}

template <class Lookup>
void merge_many(std::vector<Symbol>& symbols, const Lookup& lookup, MergeScratch& scratch) {
  using Candidate = MergeScratch::Candidate;
  const auto count = static_cast<std::uint32_t>(symbols.size());
  auto& [merges, heap, previous, next] = scratch;
  previous.resize(count);
  next.resize(count);  // count: none
  heap.clear();
  const auto later = [](const Candidate& a, const Candidate& b) { return a.order > b.order; };
  const auto candidate = [&](std::uint32_t left, std::uint32_t right) {
    const Merge merge = lookup(symbols[left], symbols[right]);
    if (merge.priority == Merge::kNever) return false;
    heap.push_back({(std::uint64_t{merge.priority} << 32) | left,
                    symbols[left].size + symbols[right].size, merge.id});
    return true;
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    previous[i] = i - 1;  // unused for 0
    next[i] = i + 1;
    if (i + 1 < count) candidate(i, i + 1);
  }
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    const Candidate best = heap.front();
    std::pop_heap(heap.begin(), heap.end(), later);
    heap.pop_back();
    const auto left = static_cast<std::uint32_t>(best.order);
    const std::uint32_t right = next[left];
    // A symbol only grows, or is taken by its left neighbour and has size 0: equal sizes mean the
    // same pair.
    if (symbols[left].size == 0 || right == count ||
        symbols[left].size + symbols[right].size != best.size) {
      continue;
    }
    symbols[left].size = best.size;
    symbols[left].id = best.id;
    symbols[right].size = 0;
    next[left] = next[right];
    if (next[left] != count) {
      previous[next[left]] = left;
      if (candidate(left, next[left])) std::push_heap(heap.begin(), heap.end(), later);
    }
    if (left != 0 && candidate(previous[left], left)) {
      std::push_heap(heap.begin(), heap.end(), later);
    }
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.size == 0; });
}

// `lookup(left, right)` gives the merge of two neighbouring symbols. No symbol is empty at the
// start.
template <class Lookup>
void merge_symbols(std::vector<Symbol>& symbols, const Lookup& lookup, MergeScratch& scratch) {
  constexpr std::size_t kFew = 40;
  if (symbols.size() <= kFew) {
    merge_few(symbols, lookup, scratch);
  } else {
    merge_many(symbols, lookup, scratch);
  }
}

}  // namespace hearth::text

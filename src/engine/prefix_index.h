// Which pages hold which text: a trie whose nodes are whole pages of tokens, a tree for each salt.
// Found by a hash, believed only when parent and tokens are equal one by one. It owns no page: the
// pool (engine/kv_pool.h) counts who uses one, and asks here which page that nobody uses it should
// give up first.
//
// That is the one of least worth, renewed whenever it is used and raised by what has been given up
// since (GreedyDual-Size-Frequency: Cherkasova, HP Labs HPL-98-69R1; all pages are of one size). In
// a group with full attention a page is of use only with all pages before it, so leaves go first.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "engine/messages.h"

namespace hearth::engine {

struct PrefixNode {
  PrefixNode* parent = nullptr;  // null: the first page of a text
  std::string salt;              // of a first page
  std::vector<TokenId> tokens;   // of one page
  std::int64_t position = 0;     // of its first token
  std::int64_t children = 0;
  std::int64_t held = 0;             // by those who may add() to it; it stays, without pages too
  std::int64_t hits = 0;             // requests that found it here
  std::uint64_t serial = 0;          // never given twice
  std::vector<std::int32_t> pages;   // by group; -1: given up, or left by the window before
  std::vector<double> worth;         // by group, as it was when nobody used its page any more
  std::vector<std::uint8_t> unused;  // by group: nobody uses its page
};

class PrefixIndex {
 public:
  // For each group of layers whether its attention has a window.
  explicit PrefixIndex(std::vector<bool> windowed);

  // The page that follows `parent` (null: the first of a text of this salt) and holds just these
  // tokens; null if there is none.
  PrefixNode* find(const PrefixNode* parent, std::string_view salt,
                   std::span<const TokenId> tokens) const;
  // What find() returns from now on; nothing may be there yet.
  PrefixNode* add(PrefixNode* parent, std::string_view salt, std::span<const TokenId> tokens);

  // Null is held by nobody.
  static void hold(PrefixNode* node) {
    if (node) ++node->held;
  }
  void let_go(PrefixNode* node);

  // From now on somebody, or nobody, uses the node's page of this group.
  void use(PrefixNode& node, std::size_t group);
  void leave(PrefixNode& node, std::size_t group);

  // Takes a page of this group that nobody uses out of the index, and whatever is of no use without
  // it: calls given_up(group, page) for each. False: there is none.
  template <class GivenUp>
  bool give_up(std::size_t group, GivenUp given_up) {
    if (order_[group].empty()) return false;
    PrefixNode* node = order_[group].begin()->node;
    clock_ = order_[group].begin()->worth;
    for (std::size_t g = 0; g < order_.size(); ++g) {
      if (node->pages[g] < 0 || (g != group && windowed_[group])) continue;
      given_up(g, node->pages[g]);
      detach(*node, g);
    }
    prune(node);
    return true;
  }

  std::int64_t unused(std::size_t group) const { return unused_[group]; }

  // Every node, in no order.
  std::vector<const PrefixNode*> nodes() const;
  void check_integrity() const;

 private:
  struct Key {
    const PrefixNode* parent;
    std::string_view salt;
    std::span<const TokenId> tokens;
  };
  struct Hash {
    using is_transparent = void;
    std::uint64_t seed;
    std::size_t operator()(const Key& key) const;
    std::size_t operator()(const std::unique_ptr<PrefixNode>& node) const;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Key& a, const std::unique_ptr<PrefixNode>& b) const;
    bool operator()(const std::unique_ptr<PrefixNode>& a, const Key& b) const {
      return (*this)(b, a);
    }
    bool operator()(const std::unique_ptr<PrefixNode>& a,
                    const std::unique_ptr<PrefixNode>& b) const;
  };
  struct Candidate {
    double worth;
    std::uint64_t serial;
    PrefixNode* node;
    bool operator<(const Candidate& other) const {
      return worth != other.worth ? worth < other.worth : serial < other.serial;
    }
  };
  static Key key_of(const PrefixNode& node) { return {node.parent, node.salt, node.tokens}; }
  bool may_go(const PrefixNode& node, std::size_t group) const {
    return node.unused[group] != 0 && (windowed_[group] || node.children == 0);
  }
  Candidate candidate(PrefixNode& node, std::size_t group) const {
    return {node.worth[group], node.serial, &node};
  }
  void detach(PrefixNode& node, std::size_t group);
  void prune(PrefixNode* node);

  const std::vector<bool> windowed_;
  std::unordered_set<std::unique_ptr<PrefixNode>, Hash, Equal> nodes_;
  std::vector<std::set<Candidate>> order_;  // by group: what may go, the least first
  std::vector<std::int64_t> unused_;        // by group
  double clock_ = 0;
  std::uint64_t serial_ = 0;
};

}  // namespace hearth::engine

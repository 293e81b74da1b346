#include "engine/prefix_index.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/result.h"

namespace hearth::engine {
namespace {

// What a page's tokens cost to compute again, in units of one at the start of a text: a token's
// attention costs about as much as its matrices when it has this many before it.
constexpr double kAttentionEqualsMatrices = 4096;
// So that what was popular once is not kept for ever.
constexpr std::int64_t kHitsMax = 8;

double cost(const PrefixNode& node) {
  return (1 + static_cast<double>(node.position) / kAttentionEqualsMatrices) *
         static_cast<double>(1 + std::min(node.hits, kHitsMax));
}

std::uint64_t mix(std::uint64_t h, std::uint64_t x) {
  h = (h ^ x) * 0x9e3779b97f4a7c15;
  return h ^ (h >> 29);
}

// The seed keeps outsiders from writing prompts that all meet in one bucket.
std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

}  // namespace

std::size_t PrefixIndex::Hash::operator()(const Key& key) const {
  std::uint64_t h = mix(seed, key.parent ? key.parent->serial : 0);
  for (char c : key.salt) h = mix(h, static_cast<unsigned char>(c));
  for (TokenId id : key.tokens) h = mix(h, static_cast<std::uint32_t>(id));
  return h;
}

std::size_t PrefixIndex::Hash::operator()(const std::unique_ptr<PrefixNode>& node) const {
  return (*this)(key_of(*node));
}

bool PrefixIndex::Equal::operator()(const Key& a, const std::unique_ptr<PrefixNode>& b) const {
  return a.parent == b->parent && a.salt == b->salt &&
         std::equal(a.tokens.begin(), a.tokens.end(), b->tokens.begin(), b->tokens.end());
}

bool PrefixIndex::Equal::operator()(const std::unique_ptr<PrefixNode>& a,
                                    const std::unique_ptr<PrefixNode>& b) const {
  return (*this)(key_of(*a), b);
}

PrefixIndex::PrefixIndex(std::vector<bool> windowed)
    : windowed_(std::move(windowed)),
      nodes_(0, Hash{random_seed()}),
      order_(windowed_.size()),
      unused_(windowed_.size(), 0) {}

PrefixNode* PrefixIndex::find(const PrefixNode* parent, std::string_view salt,
                              std::span<const TokenId> tokens) const {
  const auto at = nodes_.find(Key{parent, parent ? std::string_view() : salt, tokens});
  return at == nodes_.end() ? nullptr : at->get();
}

PrefixNode* PrefixIndex::add(PrefixNode* parent, std::string_view salt,
                             std::span<const TokenId> tokens) {
  auto node = std::make_unique<PrefixNode>();
  node->parent = parent;
  if (parent) {
    node->position = parent->position + static_cast<std::int64_t>(tokens.size());
    // A leaf no longer.
    for (std::size_t g = 0; g < order_.size(); ++g)
      if (!windowed_[g] && may_go(*parent, g)) order_[g].erase(candidate(*parent, g));
    ++parent->children;
  } else {
    node->salt = salt;
  }
  node->tokens.assign(tokens.begin(), tokens.end());
  node->serial = ++serial_;
  node->pages.assign(order_.size(), -1);
  node->worth.assign(order_.size(), 0);
  node->unused.assign(order_.size(), 0);
  const auto [at, added] = nodes_.insert(std::move(node));
  HEARTH_CHECK(added);
  return at->get();
}

void PrefixIndex::use(PrefixNode& node, std::size_t group) {
  if (may_go(node, group)) order_[group].erase(candidate(node, group));
  unused_[group] -= node.unused[group];
  node.unused[group] = 0;
}

void PrefixIndex::leave(PrefixNode& node, std::size_t group) {
  HEARTH_CHECK(node.pages[group] >= 0 && node.unused[group] == 0);
  node.unused[group] = 1;
  node.worth[group] = clock_ + cost(node);
  ++unused_[group];
  if (may_go(node, group)) order_[group].insert(candidate(node, group));
}

void PrefixIndex::detach(PrefixNode& node, std::size_t group) {
  HEARTH_CHECK(node.unused[group] != 0);
  use(node, group);
  node.pages[group] = -1;
}

void PrefixIndex::let_go(PrefixNode* node) {
  if (!node) return;
  HEARTH_CHECK(node->held > 0);
  --node->held;
  prune(node);
}

// Nodes without pages remain only as the way to others.
void PrefixIndex::prune(PrefixNode* node) {
  while (node && node->children == 0 && node->held == 0 &&
         std::all_of(node->pages.begin(), node->pages.end(), [](auto page) { return page < 0; })) {
    PrefixNode* parent = node->parent;
    nodes_.erase(nodes_.find(key_of(*node)));
    if (parent && --parent->children == 0)
      for (std::size_t g = 0; g < order_.size(); ++g)
        if (!windowed_[g] && may_go(*parent, g)) order_[g].insert(candidate(*parent, g));
    node = parent;
  }
}

std::vector<const PrefixNode*> PrefixIndex::nodes() const {
  std::vector<const PrefixNode*> out;
  for (const auto& node : nodes_) out.push_back(node.get());
  return out;
}

void PrefixIndex::check_integrity() const {
  std::vector<std::int64_t> unused(order_.size(), 0);
  std::vector<std::size_t> may_go_count(order_.size(), 0);
  std::unordered_map<const PrefixNode*, std::int64_t> children;
  for (const auto& node : nodes_) {
    if (node->parent) ++children[node->parent];
    bool any = node->children > 0 || node->held > 0;
    for (std::size_t g = 0; g < order_.size(); ++g) {
      any = any || node->pages[g] >= 0;
      HEARTH_CHECK(windowed_[g] || node->pages[g] >= 0);  // a chain of full attention has no gaps
      unused[g] += node->unused[g];
      if (!may_go(*node, g)) continue;
      ++may_go_count[g];
      HEARTH_CHECK(order_[g].contains({node->worth[g], node->serial, node.get()}));
    }
    HEARTH_CHECK(any);
  }
  for (const auto& node : nodes_) {
    const auto counted = children.find(node.get());
    HEARTH_CHECK(node->children == (counted == children.end() ? 0 : counted->second));
  }
  HEARTH_CHECK(unused == unused_);
  for (std::size_t g = 0; g < order_.size(); ++g) HEARTH_CHECK(may_go_count[g] == order_[g].size());
}

}  // namespace hearth::engine

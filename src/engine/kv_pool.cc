#include "engine/kv_pool.h"

#include <algorithm>
#include <utility>

#include "base/result.h"

namespace hearth::engine {

std::vector<bool> KvPool::windowed(const std::vector<backend::KvGroupSpec>& groups) {
  std::vector<bool> out;
  for (const auto& group : groups) out.push_back(group.window > 0);
  return out;
}

KvPool::KvPool(std::unique_ptr<backend::KvCache> cache, std::vector<backend::KvGroupSpec> groups,
               std::int64_t kept_bytes_max)
    : cache_(std::move(cache)), index_(windowed(groups)), kept_bytes_max_(kept_bytes_max) {
  for (std::size_t g = 0; g < groups.size(); ++g) {
    Group group;
    group.spec = groups[g];
    const auto pages = static_cast<std::int32_t>(cache_->pages(g));
    for (std::int32_t p = pages; p-- > 0;) group.free.push_back(p);
    group.references.assign(static_cast<std::size_t>(pages), 0);
    group.node.assign(static_cast<std::size_t>(pages), nullptr);
    groups_.push_back(std::move(group));
  }
}

PageTable KvPool::make_table() const {
  PageTable table;
  table.groups.resize(groups_.size());
  for (const Group& g : groups_) table.windows.push_back(g.spec.window);
  return table;
}

bool KvPool::grow(PageTable& table, std::int64_t tokens) {
  const auto wanted = static_cast<std::size_t>(pages_for(tokens));
  for (std::size_t g = 0; g < groups_.size(); ++g)
    if (pages_for(tokens) > static_cast<std::int64_t>(table.groups[g].size()) + available(g))
      return false;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    Group& group = groups_[g];
    while (table.groups[g].size() < wanted) {
      // Those first that were in use before: memory that nobody has touched yet stays untouched.
      if (group.free.empty() && group.dirty.empty()) HEARTH_CHECK(give_up(g));
      if (!group.dirty.empty()) clean_one(g);
      const std::int32_t page = group.free.back();
      group.free.pop_back();
      group.references[static_cast<std::size_t>(page)] = 1;
      table.groups[g].push_back(page);
    }
  }
  return true;
}

std::int64_t KvPool::share(const PageTable& from, std::int64_t tokens, PageTable& to) {
  const std::int64_t pages = tokens / page_tokens();
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    HEARTH_CHECK(to.groups[g].empty());
    for (std::int64_t i = 0; i < pages; ++i) {
      const std::int32_t page = from.groups[g][static_cast<std::size_t>(i)];
      if (page >= 0) take(g, page);
      to.groups[g].push_back(page);
    }
  }
  PrefixNode* last = from.last_published;
  while (last && last->position >= pages * page_tokens()) last = last->parent;
  set_last_published(to, last);
  return pages * page_tokens();
}

std::int64_t KvPool::adopt(std::string_view salt, std::span<const TokenId> tokens,
                           PageTable& table) {
  std::vector<PrefixNode*> chain;
  const auto page_size = static_cast<std::size_t>(page_tokens());
  for (std::size_t begin = 0; begin + page_size <= tokens.size(); begin += page_size) {
    PrefixNode* next =
        index_.find(chain.empty() ? nullptr : chain.back(), salt, tokens.subspan(begin, page_size));
    if (!next) break;
    chain.push_back(next);
  }
  // The first page that the token after so many pages can see.
  const auto first_seen = [&](std::int64_t pages, std::int64_t window) -> std::int64_t {
    if (window == 0) return 0;
    return std::max<std::int64_t>(0, pages * page_tokens() - window + 1) / page_tokens();
  };
  const auto complete = [&](std::int64_t pages) {
    for (std::size_t g = 0; g < groups_.size(); ++g)
      for (std::int64_t i = first_seen(pages, table.windows[g]); i < pages; ++i)
        if (chain[static_cast<std::size_t>(i)]->pages[g] < 0) return false;
    return true;
  };
  auto pages = static_cast<std::int64_t>(chain.size());
  while (!complete(pages)) --pages;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    HEARTH_CHECK(table.groups[g].empty());
    const std::int64_t first = first_seen(pages, table.windows[g]);
    for (std::int64_t i = 0; i < pages; ++i) {
      const std::int32_t page = i < first ? -1 : chain[static_cast<std::size_t>(i)]->pages[g];
      if (page >= 0) take(g, page);
      table.groups[g].push_back(page);
    }
  }
  set_last_published(table, pages > 0 ? chain[static_cast<std::size_t>(pages - 1)] : nullptr);
  return pages * page_tokens();
}

void KvPool::publish(std::string_view salt, std::span<const TokenId> tokens, PageTable& table) {
  const auto page_size = static_cast<std::size_t>(page_tokens());
  for (auto i = static_cast<std::size_t>(pages_published(table));
       (i + 1) * page_size <= tokens.size(); ++i) {
    const std::span<const TokenId> of_page = tokens.subspan(i * page_size, page_size);
    PrefixNode* node = index_.find(table.last_published, salt, of_page);
    if (!node) node = index_.add(table.last_published, salt, of_page);
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      std::int32_t& own = table.groups[g][i];
      if (own < 0) continue;  // the window has left it
      if (std::int32_t& known = node->pages[g]; known < 0) {
        known = own;
        groups_[g].node[static_cast<std::size_t>(own)] = node;
      } else {  // the same bits, computed by another
        take(g, known);
        drop(g, std::exchange(own, known));
      }
    }
    set_last_published(table, node);
  }
}

std::int64_t KvPool::pages_published(const PageTable& table) const {
  return table.last_published ? table.last_published->position / page_tokens() + 1 : 0;
}

void KvPool::set_last_published(PageTable& table, PrefixNode* node) {
  PrefixIndex::hold(node);
  index_.let_go(std::exchange(table.last_published, node));
}

void KvPool::count_hit(const PageTable& table) {
  for (PrefixNode* node = table.last_published; node; node = node->parent) ++node->hits;
}

void KvPool::take(std::size_t group, std::int32_t page) {
  Group& g = groups_[group];
  const auto index = static_cast<std::size_t>(page);
  if (g.references[index]++ > 0) return;
  HEARTH_CHECK(g.node[index] != nullptr);
  index_.use(*g.node[index], group);
}

void KvPool::drop(std::size_t group, std::int32_t page) {
  Group& g = groups_[group];
  const auto index = static_cast<std::size_t>(page);
  HEARTH_CHECK(g.references[index] > 0);
  if (--g.references[index] > 0) return;
  if (g.node[index])
    index_.leave(*g.node[index], group);
  else
    groups_[group].dirty.push_back(page);
}

void KvPool::clean_one(std::size_t group) {
  Group& g = groups_[group];
  const std::int32_t page = g.dirty.back();
  cache_->zero_page(group, page);
  g.dirty.pop_back();
  g.free.push_back(page);
}

void KvPool::clean(std::int64_t bytes) {
  for (std::size_t g = 0; g < groups_.size(); ++g)
    while (!groups_[g].dirty.empty() && bytes > 0) {
      clean_one(g);
      bytes -= cache_->page_bytes(g);
    }
}

bool KvPool::give_up(std::size_t group) {
  return index_.give_up(group, [&](std::size_t g, std::int32_t page) {
    groups_[g].node[static_cast<std::size_t>(page)] = nullptr;
    groups_[g].dirty.push_back(page);
  });
}

std::int64_t KvPool::available(std::size_t group) const {
  const Group& g = groups_[group];
  return static_cast<std::int64_t>(g.free.size() + g.dirty.size()) + index_.unused(group);
}

void KvPool::trim(PageTable& table, std::int64_t next) {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const std::int64_t window = table.windows[g];
    if (window == 0) continue;
    const std::int64_t first_seen = next - page_tokens() - window + 1;
    for (std::size_t i = 0; i < table.groups[g].size(); ++i) {
      if (static_cast<std::int64_t>(i + 1) * page_tokens() > first_seen) break;
      if (std::int32_t& page = table.groups[g][i]; page >= 0) drop(g, std::exchange(page, -1));
    }
  }
  keep_within_bound();
}

void KvPool::release(PageTable& table) {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    for (std::int32_t page : table.groups[g])
      if (page >= 0) drop(g, page);
    table.groups[g].clear();
  }
  set_last_published(table, nullptr);
  keep_within_bound();
}

// Of the group that keeps most, so that none is emptied for another.
void KvPool::keep_within_bound() {
  for (;;) {
    std::int64_t kept = 0;
    std::int64_t most = 0;
    std::size_t of_group = 0;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const std::int64_t bytes = index_.unused(g) * cache_->page_bytes(g);
      kept += bytes;
      if (bytes > most) {
        most = bytes;
        of_group = g;
      }
    }
    if (kept <= kept_bytes_max_) return;
    HEARTH_CHECK(give_up(of_group));
  }
}

bool KvPool::has_room(std::int64_t tokens, std::int64_t promised) const {
  for (std::size_t g = 0; g < groups_.size(); ++g)
    if (pages_for(tokens) + promised > available(g)) return false;
  return true;
}

std::int64_t KvPool::pages_short(const PageTable& table, std::int64_t tokens) const {
  // All groups' lists are equally long: what a window has left stays in them as -1.
  const auto held = static_cast<std::int64_t>(table.groups.front().size());
  return std::max<std::int64_t>(0, pages_for(tokens) - held);
}

std::int64_t KvPool::bytes_seen(std::int64_t position) const {
  std::int64_t bytes = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const std::int64_t window = groups_[g].spec.window;
    const std::int64_t tokens = window > 0 ? std::min(position, window) : position;
    bytes += tokens * cache_->page_bytes(g) / page_tokens();
  }
  return bytes;
}

std::int64_t KvPool::bytes() const {
  std::int64_t bytes = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g)
    bytes += cache_->pages(g) * cache_->page_bytes(g);
  return bytes;
}

std::int64_t KvPool::tokens_max() const {
  std::int64_t pages = INT64_MAX;
  for (std::size_t g = 0; g < groups_.size(); ++g) pages = std::min(pages, cache_->pages(g));
  return pages * page_tokens();
}

std::int64_t KvPool::pages_total() const {
  std::int64_t n = 0;
  for (const Group& g : groups_) n += static_cast<std::int64_t>(g.references.size());
  return n;
}

std::int64_t KvPool::pages_used() const {
  std::int64_t n = pages_total();
  for (std::size_t g = 0; g < groups_.size(); ++g) n -= available(g);
  return n;
}

std::int64_t KvPool::pages_kept() const {
  std::int64_t n = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) n += index_.unused(g);
  return n;
}

void KvPool::check_integrity(const std::vector<const PageTable*>& tables) const {
  index_.check_integrity();
  std::vector<std::vector<const PrefixNode*>> found(groups_.size());
  for (std::size_t g = 0; g < groups_.size(); ++g) found[g].resize(groups_[g].node.size());
  for (const PrefixNode* node : index_.nodes())
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      if (node->pages[g] < 0) continue;
      const auto page = static_cast<std::size_t>(node->pages[g]);
      HEARTH_CHECK(std::exchange(found[g][page], node) == nullptr);
      HEARTH_CHECK((groups_[g].references[page] == 0) == (node->unused[g] != 0));
    }
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    HEARTH_CHECK(std::equal(group.node.begin(), group.node.end(), found[g].begin()));
    std::vector<std::int32_t> counted(group.references.size(), 0);
    for (const PageTable* table : tables) {
      for (std::int32_t page : table->groups[g])
        if (page >= 0) ++counted[static_cast<std::size_t>(page)];
      const PrefixNode* node = table->last_published;
      for (auto i = static_cast<std::size_t>(pages_published(*table)); i-- > 0; node = node->parent)
        HEARTH_CHECK(table->groups[g][i] < 0 || table->groups[g][i] == node->pages[g]);
    }
    HEARTH_CHECK(counted == group.references);
    std::size_t unreferenced = 0;
    for (std::int32_t references : counted) unreferenced += references == 0 ? 1 : 0;
    HEARTH_CHECK(unreferenced == static_cast<std::size_t>(available(g)));
    for (const auto* list : {&group.free, &group.dirty})
      for (std::int32_t page : *list) {
        const auto index = static_cast<std::size_t>(page);
        HEARTH_CHECK(counted[index] == 0 && group.node[index] == nullptr);
      }
  }
}

}  // namespace hearth::engine

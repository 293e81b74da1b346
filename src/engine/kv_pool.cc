#include "engine/kv_pool.h"

#include <algorithm>
#include <utility>

#include "base/result.h"

namespace hearth::engine {

KvPool::KvPool(std::unique_ptr<backend::KvCache> cache, std::vector<backend::KvGroupSpec> groups)
    : cache_(std::move(cache)) {
  for (std::size_t g = 0; g < groups.size(); ++g) {
    Group group;
    group.spec = groups[g];
    const auto pages = static_cast<std::int32_t>(cache_->pages(g));
    for (std::int32_t p = pages; p-- > 0;) group.free.push_back(p);
    group.references.assign(static_cast<std::size_t>(pages), 0);
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
    if (wanted > table.groups[g].size() + groups_[g].free.size()) return false;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    Group& group = groups_[g];
    while (table.groups[g].size() < wanted) {
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
      if (page >= 0) ++groups_[g].references[static_cast<std::size_t>(page)];
      to.groups[g].push_back(page);
    }
  }
  return pages * page_tokens();
}

void KvPool::drop(std::size_t group, std::int32_t page) {
  Group& g = groups_[group];
  std::int32_t& references = g.references[static_cast<std::size_t>(page)];
  HEARTH_CHECK(references > 0);
  if (--references > 0) return;
  cache_->zero_page(group, page);
  g.free.push_back(page);
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
}

void KvPool::release(PageTable& table) {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    for (std::int32_t page : table.groups[g])
      if (page >= 0) drop(g, page);
    table.groups[g].clear();
  }
}

bool KvPool::has_room(std::int64_t tokens, std::int64_t promised) const {
  return std::all_of(groups_.begin(), groups_.end(), [&](const Group& g) {
    return pages_for(tokens) + promised <= static_cast<std::int64_t>(g.free.size());
  });
}

std::int64_t KvPool::pages_short(const PageTable& table, std::int64_t tokens) const {
  // All groups' lists are equally long: what a window has left stays in them as -1.
  const auto held = static_cast<std::int64_t>(table.groups.front().size());
  return std::max<std::int64_t>(0, pages_for(tokens) - held);
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
  for (const Group& g : groups_) n -= static_cast<std::int64_t>(g.free.size());
  return n;
}

void KvPool::check_integrity(const std::vector<const PageTable*>& tables) const {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    std::vector<std::int32_t> counted(groups_[g].references.size(), 0);
    for (const PageTable* table : tables)
      for (std::int32_t page : table->groups[g])
        if (page >= 0) ++counted[static_cast<std::size_t>(page)];
    HEARTH_CHECK(counted == groups_[g].references);
    std::size_t unreferenced = 0;
    for (std::int32_t references : counted) unreferenced += references == 0 ? 1 : 0;
    HEARTH_CHECK(unreferenced == groups_[g].free.size());
    for (std::int32_t page : groups_[g].free)
      HEARTH_CHECK(counted[static_cast<std::size_t>(page)] == 0);
  }
}

}  // namespace hearth::engine

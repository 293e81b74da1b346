#include "backend/cpu/cache.h"

#include <cstring>

namespace hearth::backend {

Result<std::unique_ptr<CpuKvCache>> CpuKvCache::make(std::span<const KvGroupSpec> groups,
                                                     std::span<const std::int64_t> pages,
                                                     kernels::KvType type) {
  HEARTH_CHECK(groups.size() == pages.size());
  auto cache = std::make_unique<CpuKvCache>();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    Group group;
    group.spec = groups[g];
    group.layout = {type, groups[g].kv_heads, groups[g].head_dim};
    group.pages = pages[g];
    // First: what is too large is refused here, with an error.
    HEARTH_TRY(group.memory, Mapping::reserve(pages[g] * group.page_bytes(), true));
    group.written.assign(static_cast<std::size_t>(pages[g]), false);
    cache->groups_.push_back(std::move(group));
  }
  return cache;
}

void CpuKvCache::zero_page(std::size_t group, std::int32_t page) {
  Group& g = groups_[group];
  const auto index = static_cast<std::size_t>(page);
  if (!g.written[index]) return;  // fresh from the kernel: zero, and better left untouched
  std::memset(g.page(page), 0, static_cast<std::size_t>(g.page_bytes()));
  g.written[index] = false;
}

void CpuKvCache::copy_page(std::size_t group, std::int32_t from, std::int32_t to) {
  Group& g = groups_[group];
  std::memcpy(g.page(to), g.page(from), static_cast<std::size_t>(g.page_bytes()));
  g.written[static_cast<std::size_t>(to)] = true;
}

}  // namespace hearth::backend

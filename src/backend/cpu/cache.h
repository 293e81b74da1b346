// Pages of keys and values in memory; the layout within a page is kernels::KvLayout.
#pragma once

#include <vector>

#include "backend/backend.h"
#include "backend/cpu/memory.h"
#include "kernels/ops.h"

namespace hearth::backend {

class CpuKvCache final : public KvCache {
 public:
  struct Group {
    KvGroupSpec spec;
    kernels::KvLayout layout;
    std::int64_t pages = 0;
    Mapping memory;             // (pages, layers, layout.layer_bytes())
    std::vector<bool> written;  // pages that may hold something
    std::int64_t page_bytes() const { return spec.layers * layout.layer_bytes(); }
    std::byte* page(std::int32_t index) const { return memory.data() + index * page_bytes(); }
  };

  static Result<std::unique_ptr<CpuKvCache>> make(std::span<const KvGroupSpec> groups,
                                                  std::span<const std::int64_t> pages,
                                                  kernels::KvType type);

  std::int64_t page_tokens() const override { return kernels::kPageTokens; }
  std::int64_t pages(std::size_t group) const override { return groups_[group].pages; }
  std::int64_t page_bytes(std::size_t group) const override { return groups_[group].page_bytes(); }
  void zero_page(std::size_t group, std::int32_t page) override;
  void copy_page(std::size_t group, std::int32_t from, std::int32_t to) override;

  Group& group(std::size_t index) { return groups_[index]; }

 private:
  std::vector<Group> groups_;
};

}  // namespace hearth::backend

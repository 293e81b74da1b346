// For the tests of this folder: a cache without memory that knows which pages were written to.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"

namespace hearth::engine {

class FakeCache final : public backend::KvCache {
 public:
  FakeCache(std::int64_t page_tokens, const std::vector<std::int64_t>& pages)
      : page_tokens_(page_tokens) {
    for (std::int64_t n : pages) written_.emplace_back(static_cast<std::size_t>(n), false);
  }

  std::int64_t page_tokens() const override { return page_tokens_; }
  std::int64_t pages(std::size_t group) const override {
    return static_cast<std::int64_t>(written_.at(group).size());
  }
  std::int64_t page_bytes(std::size_t) const override { return 64; }
  void zero_page(std::size_t group, std::int32_t page) override { set(group, page, false); }
  void copy_page(std::size_t group, std::int32_t from, std::int32_t to) override {
    set(group, to, !clean(group, from));
  }

  void write(std::size_t group, std::int32_t page) { set(group, page, true); }
  bool clean(std::size_t group, std::int32_t page) const {
    return !written_.at(group).at(static_cast<std::size_t>(page));
  }
  std::int64_t dirty() const {
    std::int64_t n = 0;
    for (const auto& group : written_)
      for (bool written : group) n += written ? 1 : 0;
    return n;
  }

 private:
  void set(std::size_t group, std::int32_t page, bool written) {
    written_.at(group).at(static_cast<std::size_t>(page)) = written;
  }
  std::int64_t page_tokens_;
  std::vector<std::vector<bool>> written_;
};

}  // namespace hearth::engine

// Which page of the cache belongs to whom. Pages are reference-counted, so that sequences may share
// a prefix. A page is zeroed when its last owner lets go: nobody ever sees another's.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend/backend.h"

namespace hearth::engine {

// One sequence's pages, per group of layers: the page of position / page_tokens; -1 once the window
// of a sliding group has left it.
struct PageTable {
  std::vector<std::vector<std::int32_t>> groups;
  std::vector<std::int64_t> windows;  // per group, 0: full attention
};

class KvPool {
 public:
  KvPool(std::unique_ptr<backend::KvCache> cache, std::vector<backend::KvGroupSpec> groups);

  PageTable make_table() const;
  // Grows the table to hold positions [0, tokens). All or nothing: false when pages are short.
  bool grow(PageTable& table, std::int64_t tokens);
  // The whole pages of the first `tokens` positions of `from`, shared into an empty table. Returns
  // how many positions that is: a multiple of page_tokens().
  std::int64_t share(const PageTable& from, std::int64_t tokens, PageTable& to);
  // Lets go of pages that no position from `next` on can see, nor one of the page before it:
  // another choice may still have to compute the last part of a shared prompt again.
  void trim(PageTable& table, std::int64_t next);
  void release(PageTable& table);

  // Whether grow() of an empty table to `tokens` would succeed now, and still after `promised` more
  // pages of every group are gone.
  bool has_room(std::int64_t tokens, std::int64_t promised = 0) const;
  // The pages of every group that grow() would still have to find.
  std::int64_t pages_short(const PageTable& table, std::int64_t tokens) const;
  // The most tokens one sequence can hold when it is alone.
  std::int64_t tokens_max() const;

  std::int64_t page_tokens() const { return cache_->page_tokens(); }
  std::int64_t pages_total() const;
  std::int64_t pages_used() const;
  backend::KvCache& cache() { return *cache_; }

  // Every page is free or referenced, never both; `tables` are all that exist.
  void check_integrity(const std::vector<const PageTable*>& tables) const;

 private:
  struct Group {
    backend::KvGroupSpec spec;
    std::vector<std::int32_t> free;        // a stack: warm pages first
    std::vector<std::int32_t> references;  // by page
  };
  std::int64_t pages_for(std::int64_t tokens) const {
    return (tokens + page_tokens() - 1) / page_tokens();
  }
  void drop(std::size_t group, std::int32_t page);

  std::unique_ptr<backend::KvCache> cache_;
  std::vector<Group> groups_;
};

}  // namespace hearth::engine

// Which page of the cache belongs to whom. Pages are reference-counted, so that sequences may share
// a prefix. A page whose text may be found (publish) is kept for others with the same salt and the
// same text when its last user lets go, as long as nothing else needs it. Any other is to be zeroed
// then, and that one when it is given up: a little after each step (clean), so that no step waits
// for the megabytes of a long prompt, and at the latest before it is given to anybody. Nobody ever
// sees another's.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "engine/prefix_index.h"

namespace hearth::engine {

// One sequence's pages, per group of layers: the page of position / page_tokens; -1 once the window
// of a sliding group has left it.
struct PageTable {
  std::vector<std::vector<std::int32_t>> groups;
  std::vector<std::int64_t> windows;  // per group, 0: full attention
  // The last of its first pages that others may find, or null.
  PrefixNode* last_published = nullptr;
};

class KvPool {
 public:
  // Pages that nobody uses are kept up to `kept_bytes_max`.
  KvPool(std::unique_ptr<backend::KvCache> cache, std::vector<backend::KvGroupSpec> groups,
         std::int64_t kept_bytes_max = 0);

  PageTable make_table() const;
  // Grows the table to hold positions [0, tokens). All or nothing: false when pages are short.
  bool grow(PageTable& table, std::int64_t tokens);
  // The whole pages of the first `tokens` positions of `from`, shared into an empty table. Returns
  // how many positions that is: a multiple of page_tokens().
  std::int64_t share(const PageTable& from, std::int64_t tokens, PageTable& to);
  // Whole pages that are known to hold the keys and values of a beginning of `tokens`, into an
  // empty table: as many as there are. Returns how many positions that is.
  std::int64_t adopt(std::string_view salt, std::span<const TokenId> tokens, PageTable& table);
  // The whole pages of `tokens`, which this table has computed from position 0, may be found from
  // now on. A page that was published already with the same text takes the place of the table's.
  void publish(std::string_view salt, std::span<const TokenId> tokens, PageTable& table);
  // What was adopted is worth more the more often it is asked for.
  static void count_hit(const PageTable& table);
  // Lets go of pages that no position from `next` on can see, nor one of the page before it:
  // another choice may still have to compute the last part of a shared prompt again.
  void trim(PageTable& table, std::int64_t next);
  void release(PageTable& table);
  // Zeroes freed pages of about so many bytes, one at least if there are any.
  void clean(std::int64_t bytes = INT64_MAX);

  // Whether grow() of an empty table to `tokens` would succeed now, and still after `promised` more
  // pages of every group are gone.
  bool has_room(std::int64_t tokens, std::int64_t promised = 0) const;
  // The pages of every group that grow() would still have to find.
  std::int64_t pages_short(const PageTable& table, std::int64_t tokens) const;
  // What a token at this position has to read of those before it.
  std::int64_t bytes_seen(std::int64_t position) const;
  // The most tokens one sequence can hold when it is alone.
  std::int64_t tokens_max() const;

  std::int64_t page_tokens() const { return cache_->page_tokens(); }
  std::int64_t pages_total() const;
  std::int64_t pages_used() const;  // by somebody
  std::int64_t pages_kept() const;  // by nobody, for whoever may come
  std::int64_t bytes() const;       // of all pages
  backend::KvCache& cache() { return *cache_; }

  // Every page is free, kept or referenced, and only one of them; `tables` are all that exist.
  void check_integrity(const std::vector<const PageTable*>& tables) const;

 private:
  struct Group {
    backend::KvGroupSpec spec;
    std::vector<std::int32_t> free;        // zeroed; a stack: warm pages first
    std::vector<std::int32_t> dirty;       // as free, but not zeroed yet
    std::vector<std::int32_t> references;  // by page
    std::vector<PrefixNode*> node;         // by page: where it can be found, or null
  };
  static std::vector<bool> windowed(const std::vector<backend::KvGroupSpec>& groups);
  std::int64_t pages_for(std::int64_t tokens) const {
    return (tokens + page_tokens() - 1) / page_tokens();
  }
  void set_last_published(PageTable& table, PrefixNode* node);
  void take(std::size_t group, std::int32_t page);
  void drop(std::size_t group, std::int32_t page);
  void clean_one(std::size_t group);
  std::int64_t pages_published(const PageTable& table) const;
  void keep_within_bound();
  bool give_up(std::size_t group);  // a kept page, and what is of no use without it
  std::int64_t available(std::size_t group) const;

  std::unique_ptr<backend::KvCache> cache_;
  std::vector<Group> groups_;
  PrefixIndex index_;
  const std::int64_t kept_bytes_max_;
};

}  // namespace hearth::engine

// The pool's pages that are kept for whoever comes with the same text.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/fake_cache.h"
#include "engine/kv_pool.h"

namespace hearth::engine {
namespace {

constexpr std::int64_t kPageTokens = 4;
constexpr std::int64_t kPageBytes = 64;  // of FakeCache

struct Fixture {
  explicit Fixture(const std::vector<std::int64_t>& windows, std::int64_t pages,
                   std::int64_t unused_pages_max = 1000) {
    std::vector<backend::KvGroupSpec> groups;
    for (std::int64_t window : windows) groups.push_back({1, 1, 8, window});
    auto owned =
        std::make_unique<FakeCache>(kPageTokens, std::vector<std::int64_t>(windows.size(), pages));
    cache = owned.get();
    pool = std::make_unique<KvPool>(std::move(owned), groups, unused_pages_max * kPageBytes);
  }
  FakeCache* cache;  // the pool's
  std::unique_ptr<KvPool> pool;
};

std::vector<TokenId> text(std::int64_t size, TokenId first = 0) {
  std::vector<TokenId> out(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = first + static_cast<TokenId>(i);
  return out;
}

// As a sequence would: computes all of a text and lets it be found.
PageTable compute(Fixture& f, const std::string& salt, const std::vector<TokenId>& tokens) {
  PageTable table = f.pool->make_table();
  f.pool->adopt(salt, tokens, table);
  EXPECT_TRUE(f.pool->grow(table, static_cast<std::int64_t>(tokens.size())));
  for (std::size_t g = 0; g < table.groups.size(); ++g)
    for (std::int32_t page : table.groups[g])
      if (page >= 0) f.cache->write(g, page);
  f.pool->trim(table, static_cast<std::int64_t>(tokens.size()));
  f.pool->publish(salt, tokens, table);
  return table;
}

std::int64_t adopted(Fixture& f, const std::string& salt, const std::vector<TokenId>& tokens) {
  PageTable table = f.pool->make_table();
  const std::int64_t n = f.pool->adopt(salt, tokens, table);
  f.pool->release(table);
  return n;
}

TEST(PrefixCache, WholePagesAreFoundWhileUsedAndAfterwards) {
  Fixture f({0}, 16);
  PageTable a = compute(f, "s", text(11));
  EXPECT_EQ(f.pool->pages_used(), 3);
  PageTable b = f.pool->make_table();
  EXPECT_EQ(f.pool->adopt("s", text(11), b), 8);
  EXPECT_EQ(b.groups[0], (std::vector<std::int32_t>{a.groups[0][0], a.groups[0][1]}));
  EXPECT_EQ(f.pool->pages_used(), 3);
  f.pool->release(a);
  EXPECT_EQ(f.pool->pages_used(), 2);  // b's; the third was not whole
  f.pool->release(b);
  EXPECT_EQ(f.pool->pages_used(), 0);
  EXPECT_EQ(f.pool->pages_kept(), 2);
  EXPECT_EQ(adopted(f, "s", text(100)), 8);
  EXPECT_EQ(adopted(f, "s", text(8)), 8);
  EXPECT_EQ(adopted(f, "s", text(7)), 4);
  EXPECT_EQ(adopted(f, "s", text(3)), 0);
  EXPECT_EQ(adopted(f, "s", text(8, 1)), 0);
  f.pool->check_integrity({});
}

TEST(PrefixCache, AnotherSaltFindsNothing) {
  Fixture f({0}, 16);
  PageTable a = compute(f, "one", text(8));
  EXPECT_EQ(adopted(f, "two", text(8)), 0);
  EXPECT_EQ(adopted(f, "", text(8)), 0);
  PageTable b = compute(f, "two", text(8));
  EXPECT_NE(a.groups[0], b.groups[0]);
  EXPECT_EQ(f.pool->pages_used(), 4);
  f.pool->check_integrity({&a, &b});
  f.pool->release(a);
  f.pool->release(b);
}

TEST(PrefixCache, EqualPagesOfTwoBecomeOne) {
  Fixture f({0}, 16);
  // Both have computed the same before either could be found.
  PageTable a = f.pool->make_table();
  PageTable b = f.pool->make_table();
  ASSERT_TRUE(f.pool->grow(a, 10));
  ASSERT_TRUE(f.pool->grow(b, 9));
  f.pool->publish("s", text(10), a);
  EXPECT_EQ(f.pool->pages_used(), 6);
  f.pool->publish("s", text(9), b);
  EXPECT_EQ(f.pool->pages_used(), 4);
  EXPECT_EQ(a.groups[0][1], b.groups[0][1]);
  EXPECT_NE(a.groups[0][2], b.groups[0][2]);
  f.pool->check_integrity({&a, &b});
  f.pool->release(a);
  f.pool->release(b);
}

TEST(PrefixCache, WhatIsNeededIsTakenFromTheKeptLeavesFirst) {
  Fixture f({0}, 6);
  PageTable a = compute(f, "s", text(16));
  f.pool->release(a);
  EXPECT_EQ(f.pool->pages_kept(), 4);
  EXPECT_TRUE(f.pool->has_room(24));
  PageTable b = f.pool->make_table();
  ASSERT_TRUE(f.pool->grow(b, 12));  // two are free, one is taken from the end of a's text
  EXPECT_EQ(f.pool->pages_kept(), 3);
  EXPECT_EQ(adopted(f, "s", text(16)), 12);
  for (std::int32_t page : b.groups[0]) EXPECT_TRUE(f.cache->clean(0, page));
  ASSERT_TRUE(f.pool->grow(b, 24));
  EXPECT_EQ(f.pool->pages_kept(), 0);
  EXPECT_EQ(adopted(f, "s", text(16)), 0);
  f.pool->check_integrity({&b});
  f.pool->release(b);
  EXPECT_EQ(f.cache->dirty(), 0);
}

TEST(PrefixCache, WhatWasAskedForMoreOftenStaysLonger) {
  Fixture f({0}, 8);
  for (int i = 0; i < 3; ++i) {
    PageTable popular = compute(f, "s", text(8));
    f.pool->count_hit(popular);
    f.pool->release(popular);
  }
  // Others come and go; each takes the whole cache but two pages.
  for (int i = 1; i < 3; ++i) {
    PageTable other = compute(f, "s", text(24, 1000 * i));
    f.pool->release(other);
  }
  EXPECT_EQ(adopted(f, "s", text(8)), 8);
  EXPECT_EQ(adopted(f, "s", text(24, 1000)), 0);
  // But not for ever.
  for (int i = 3; i < 40; ++i) {
    PageTable other = compute(f, "s", text(24, 1000 * i));
    f.pool->release(other);
  }
  EXPECT_EQ(adopted(f, "s", text(8)), 0);
}

TEST(PrefixCache, NoMoreIsKeptThanMay) {
  Fixture f({0}, 64, 3);
  PageTable a = compute(f, "s", text(40));
  f.pool->release(a);
  EXPECT_EQ(f.pool->pages_kept(), 3);
  EXPECT_EQ(adopted(f, "s", text(40)), 12);
  f.pool->clean();
  EXPECT_EQ(f.cache->dirty(), 3);
  Fixture none({0}, 64, 0);
  PageTable b = compute(none, "s", text(40));
  EXPECT_EQ(adopted(none, "s", text(40)), 40);  // as long as somebody uses it
  none.pool->release(b);
  EXPECT_EQ(none.pool->pages_kept(), 0);
  none.pool->clean();
  EXPECT_EQ(none.cache->dirty(), 0);
}

// With a window, what lies before it need not be there; with too little of it nothing is found.
TEST(PrefixCache, WindowsNeedOnlyTheirPart) {
  Fixture f({0, 6}, 16);
  PageTable a = compute(f, "s", text(24));  // the window has left its first pages
  EXPECT_EQ(a.groups[1][0], -1);
  f.pool->release(a);
  PageTable b = f.pool->make_table();
  EXPECT_EQ(f.pool->adopt("s", text(24), b), 24);
  EXPECT_GE(b.groups[0][0], 0);
  EXPECT_EQ(b.groups[1][0], -1);
  EXPECT_GE(b.groups[1][5], 0);
  EXPECT_GE(b.groups[1][4], 0);
  f.pool->check_integrity({&b});
  f.pool->release(b);
  EXPECT_EQ(adopted(f, "s", text(9)), 0);  // of its pages the window's are gone
}

TEST(PrefixCache, AForkSharesWhatWasPublished) {
  Fixture f({0, 6}, 16);
  PageTable a = compute(f, "s", text(16));
  PageTable b = f.pool->make_table();
  EXPECT_EQ(f.pool->share(a, 15, b), 12);
  ASSERT_TRUE(f.pool->grow(b, 16));
  EXPECT_NE(a.groups[0][3], b.groups[0][3]);
  f.pool->publish("s", text(16), b);
  EXPECT_EQ(a.groups[0][3], b.groups[0][3]);
  f.pool->check_integrity({&a, &b});
  f.pool->release(a);
  f.pool->check_integrity({&b});
  f.pool->release(b);
  f.pool->check_integrity({});
}

// Sequences of a few texts come, grow, are copied and go, in little memory. What is adopted must
// have been computed from exactly these tokens, and a new page must hold nothing of anybody's.
class RandomPrefixes : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Seeds, RandomPrefixes, testing::Range(0, 30));

TEST_P(RandomPrefixes, NobodyGetsAnothersText) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const auto in = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  const std::vector<std::vector<std::int64_t>> kinds = {{0}, {0, 6}, {5}, {9, 0}, {0, 0}, {3, 11}};
  const auto& windows = kinds[static_cast<std::size_t>(GetParam()) % kinds.size()];
  Fixture f(windows, in(12, 40), in(0, 3) == 0 ? in(0, 8) : 1000);
  struct Open {
    PageTable table;
    std::string salt;
    std::vector<TokenId> tokens;  // wanted
    std::int64_t computed = 0;
  };
  std::vector<Open> open;
  // What each page was computed from: salt and all tokens up to its end.
  std::map<std::pair<std::size_t, std::int32_t>, std::pair<std::string, std::vector<TokenId>>> held;
  std::int64_t found = 0;
  for (int round = 0; round < 4000; ++round) {
    const std::size_t i =
        open.empty() ? 0 : static_cast<std::size_t>(in(0, static_cast<int>(open.size()) - 1));
    const int action = open.empty() ? 0 : open.size() > 8 ? 9 : in(0, 9);
    if (action <= 1) {
      Open o;
      o.salt = in(0, 4) == 0 ? "other" : "s";
      // Few texts, so that they meet: a common beginning and one of few ends.
      o.tokens = text(in(1, 20));
      const std::vector<TokenId> end = text(in(0, 14), 100 * in(1, 3));
      o.tokens.insert(o.tokens.end(), end.begin(), end.end());
      o.table = f.pool->make_table();
      o.computed = f.pool->adopt(o.salt, o.tokens, o.table);
      found += o.computed;
      for (std::size_t g = 0; g < windows.size(); ++g)
        for (std::size_t p = 0; p < o.table.groups[g].size(); ++p) {
          const std::int32_t page = o.table.groups[g][p];
          const auto last = static_cast<std::int64_t>(p + 1) * kPageTokens;
          if (page < 0) {  // no position from `computed` on may see it
            EXPECT_TRUE(windows[g] > 0 && last <= o.computed - windows[g] + 1);
            continue;
          }
          const std::vector<TokenId> wanted(o.tokens.begin(), o.tokens.begin() + last);
          EXPECT_EQ(held.at({g, page}), (std::pair{o.salt, wanted}));
        }
      open.push_back(std::move(o));
    } else if (action <= 6) {
      Open& o = open[i];
      const auto left = static_cast<std::int64_t>(o.tokens.size()) - o.computed;
      const std::int64_t n = std::min<std::int64_t>(left, in(1, 12));
      std::vector<std::vector<std::int32_t>> before = o.table.groups;
      if (n > 0 && f.pool->grow(o.table, o.computed + n)) {
        for (std::size_t g = 0; g < windows.size(); ++g)
          for (std::size_t p = 0; p < o.table.groups[g].size(); ++p) {
            const std::int32_t page = o.table.groups[g][p];
            const auto end =
                std::min(static_cast<std::int64_t>(p + 1) * kPageTokens, o.computed + n);
            if (p >= before[g].size()) EXPECT_TRUE(f.cache->clean(g, page));
            if (page < 0 || end <= o.computed) continue;
            f.cache->write(g, page);
            held[{g, page}] = {o.salt, {o.tokens.begin(), o.tokens.begin() + end}};
          }
        o.computed += n;
        f.pool->trim(o.table, o.computed);
        if (in(0, 2) > 0)
          f.pool->publish(o.salt, std::span(o.tokens).first(static_cast<std::size_t>(o.computed)),
                          o.table);
      }
    } else if (action == 7 && open[i].computed > 0) {
      Open copy;
      copy.salt = open[i].salt;
      copy.tokens = open[i].tokens;
      copy.table = f.pool->make_table();
      copy.computed = f.pool->share(open[i].table, open[i].computed - 1, copy.table);
      open.push_back(std::move(copy));
    } else if (action >= 8) {
      f.pool->release(open[i].table);
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
    }
    std::vector<const PageTable*> tables;
    for (const Open& o : open) tables.push_back(&o.table);
    f.pool->check_integrity(tables);
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
  EXPECT_GT(found, 500);
  for (Open& o : open) f.pool->release(o.table);
  EXPECT_EQ(f.pool->pages_used(), 0);
  f.pool->check_integrity({});
}

}  // namespace
}  // namespace hearth::engine

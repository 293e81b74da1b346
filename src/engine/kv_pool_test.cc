#include "engine/kv_pool.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <utility>

#include "engine/fake_cache.h"

namespace hearth::engine {
namespace {

// Two groups: full attention with 24 pages, a window of 6 with 16 pages; pages of 4 tokens.
struct Fixture {
  Fixture() : Fixture(std::make_unique<FakeCache>(4, std::vector<std::int64_t>{24, 16})) {}
  explicit Fixture(std::unique_ptr<FakeCache> owned)
      : cache(owned.get()), pool(std::move(owned), {{2, 1, 8, 0}, {1, 1, 8, 6}}) {}
  FakeCache* cache;  // the pool's
  KvPool pool;
};

std::set<std::pair<std::size_t, std::int32_t>> pages_of(const std::vector<PageTable>& tables) {
  std::set<std::pair<std::size_t, std::int32_t>> out;
  for (const auto& table : tables)
    for (std::size_t g = 0; g < table.groups.size(); ++g)
      for (std::int32_t page : table.groups[g])
        if (page >= 0) out.insert({g, page});
  return out;
}

bool same(const PageTable& a, const PageTable& b) { return a.groups == b.groups; }

TEST(KvPool, GrowsByWholePagesAllOrNothing) {
  Fixture f;
  EXPECT_EQ(f.pool.pages_total(), 40);
  EXPECT_EQ(f.pool.tokens_max(), 64);
  PageTable a = f.pool.make_table();
  ASSERT_TRUE(f.pool.grow(a, 1));
  EXPECT_EQ(f.pool.pages_used(), 2);
  ASSERT_TRUE(f.pool.grow(a, 4));
  EXPECT_EQ(f.pool.pages_used(), 2);
  ASSERT_TRUE(f.pool.grow(a, 41));
  EXPECT_EQ(f.pool.pages_used(), 22);
  PageTable b = f.pool.make_table();
  EXPECT_TRUE(f.pool.has_room(20));
  EXPECT_FALSE(f.pool.has_room(21));
  EXPECT_TRUE(f.pool.has_room(12, 2));
  EXPECT_FALSE(f.pool.has_room(13, 2));
  EXPECT_EQ(f.pool.pages_short(a, 44), 0);
  EXPECT_EQ(f.pool.pages_short(a, 45), 1);
  EXPECT_FALSE(f.pool.grow(b, 21));  // the first group has room, the second has not
  EXPECT_TRUE(b.groups[0].empty());
  EXPECT_EQ(f.pool.pages_used(), 22);
  ASSERT_TRUE(f.pool.grow(b, 20));
  f.pool.check_integrity({&a, &b});
  f.pool.release(a);
  f.pool.release(b);
  EXPECT_EQ(f.pool.pages_used(), 0);
  f.pool.check_integrity({});
}

TEST(KvPool, SharesWholePagesUntilTheLastOwnerLetsGo) {
  Fixture f;
  PageTable a = f.pool.make_table();
  ASSERT_TRUE(f.pool.grow(a, 11));
  PageTable b = f.pool.make_table();
  EXPECT_EQ(f.pool.share(a, 11, b), 8);
  EXPECT_EQ(f.pool.pages_used(), 6);
  ASSERT_TRUE(f.pool.grow(b, 11));
  EXPECT_EQ(f.pool.pages_used(), 8);
  EXPECT_EQ(a.groups[0][1], b.groups[0][1]);
  EXPECT_NE(a.groups[0][2], b.groups[0][2]);
  const std::int32_t shared = a.groups[0][0];
  f.cache->write(0, shared);
  f.pool.release(a);
  EXPECT_FALSE(f.cache->clean(0, shared));
  EXPECT_EQ(f.pool.pages_used(), 6);
  f.pool.release(b);
  f.pool.clean();
  EXPECT_TRUE(f.cache->clean(0, shared));
  EXPECT_EQ(f.pool.pages_used(), 0);
}

TEST(KvPool, TrimKeepsWhatAPositionOfThePageBeforeCanSee) {
  for (std::int64_t next = 1; next <= 64; ++next) {
    Fixture f;
    PageTable table = f.pool.make_table();
    ASSERT_TRUE(f.pool.grow(table, next));
    f.pool.trim(table, next);
    // The earliest position that may still be computed is a page before `next`.
    const std::int64_t first_seen = next - 4 - 6 + 1;
    for (std::int64_t page = 0; page < static_cast<std::int64_t>(table.groups[1].size()); ++page) {
      bool seen = false;
      for (std::int64_t p = page * 4; p < page * 4 + 4; ++p) seen = seen || p >= first_seen;
      EXPECT_EQ(table.groups[1][static_cast<std::size_t>(page)] >= 0, seen) << next << " " << page;
    }
    for (std::int32_t page : table.groups[0]) EXPECT_GE(page, 0);
    f.pool.check_integrity({&table});
  }
}

TEST(KvPool, RandomOperations) {
  Fixture f;
  std::mt19937 random(17);
  std::vector<PageTable> tables;
  std::vector<std::int64_t> sizes;
  int refused = 0;
  int shared = 0;
  for (int round = 0; round < 20'000; ++round) {
    const std::size_t i = tables.empty() ? 0 : random() % tables.size();
    switch (tables.empty() ? 0 : tables.size() > 12 ? 9 : random() % 10) {
      case 0:
        tables.push_back(f.pool.make_table());
        sizes.push_back(0);
        break;
      case 1:
      case 2:
      case 3:
      case 4:
      case 5: {
        const std::int64_t want = sizes[i] + static_cast<std::int64_t>(random() % 12);
        const PageTable before = tables[i];
        const auto in_use = pages_of(tables);
        if (sizes[i] == 0) {
          const bool room = f.pool.has_room(want);
          EXPECT_EQ(f.pool.grow(tables[i], want), room);
          if (room)
            sizes[i] = want;
          else
            ++refused;
        } else if (f.pool.grow(tables[i], want)) {
          sizes[i] = want;
        } else {
          ++refused;
          EXPECT_TRUE(same(before, tables[i]));
        }
        // New pages were nobody's and hold nothing of anybody's.
        for (const auto& [g, page] : pages_of(tables)) {
          if (in_use.contains({g, page})) continue;
          EXPECT_TRUE(f.cache->clean(g, page));
          f.cache->write(g, page);
        }
        break;
      }
      case 6: {
        PageTable copy = f.pool.make_table();
        const std::int64_t part = static_cast<std::int64_t>(random()) % (sizes[i] + 1);
        const auto positions = f.pool.share(tables[i], part, copy);
        EXPECT_EQ(positions, part / 4 * 4);
        shared += positions > 0;
        tables.push_back(std::move(copy));
        sizes.push_back(positions);
        break;
      }
      case 7:
      case 8:
        f.pool.trim(tables[i], sizes[i]);
        break;
      default:
        f.pool.release(tables[i]);
        tables.erase(tables.begin() + static_cast<std::ptrdiff_t>(i));
        sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(i));
    }
    std::vector<const PageTable*> all;
    for (const auto& t : tables) all.push_back(&t);
    f.pool.check_integrity(all);
    EXPECT_EQ(f.pool.pages_used(), static_cast<std::int64_t>(pages_of(tables).size()));
    ASSERT_FALSE(testing::Test::HasFailure()) << "round " << round;
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(shared, 100);
  for (auto& t : tables) f.pool.release(t);
  EXPECT_EQ(f.pool.pages_used(), 0);
  const std::int64_t dirty = f.cache->dirty();
  ASSERT_GT(dirty, 4);
  f.pool.clean(2 * f.cache->page_bytes(0));
  EXPECT_EQ(f.cache->dirty(), dirty - 2);
  f.pool.check_integrity({});
  f.pool.clean();
  EXPECT_EQ(f.cache->dirty(), 0);
}

TEST(KvPoolDeathTest, IntegrityNoticesAForgottenAndADoubledTable) {
  Fixture f;
  PageTable a = f.pool.make_table();
  ASSERT_TRUE(f.pool.grow(a, 5));
  EXPECT_DEATH(f.pool.check_integrity({}), "");
  EXPECT_DEATH(f.pool.check_integrity({&a, &a}), "");
  f.pool.check_integrity({&a});
}

}  // namespace
}  // namespace hearth::engine

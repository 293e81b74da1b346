// Who comes first: short beside long, tenants by weight, batch behind interactive.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "engine/scheduler_fixture.h"

namespace hearth::engine {
namespace {

GenerateRequest of(const std::string& tenant, double weight = 1,
                   Priority priority = Priority::kInteractive) {
  GenerateRequest request;
  request.identity = tenant;
  request.weight = weight;
  request.priority = priority;
  return request;
}
GenerateRequest batch() { return of("local", 1, Priority::kBatch); }

TEST(SchedulerOrder, AShortPromptDoesNotWaitForALongOne) {
  SchedulerFixture f(1000, {32, 8});
  Sequence* const long_one = f.add(1000);
  for (int i = 0; i < 5; ++i) f.step();
  Sequence* const short_one = f.add(10);
  EXPECT_EQ(f.step(), (Rows{{short_one, 10}, {long_one, 22}}));
}

// However many short ones come: what comes after twice its own length has been computed is behind.
TEST(SchedulerOrder, ALongPromptIsPassedForABoundedTimeOnly) {
  SchedulerFixture f(1000, {32, 64});
  Sequence* const long_one = f.add(1000);
  std::int64_t rows = 0;
  while (long_one->computed < 1000) {
    for (int i = 0; i < 4; ++i) f.add(8);
    for (const auto& [sequence, n] : f.step()) rows += n;
    for (Sequence* s : f.scheduler.all())
      if (s != long_one && s->generated() > 0) f.scheduler.remove(s);
    ASSERT_LT(rows, 3100);
  }
  EXPECT_GT(rows, 2000);  // they did pass
}

// Tokens that each tenant gets while all always have more to ask.
std::map<std::string, double> share_out(const std::map<std::string, double>& weights,
                                        const std::map<std::string, std::int64_t>& prompts) {
  SchedulerFixture f(400, {64, 8});
  std::map<std::string, int> present;
  std::map<std::string, double> tokens;
  for (int step = 0; step < 6000; ++step) {
    for (const auto& [name, weight] : weights)
      for (; present[name] < 24; ++present[name]) f.add_request(prompts.at(name), of(name, weight));
    f.step();
    for (Sequence* s : f.scheduler.all()) {
      if (s->generated() < 10) continue;
      const std::string name = s->owner->request.identity;
      // The first token comes with the prompt.
      tokens[name] += static_cast<double>(s->prompt_size) + kOutputCost * 9;
      --present[name];
      f.scheduler.remove(s);
    }
  }
  return tokens;
}

TEST(SchedulerOrder, TenantsGetTheSameWhateverTheLengthsOfTheirPrompts) {
  const auto tokens = share_out({{"a", 1}, {"b", 1}}, {{"a", 100}, {"b", 10}});
  EXPECT_NEAR(tokens.at("a") / tokens.at("b"), 1, 0.02);
}

TEST(SchedulerOrder, TenantsGetByWeight) {
  const auto tokens = share_out({{"a", 3}, {"b", 1}}, {{"a", 20}, {"b", 20}});
  EXPECT_NEAR(tokens.at("a") / tokens.at("b"), 3, 0.06);
}

TEST(SchedulerOrder, AQuietTenantIsServedBeforeABusyOne) {
  SchedulerFixture f(1000, {64, 2});
  for (int i = 0; i < 20; ++i) f.add_request(20, of("busy"));
  for (int i = 0; i < 5; ++i) f.step();
  Sequence* const quiet = f.add_request(30, of("quiet"));
  f.step();
  EXPECT_FALSE(quiet->running);
  f.scheduler.remove(f.scheduler.all()[0]);
  f.step();
  EXPECT_TRUE(quiet->running);
}

TEST(SchedulerOrder, BatchWaitsForInteractive) {
  SchedulerFixture f(100, {16, 8});
  Sequence* const b = f.add_request(2, batch());
  Sequence* const a = f.add(12);
  Sequence* const c = f.add(4);
  EXPECT_EQ(f.step(), (Rows{{c, 4}, {a, 12}}));
  EXPECT_EQ(f.step(), (Rows{{c, 1}, {a, 1}, {b, 2}}));
}

TEST(SchedulerOrder, BatchGivesItsPlaceToInteractiveAndComesBack) {
  SchedulerFixture f(100, {64, 2});
  Sequence* const b = f.add_request(9, batch());
  Sequence* const c = f.add_request(10, batch());
  EXPECT_EQ(f.step(), (Rows{{b, 9}, {c, 10}}));
  Sequence* const a = f.add(5);
  EXPECT_EQ(f.step(), (Rows{{b, 1}, {a, 5}}));
  EXPECT_FALSE(c->running);
  EXPECT_EQ(f.scheduler.preemptions(), 1);
  EXPECT_EQ(f.step(), (Rows{{b, 1}, {a, 1}}));  // and does not push anybody away itself
  f.scheduler.remove(a);
  EXPECT_EQ(f.step(), (Rows{{b, 1}, {c, 3}}));  // two pages of it are still known
  EXPECT_EQ(f.scheduler.preemptions(), 1);
}

TEST(SchedulerOrder, BatchGivesItsPagesToInteractive) {
  SchedulerFixture f(10, {64, 8});  // 40 tokens
  Sequence* const b = f.add_request(20, batch());
  f.step();
  Sequence* const a = f.add(24);
  EXPECT_EQ(f.step(), (Rows{{a, 24}}));
  EXPECT_FALSE(b->running);
}

TEST(SchedulerOrder, BatchThatHasWaitedLongEnoughIsAsGoodAsAny) {
  SchedulerFixture f(4000, {8192, 1});
  Sequence* const b = f.add_request(4, batch());
  std::int64_t computed = 0;
  while (!b->running) {
    f.add(8000);
    for (const auto& [sequence, n] : f.step()) computed += n;
    if (b->running) break;
    f.scheduler.remove(f.scheduler.all()[0]);
    ASSERT_LT(computed, 2 * kBatchPatience);
  }
  EXPECT_GE(computed, kBatchPatience);
  f.add(4);
  f.step();
  EXPECT_TRUE(b->running);  // nobody pushes it away any more
}

TEST(SchedulerOrder, ShortestFirstIfWanted) {
  SchedulerFixture f(100, {16, 8, Admission::kShortest});
  Sequence* const a = f.add(12);
  Sequence* const b = f.add(4);
  Sequence* const c = f.add(9);
  EXPECT_EQ(f.step(), (Rows{{b, 4}, {c, 9}, {a, 3}}));
}

TEST(FairShares, WhoComesBackStandsWithTheLeastServed) {
  FairShares shares;
  auto& a = shares.enter("a");
  FairShares::charge(a, 100, 1);
  auto& b = shares.enter("b");
  EXPECT_EQ(b.had, 100);
  FairShares::charge(b, 10, 2);
  EXPECT_EQ(b.had, 105);
  shares.leave(b);
  EXPECT_EQ(shares.size(), 2u);  // in debt
  EXPECT_EQ(shares.enter("b").had, 105);
  shares.leave(b);
  FairShares::charge(a, 50, 1);
  EXPECT_EQ(shares.enter("b").had, 150);
  EXPECT_EQ(shares.enter("c").had, 150);
}

TEST(FairShares, NamesThatOweNothingAreForgotten) {
  FairShares shares;
  for (int i = 0; i < 1000; ++i) {
    auto& tenant = shares.enter(std::to_string(i));
    FairShares::charge(tenant, 10, 1);
    shares.leave(tenant);
  }
  EXPECT_LE(shares.size(), 1u);
}

}  // namespace
}  // namespace hearth::engine

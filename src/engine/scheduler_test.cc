#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "engine/scheduler_fixture.h"

namespace hearth::engine {
namespace {

TEST(Scheduler, DecodesFirstAndCutsPromptsToTheBudget) {
  SchedulerFixture f(100, {8, 64});
  EXPECT_TRUE(f.step().empty());
  Sequence* a = f.add(3);
  EXPECT_EQ(f.step(), (Rows{{a, 3}}));
  Sequence* b = f.add(16);
  EXPECT_EQ(f.step(), (Rows{{a, 1}, {b, 7}}));
  Sequence* c = f.add(2);
  EXPECT_EQ(f.step(), (Rows{{a, 1}, {c, 2}, {b, 5}}));
  EXPECT_EQ(f.step(), (Rows{{a, 1}, {c, 1}, {b, 4}}));
  EXPECT_EQ(f.step(), (Rows{{a, 1}, {b, 1}, {c, 1}}));
  EXPECT_EQ(f.scheduler.running(), 3);
  f.scheduler.remove(a);
  f.scheduler.remove(b);
  EXPECT_EQ(f.step(), (Rows{{c, 1}}));
  EXPECT_EQ(f.scheduler.remove(a), nullptr);
  f.scheduler.remove(c);
  EXPECT_TRUE(f.scheduler.idle());
  EXPECT_EQ(f.pool->pages_used(), 0);
}

TEST(Scheduler, PromptsOfOneTokenStartAtOnce) {
  SchedulerFixture f(10, {8, 64});
  Sequence* a = f.add(1);
  Sequence* b = f.add(1);
  EXPECT_EQ(f.step(), (Rows{{a, 1}, {b, 1}}));
}

TEST(Scheduler, NoMoreThanRunningMaxInOrderOfArrival) {
  SchedulerFixture f(100, {64, 2});
  Sequence* a = f.add(2);
  Sequence* b = f.add(2);
  Sequence* c = f.add(2);
  EXPECT_EQ(f.step(), (Rows{{a, 2}, {b, 2}}));
  EXPECT_EQ(f.step(), (Rows{{a, 1}, {b, 1}}));
  EXPECT_EQ(f.scheduler.waiting(), 1);
  f.scheduler.remove(a);
  EXPECT_EQ(f.step(), (Rows{{b, 1}, {c, 2}}));
}

TEST(Scheduler, AdmitsOnlyWhatHasRoomBesideTheRunning) {
  SchedulerFixture f(12, {1000, 64});  // 48 tokens
  Sequence* a = f.add(24);
  Sequence* b = f.add(24);
  EXPECT_EQ(f.step(), (Rows{{a, 24}}));
  f.add(13);  // would fit, but does not pass
  EXPECT_EQ(f.step(), (Rows{{a, 1}}));
  EXPECT_EQ(f.scheduler.preemptions(), 0);
  f.scheduler.remove(a);
  EXPECT_EQ(f.step().front(), (std::pair<const Sequence*, std::int64_t>{b, 24}));
}

// The rest of a long prompt is reserved: a newer one does not get its pages, to lose them again.
TEST(Scheduler, AHalfComputedPromptKeepsItsRoom) {
  SchedulerFixture f(10, {16, 64});
  Sequence* a = f.add(30);
  EXPECT_EQ(f.step(), (Rows{{a, 16}}));
  f.add(9);
  EXPECT_EQ(f.step(), (Rows{{a, 14}}));
  EXPECT_EQ(f.step(), (Rows{{a, 1}}));
  EXPECT_EQ(f.scheduler.preemptions(), 0);
}

TEST(Scheduler, TheNewestGivesItsPagesAndComesBack) {
  SchedulerFixture f(4, {64, 64});  // 16 tokens
  Sequence* a = f.add(4);
  Sequence* b = f.add(4);
  EXPECT_EQ(f.step(), (Rows{{a, 4}, {b, 4}}));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(f.step(), (Rows{{a, 1}, {b, 1}}));
  EXPECT_EQ(f.pool->pages_used(), 4);  // 8 tokens each
  EXPECT_EQ(f.step(), (Rows{{a, 1}}));
  EXPECT_EQ(f.scheduler.preemptions(), 1);
  EXPECT_EQ(f.scheduler.waiting(), 1);
  EXPECT_EQ(b->computed, 0);
  EXPECT_EQ(b->missing(), 9);
  EXPECT_EQ(f.step(), (Rows{{a, 1}}));
  f.scheduler.remove(a);
  EXPECT_EQ(f.step(), (Rows{{b, 5}}));  // prompt and output in one; the first page is still known
  EXPECT_EQ(b->cached, 0);
  EXPECT_EQ(f.step(), (Rows{{b, 1}}));
}

// A prompt may need the pages of a newer sequence that decodes already and has its row.
TEST(Scheduler, NoRowsForASequenceThatLostItsPagesInTheSamePlan) {
  SchedulerFixture f(6, {4, 64});
  auto long_one = make_sequence(*f.pool, 20);
  Sequence* a = long_one.get();
  f.scheduler.add(std::move(long_one));
  EXPECT_EQ(f.step(), (Rows{{a, 4}}));
  auto fork = make_sequence(*f.pool, 1, a->tokens.front());
  Sequence* b = fork.get();
  f.scheduler.add_fork(std::move(fork), *a);
  Rows last;
  for (int i = 0; i < 12 && f.scheduler.preemptions() == 0; ++i) {
    last = f.step();
    if (f.scheduler.preemptions() == 0) EXPECT_EQ(last.front().first, b);
  }
  ASSERT_EQ(f.scheduler.preemptions(), 1);
  EXPECT_EQ(last.size(), 1u);
  EXPECT_EQ(last.front().first, a);
  EXPECT_EQ(b->computed, 0);
}

TEST(Scheduler, ForksShareWholePagesOrWaitInFront) {
  SchedulerFixture f(20, {64, 2});
  Sequence* a = f.add(11);
  const Sequence* gone = f.add(3);
  f.scheduler.plan();
  f.scheduler.check_integrity();
  const auto other = f.scheduler.remove(gone);
  f.scheduler.add(make_sequence(*f.pool, 3));  // now it waits
  a->computed = 11;
  a->tokens.push_back(2);
  std::vector<Sequence*> forks;
  for (int i = 0; i < 2; ++i) {
    auto fork = make_sequence(*f.pool, 11, a->tokens.front());
    forks.push_back(fork.get());
    f.scheduler.add_fork(std::move(fork), *a);
  }
  EXPECT_EQ(forks[0]->computed, 8);
  EXPECT_EQ(forks[0]->pages.groups[0],
            (std::vector<std::int32_t>{a->pages.groups[0][0], a->pages.groups[0][1]}));
  EXPECT_EQ(forks[1]->computed, 0);
  EXPECT_EQ(f.step(), (Rows{{a, 1}, {forks[0], 3}}));
  f.scheduler.remove(a);
  EXPECT_EQ(f.step(), (Rows{{forks[0], 1}, {forks[1], 3}}));  // before the one that came earlier
}

TEST(Scheduler, WhatIsKnownOfAPromptIsNotComputedAgain) {
  SchedulerFixture f(20, {64, 4});
  Sequence* a = f.add(11, 7);
  f.step();
  f.step();
  Sequence* b = f.add(10, 7);
  Sequence* c =
      f.add(8, 7);  // its last token is computed in any case, so the page before it counts
  Sequence* d = f.add(8);
  EXPECT_EQ(f.step(), (Rows{{a, 1}, {c, 4}, {d, 8}, {b, 2}}));
  EXPECT_EQ(b->cached, 8);
  EXPECT_EQ(c->cached, 4);
  EXPECT_EQ(d->cached, 0);
  EXPECT_EQ(f.scheduler.prefix_queries(), 11 + 10 + 8 + 8);
  EXPECT_EQ(f.scheduler.prefix_hits(), 12);
  for (Sequence* s : {a, b, c, d}) f.scheduler.remove(s);
  Sequence* e = f.add(9, 7);
  EXPECT_EQ(f.step(), (Rows{{e, 1}}));
  f.scheduler.remove(e);
  EXPECT_EQ(f.pool->pages_used(), 0);
}

// Several come at once with the same beginning: one computes it, the others wait for a step.
TEST(Scheduler, WhatIsJustBeingComputedIsWaitedFor) {
  SchedulerFixture f(100, {64, 8});
  Sequence* a = f.add(20, 7);
  Sequence* b = f.add(21, 7);
  Sequence* other = f.add(6);
  Sequence* c = f.add(20, 7);
  Sequence* shorter = f.add(3, 7);  // has no whole page in common with it
  EXPECT_EQ(f.step(), (Rows{{shorter, 3}, {other, 6}, {a, 20}}));
  EXPECT_EQ(f.step(), (Rows{{shorter, 1}, {other, 1}, {a, 1}, {b, 1}, {c, 4}}));
  EXPECT_EQ(b->cached, 20);
}

// If the one that computes it ends before its first token, the next takes its place.
TEST(Scheduler, WhoeverWaitsForAnotherDoesNotWaitForever) {
  SchedulerFixture f(100, {64, 8});
  Sequence* a = f.add(20, 7);
  Sequence* b = f.add(20, 7);
  ASSERT_EQ(rows_of(f.scheduler.plan()), (Rows{{a, 20}}));
  f.scheduler.remove(a);
  EXPECT_EQ(f.step(), (Rows{{b, 20}}));
}

TEST(Scheduler, AnotherSaltIsNeitherWaitedForNorFound) {
  SchedulerFixture f(100, {64, 8});
  Sequence* a = f.add(20, 7);
  Sequence* b = f.add(20, 7);
  b->owner->request.tenant_salt = "other";
  EXPECT_EQ(f.step(), (Rows{{a, 20}, {b, 20}}));
}

// The streams take the whole budget and then all lose their pages, which they share: what they
// leave goes to the prompt in the same step.
TEST(Scheduler, NoStepIsEmptyWhenTheStreamsThatFilledItAreSentAway) {
  SchedulerFixture f(20, {2, 8});
  GenerateRequest batch;
  batch.priority = Priority::kBatch;
  Sequence* a = f.add_request(9, batch);
  while (a->generated() == 0) f.step();
  Sequence* prompt = f.add(6);
  EXPECT_EQ(f.step(), (Rows{{a, 1}, {prompt, 1}}));
  for (int i = 0; i < 2; ++i) {
    auto fork = make_sequence(*f.pool, 9, a->tokens.front());
    fork->owner->request = batch;
    f.scheduler.add_fork(std::move(fork), *a);
  }
  f.scheduler.remove(a);
  PageTable taken = f.pool->make_table();
  for (std::int64_t tokens = kPageTokens; f.pool->grow(taken, tokens);) tokens += kPageTokens;
  EXPECT_EQ(rows_of(f.scheduler.plan()), (Rows{{prompt, 2}}));
  EXPECT_EQ(f.scheduler.preemptions(), 2);
  f.pool->release(taken);
}

// Arrivals, cancels, forks, tight memory: whatever happens, each sequence ends once, in a bounded
// number of steps, and every page comes back.
class Trace : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Seeds, Trace, testing::Range(0, 400));

TEST_P(Trace, EverythingEndsOnceAndNothingLeaks) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const auto in = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  const std::int64_t pages = in(6, 40);
  const SchedulerLimits limits{in(0, 3) == 0 ? in(1, 3) : in(4, 64), in(1, 12),
                               in(0, 3) == 0 ? Admission::kShortest : Admission::kFair};
  const auto pool = make_pool(pages, in(0, 1) ? in(1, 20) : 0);
  Scheduler scheduler(*pool, limits);
  const std::int64_t context = (pages - 1) * kPageTokens;  // as the engine bounds it

  std::map<const Sequence*, std::int64_t> target;  // length at which it ends; all that are alive
  std::set<const Sequence*> forked;
  int arrivals = 60;
  std::int64_t bound = 0;
  int ended = 0;
  int begun = 0;
  const auto begin = [&](std::int64_t prompt, TokenId token) {
    auto s = make_sequence(*pool, prompt, token);
    s->owner->request.identity = std::string(1, static_cast<char>('a' + in(0, 2)));
    s->owner->request.weight = in(1, 3);
    s->owner->request.priority = in(0, 2) == 0 ? Priority::kBatch : Priority::kInteractive;
    const std::int64_t end = std::min(context, prompt + in(1, 20));
    target[s.get()] = end;
    bound += end;
    ++begun;
    return s;
  };
  const auto end = [&](const Sequence* s) {
    ASSERT_EQ(target.erase(s), 1u);
    forked.erase(s);
    const auto taken = scheduler.remove(s);
    ASSERT_NE(taken, nullptr);
    EXPECT_TRUE(taken->pages.groups[0].empty());
    EXPECT_EQ(scheduler.remove(s), nullptr);
    ++ended;
  };

  std::int64_t steps = 0;
  while (arrivals > 0 || !scheduler.idle()) {
    while (arrivals > 0 && in(0, 2) == 0) {
      --arrivals;
      scheduler.add(begin(in(1, static_cast<int>(context) - 1), in(0, 2) == 0 ? -1 : in(3, 5)));
    }
    if (const auto all = scheduler.all(); !all.empty() && in(0, 40) == 0)
      end(all[static_cast<std::size_t>(in(0, static_cast<int>(all.size()) - 1))]);

    std::vector<const Sequence*> decoders;
    const auto running = scheduler.running();
    for (std::int64_t i = 0; i < running; ++i)
      if (const Sequence* s = scheduler.all()[static_cast<std::size_t>(i)]; s->missing() == 1)
        decoders.push_back(s);
    const std::vector<Slice> slices = scheduler.plan();
    ASSERT_TRUE(!slices.empty() || scheduler.idle());
    ASSERT_LE(scheduler.running(), limits.running_max);
    scheduler.check_integrity();

    std::int64_t rows = 0;
    std::map<const Sequence*, std::int64_t> given;
    for (const Slice& s : slices) {
      ASSERT_TRUE(given.emplace(s.sequence, s.rows).second);
      ASSERT_TRUE(s.rows >= 1 && s.rows <= s.sequence->missing());
      for (const auto& group : s.sequence->pages.groups)
        ASSERT_GE(static_cast<std::int64_t>(group.size()) * kPageTokens,
                  s.sequence->computed + s.rows);
      rows += s.rows;
    }
    ASSERT_LE(rows, limits.batch_tokens_max);
    // Whoever decodes has its row or lost its pages, as far as the budget goes.
    for (std::size_t i = 0; i < decoders.size(); ++i) {
      if (static_cast<std::int64_t>(i) >= limits.batch_tokens_max) break;
      EXPECT_TRUE(given.contains(decoders[i]) || decoders[i]->computed == 0);
    }

    std::vector<Sequence*> sampled;
    for (const Slice& s : slices)
      if (s.finishes()) sampled.push_back(s.sequence);
    carry_out(scheduler, *pool, slices);
    for (Sequence* s : sampled) {
      const bool first = s->generated() == 1 && forked.insert(s).second;
      for (int i = first && s->prompt_size > 1 && in(0, 5) == 0 ? in(1, 3) : 0; i > 0; --i) {
        auto fork = begin(s->prompt_size, s->tokens.front());
        forked.insert(fork.get());
        scheduler.add_fork(std::move(fork), *s);
      }
      if (static_cast<std::int64_t>(s->tokens.size()) >= target.at(s)) end(s);
    }
    scheduler.check_integrity();
    ASSERT_FALSE(HasFailure()) << "step " << steps;
    // A step computes at least one row for good, and preemption wastes a limited share.
    ASSERT_LT(++steps, 200 + 4 * bound);
  }
  EXPECT_EQ(ended, begun);
  EXPECT_TRUE(target.empty());
  EXPECT_EQ(pool->pages_used(), 0);
}

}  // namespace
}  // namespace hearth::engine

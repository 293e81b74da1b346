#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <random>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/fault_point.h"

namespace hearth {
namespace {

// Chunks so short that the caller does them all before another thread is awake would show nothing:
// some give the core away in the middle, a few for longer.
void dawdle(std::int64_t chunk) {
  if (chunk % 3 == 1) std::this_thread::yield();
  if (chunk % 31 == 7) std::this_thread::sleep_for(std::chrono::microseconds(20));
}

// A step that is over only when every thread of the pool takes part.
ThreadPool::Step everybody(const ThreadPool& pool) {
  struct State {
    explicit State(int threads) : all(threads), seen(static_cast<std::size_t>(threads)) {}
    std::latch all;
    std::vector<std::atomic<int>> seen;
  };
  auto state = std::make_shared<State>(pool.threads());
  return {pool.threads(), [state](std::int64_t, int thread) {
            EXPECT_EQ(++state->seen.at(static_cast<std::size_t>(thread)), 1);
            state->all.arrive_and_wait();
          }};
}

// Steps that count how often each chunk ran and whether all earlier steps were over by then.
struct Recorded {
  explicit Recorded(const std::vector<std::int64_t>& chunks) {
    for (std::int64_t n : chunks) {
      counts.emplace_back(static_cast<std::size_t>(n));
      expected += n;
    }
    std::int64_t before = 0;
    for (std::size_t s = 0; s < chunks.size(); ++s) {
      const std::int64_t after = before + chunks[s];
      steps.push_back({chunks[s], [this, s, before, after](std::int64_t chunk, int) {
                         const std::int64_t now = finished.load();
                         if (now < before || now >= after) out_of_order = true;
                         dawdle(chunk);
                         ++counts[s][static_cast<std::size_t>(chunk)];
                         ++finished;
                       }});
      before = after;
    }
  }
  void check() const {
    EXPECT_FALSE(out_of_order);
    EXPECT_EQ(finished, expected);
    for (const auto& step : counts)
      for (const auto& count : step) ASSERT_EQ(count, 1);
  }

  std::vector<std::vector<std::atomic<int>>> counts;
  std::vector<ThreadPool::Step> steps;
  std::int64_t expected = 0;
  std::atomic<std::int64_t> finished{0};
  std::atomic<bool> out_of_order{false};
};

class Pool : public testing::TestWithParam<int> {};
// More threads than most test machines have cores.
INSTANTIATE_TEST_SUITE_P(Threads, Pool, testing::Values(1, 2, 3, 8));

TEST_P(Pool, EveryChunkOnceAndStepsInOrder) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.threads(), GetParam());
  std::mt19937 random(7);
  for (int run = 0; run < 300; ++run) {
    std::vector<std::int64_t> chunks(1 + random() % 12);
    for (auto& n : chunks) n = random() % 3 == 0 ? random() % 2 : random() % 40;
    Recorded recorded(chunks);
    if (run % 10 == 0) recorded.steps.insert(recorded.steps.begin(), everybody(pool));
    pool.run(recorded.steps);
    recorded.check();
    ASSERT_FALSE(HasFailure()) << "run " << run;
  }
}

// Plain memory: what one step wrote, the next one sees, on whichever thread.
TEST_P(Pool, StepsSeeWhatEarlierStepsWrote) {
  ThreadPool pool(GetParam());
  constexpr std::size_t kSize = 64;
  std::vector<std::uint64_t> a(kSize, 1);
  std::vector<std::uint64_t> b(kSize);
  std::vector<std::uint64_t> want = a;
  const auto mix = [](const std::vector<std::uint64_t>& x, std::size_t i) {
    return x[i] * 3 + x[(i + 1) % kSize] + x[(i * 7) % kSize];
  };
  const auto step = [&mix](const std::vector<std::uint64_t>& from, std::vector<std::uint64_t>& to) {
    return ThreadPool::Step{kSize, [&](std::int64_t i, int) {
                              dawdle(i);
                              to[static_cast<std::size_t>(i)] =
                                  mix(from, static_cast<std::size_t>(i));
                            }};
  };
  for (int run = 0; run < 100; ++run) {
    pool.run({everybody(pool), step(a, b), step(b, a)});
    for (int half = 0; half < 2; ++half) {
      const auto old = want;
      for (std::size_t i = 0; i < kSize; ++i) want[i] = mix(old, i);
    }
    ASSERT_EQ(a, want) << "run " << run;
  }
}

TEST_P(Pool, NoTwoChunksAtATimeOnOneThreadIndex) {
  const int threads = GetParam();
  ThreadPool pool(threads);
  std::vector<std::atomic<int>> inside(static_cast<std::size_t>(threads));
  std::atomic<bool> bad{false};
  for (int run = 0; run < 50; ++run) {
    pool.parallel_for(100, [&](std::int64_t chunk, int thread) {
      if (thread < 0 || thread >= threads) {
        bad = true;
        return;
      }
      auto& mine = inside[static_cast<std::size_t>(thread)];
      if (mine.fetch_add(1) != 0) bad = true;
      dawdle(chunk);
      mine.fetch_sub(1);
    });
  }
  EXPECT_FALSE(bad);
}

// Also with pauses between, so that threads fall asleep and wake at every stage.
TEST_P(Pool, ThousandsOfShortRuns) {
  ThreadPool pool(GetParam());
  std::atomic<std::int64_t> sum{0};
  std::int64_t want = 0;
  for (int run = 0; run < 10'000; ++run) {
    const std::int64_t chunks = run % 5;
    const auto add = [&](std::int64_t chunk, int) { sum += chunk + 1; };
    std::vector<ThreadPool::Step> steps = {{chunks, add}, {0, add}, {2, add}};
    if (run % 100 == 0) steps.insert(steps.begin() + run % 3, everybody(pool));
    pool.run(std::move(steps));
    want += chunks * (chunks + 1) / 2 + 3;
    ASSERT_EQ(sum, want) << "run " << run;
    if (run % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST_P(Pool, NothingToDo) {
  ThreadPool pool(GetParam());
  std::atomic<int> calls{0};
  const auto call = [&](std::int64_t, int) { ++calls; };
  pool.run({});
  pool.parallel_for(0, call);
  pool.run({{0, call}, {0, call}, {0, call}});
  EXPECT_EQ(calls, 0);
  pool.run({{0, call}, {1, call}, {0, call}});
  EXPECT_EQ(calls, 1);
}

TEST_P(Pool, ComesAndGoes) {
  std::atomic<int> calls{0};
  for (int i = 0; i < 100; ++i) {
    const auto pool = std::make_unique<ThreadPool>(GetParam());
    if (i % 3 != 0) pool->parallel_for(4, [&](std::int64_t, int) { ++calls; });
    if (i % 10 == 1) pool->run({everybody(*pool)});
  }
  EXPECT_EQ(calls, 66 * 4);
}

// All threads wait in their first chunk until each has one: those are of their own stretches.
TEST_P(Pool, EachThreadBeginsWithItsOwnStretch) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 20; ++round) {
    constexpr std::int64_t kEach = 5;
    std::vector<std::atomic<int>> by(static_cast<std::size_t>(kEach * pool.threads()));
    std::latch all(pool.threads());
    std::vector<std::atomic<int>> calls(static_cast<std::size_t>(pool.threads()));
    pool.parallel_for(kEach * pool.threads(), [&](std::int64_t chunk, int thread) {
      by[static_cast<std::size_t>(chunk)] = thread;
      if (++calls[static_cast<std::size_t>(thread)] == 1) all.arrive_and_wait();
    });
    for (int thread = 0; thread < pool.threads(); ++thread)
      EXPECT_EQ(by[static_cast<std::size_t>(thread * kEach)], thread);
  }
}

// Whoever is held up in a chunk keeps that one; the rest of its stretch is done by the others.
TEST_P(Pool, OthersTakeWhatIsLeftOfAStretch) {
  ThreadPool pool(GetParam());
  if (pool.threads() == 1) return;
  const std::int64_t chunks = 16 * pool.threads();
  std::atomic<std::int64_t> done{0};
  std::vector<std::atomic<int>> calls(static_cast<std::size_t>(pool.threads()));
  pool.parallel_for(chunks, [&](std::int64_t chunk, int thread) {
    ++calls[static_cast<std::size_t>(thread)];
    if (chunk == 0)
      while (done.load() != chunks - 1) std::this_thread::yield();
    ++done;
  });
  EXPECT_EQ(done, chunks);
  EXPECT_GT(*std::max_element(calls.begin(), calls.end()), 16);
}

TEST(ThreadPool, TellsHowLongStepsTook) {
  ThreadPool pool(2);
  const auto sleep = [](int milliseconds) {
    return [milliseconds](std::int64_t, int) {
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    };
  };
  std::vector<ThreadPool::Step> steps;
  steps.push_back({1, sleep(20)});
  steps.push_back({4, sleep(5)});
  steps.push_back({0, sleep(5)});
  const auto times = pool.run_timed(std::move(steps));
  ASSERT_EQ(times.size(), 3u);
  EXPECT_GE(times[0].wall_ns, 20'000'000);
  EXPECT_GE(times[0].busy_ns, 20'000'000);
  EXPECT_GE(times[1].wall_ns, 10'000'000);  // two threads, two chunks each
  EXPECT_GE(times[1].busy_ns, 20'000'000);
  EXPECT_LT(times[2].busy_ns, 5'000'000);
  // What is not measured runs as before.
  std::atomic<int> chunks{0};
  pool.parallel_for(10, [&](std::int64_t, int) { ++chunks; });
  EXPECT_EQ(chunks, 10);
}

TEST(ThreadPool, WhereAWorkerCannotStartTheOthersEnd) {
  for (int nth = 1; nth <= 3; ++nth) {
    fault::arm("thread.start", nth);
    EXPECT_THROW(ThreadPool(4), std::system_error) << nth;
    fault::disarm_all();
  }
  ThreadPool pool(4);
  EXPECT_EQ(pool.threads(), 4);
}

TEST_P(Pool, EachWorkerIsCalledOnceBeforeItWorks) {
  ThreadPool pool(GetParam());
  std::vector<std::atomic<int>> calls(static_cast<std::size_t>(pool.threads()));
  std::atomic<bool> early = false;
  for (int round = 1; round <= 3; ++round) {
    pool.on_each_worker([&](int thread) { ++calls[static_cast<std::size_t>(thread)]; });
    for (int job = 0; job < 20; ++job)
      pool.parallel_for(64, [&](std::int64_t, int thread) {
        if (thread > 0 && calls[static_cast<std::size_t>(thread)] == 0) early = true;
      });
  }
  EXPECT_FALSE(early);
  EXPECT_EQ(calls[0], 0);
  for (const auto& n : calls) EXPECT_LE(n, 3);
}

}  // namespace
}  // namespace hearth

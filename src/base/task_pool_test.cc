#include "base/task_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>

namespace hearth {
namespace {

TEST(TaskPool, RunsEveryTask) {
  std::atomic<int> sum{0};
  {
    TaskPool pool(3, 1000);
    std::atomic<int> left{500};
    std::promise<void> done;
    for (int i = 1; i <= 500; ++i) {
      ASSERT_TRUE(pool.post([&, i] {
        sum += i;
        if (--left == 0) done.set_value();
      }));
    }
    done.get_future().wait();
  }
  EXPECT_EQ(sum, 500 * 501 / 2);
}

TEST(TaskPool, RefusesBeyondItsQueueAndDropsOnStop) {
  TaskPool pool(1, 2);
  std::promise<void> started;
  std::promise<void> release;
  ASSERT_TRUE(pool.post([&] {
    started.set_value();
    release.get_future().wait();
  }));
  started.get_future().wait();
  const auto held = std::make_shared<int>(1);
  std::atomic<int> ran{0};
  EXPECT_EQ(pool.waiting(), 0u);  // what runs does not wait
  EXPECT_TRUE(pool.post([&, held] { ++ran; }));
  EXPECT_TRUE(pool.post([&, held] { ++ran; }));
  EXPECT_EQ(pool.waiting(), 2u);
  EXPECT_FALSE(pool.post([&, held] { ++ran; }));
  std::thread stopper([&] { pool.stop(); });
  while (pool.post([] {})) std::this_thread::yield();  // until stop() has begun
  release.set_value();
  stopper.join();
  EXPECT_FALSE(pool.post([] {}));
  EXPECT_EQ(held.use_count(), 1);  // dropped tasks are destroyed
}

}  // namespace
}  // namespace hearth

// A few threads that run independent tasks from a bounded queue. (For arithmetic see
// thread_pool.h.)
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace hearth {

class TaskPool {
 public:
  TaskPool(int threads, std::size_t queue_max);
  ~TaskPool();
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  // Thread-safe, never blocks. False: the queue is full or the pool has stopped; the task is
  // dropped.
  bool post(std::function<void()> task);

  std::size_t waiting() const;  // tasks that no thread has begun

  // Lets running tasks end, drops the waiting ones, joins. Not from a task of its own.
  void stop();

 private:
  void work();

  const std::size_t queue_max_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> queue_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace hearth

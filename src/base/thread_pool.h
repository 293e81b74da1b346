// A pool for fork-join arithmetic: a list of steps, each cut into chunks, run in order by all
// threads.
//
// Each thread has an equal stretch of a step's chunks and takes from the others' when its own is
// done (work stealing): where steps cut their work alike, what one step has written is mostly read
// by the same core in the next. There is no barrier of threads: a step is over once its chunks are
// done. A thread that the system has descheduled holds up nobody unless it is in the middle of a
// chunk: it finds the chunks taken and moves on. Waiting threads spin for a short, bounded time and
// then sleep, because HTTP and clients share the cores.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace hearth {

class ThreadPool {
 public:
  // chunk in [0, chunks); thread in [0, threads()): an index for scratch memory.
  using ChunkFn = std::function<void(std::int64_t chunk, int thread)>;
  struct Step {
    std::int64_t chunks = 0;
    ChunkFn fn;
  };

  // threads >= 1; the caller of run() is one of them, number 0. Throws std::system_error where no
  // thread can be had.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Returns when all chunks of all steps are done. One caller at a time.
  void run(std::vector<Step> steps);

  struct StepTime {
    std::int64_t wall_ns = 0;  // from the end of the step before
    std::int64_t busy_ns = 0;  // in chunks, of all threads together
  };
  // The same, measured: one entry a step.
  std::vector<StepTime> run_timed(std::vector<Step> steps);
  void parallel_for(std::int64_t chunks, ChunkFn fn);
  // Every thread but the caller's calls fn(number) once, before it next works.
  void on_each_worker(std::function<void(int)> fn);

 private:
  ThreadPool() = default;
  struct alignas(64) Counter {
    std::atomic<std::int64_t> value{0};
  };
  struct Progress {
    explicit Progress(int threads) : next(static_cast<std::size_t>(threads)) {}
    std::vector<Counter> next;  // of each thread's stretch the next chunk; may run past its end
    alignas(64) std::atomic<std::uint32_t> done{0};
    std::atomic<std::int64_t> busy_ns{0};
  };
  struct Job {
    std::vector<Step> steps;
    std::vector<StepTime>* times = nullptr;           // null: not measured
    std::vector<std::unique_ptr<Progress>> progress;  // grows, never shrinks
    alignas(64) std::atomic<int> inside{0};           // workers that look at this job
  };
  static constexpr std::uint32_t kJobs = 4;  // a late worker may still look at an old one

  void start(std::vector<Step> steps, std::vector<StepTime>* times);
  std::int64_t begin_of(std::int64_t chunks, int thread) const {
    return chunks * thread / threads();
  }
  std::uint32_t work_on(const Step& step, Progress& progress, int thread);
  void work(Job& job, int thread);
  void worker_loop(int thread);

  Job jobs_[kJobs];
  alignas(64) std::atomic<std::uint32_t> current_{
      0};  // ticket of the newest job; slot = ticket % kJobs
  std::atomic<bool> stop_{false};
  std::mutex each_mutex_;
  std::function<void(int)> each_;           // of on_each_worker()
  std::atomic<std::uint32_t> each_set_{0};  // how often
  std::vector<std::thread> workers_;
};

}  // namespace hearth

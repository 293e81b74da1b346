#include "base/thread_pool.h"

#include <sched.h>

#include <chrono>
#include <utility>

#include "base/cpu.h"
#include "base/result.h"
#include "base/start_thread.h"

namespace hearth {
namespace {

inline void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

// Between steps the others are microseconds away; between jobs lies one round of sampling.
constexpr int kSpinsStep = 4000;
constexpr int kSpinsJob = 20000;
constexpr int kSpinsPerYield = 256;  // let someone else have the core now and then while spinning

// Waits until `done(value)` holds for the value of `word`.
template <class Done>
void spin_then_sleep(std::atomic<std::uint32_t>& word, int spins, Done done) {
  for (int i = 1;; ++i) {
    const std::uint32_t value = word.load(std::memory_order_acquire);
    if (done(value)) return;
    if (i < spins) {
      cpu_relax();
      if (i % kSpinsPerYield == 0) sched_yield();
    } else {
      word.wait(value, std::memory_order_acquire);
    }
  }
}

std::int64_t now_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

}  // namespace

// Once the other constructor is through, the destructor runs also when this one throws: it joins
// the workers that have started where a later one cannot.
ThreadPool::ThreadPool(int threads) : ThreadPool() {
  HEARTH_CHECK(threads >= 1);
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  for (int t = 1; t < threads; ++t) workers_.push_back(start_thread([this, t] { worker_loop(t); }));
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  current_.fetch_add(1, std::memory_order_seq_cst);
  current_.notify_all();
  for (auto& worker : workers_) worker.join();
}

// Its own stretch first, then what is left of the others'. Returns how many chunks it did.
std::uint32_t ThreadPool::work_on(const Step& step, Progress& progress, int thread) {
  std::uint32_t mine = 0;
  for (int i = 0; i < threads(); ++i) {
    const int owner = (thread + i) % threads();
    const std::int64_t end = begin_of(step.chunks, owner + 1);
    std::atomic<std::int64_t>& next = progress.next[static_cast<std::size_t>(owner)].value;
    // Looking is cheaper than claiming: the line stays with whoever works there.
    while (next.load(std::memory_order_relaxed) < end) {
      const std::int64_t chunk = next.fetch_add(1, std::memory_order_relaxed);
      if (chunk >= end) break;
      step.fn(chunk, thread);
      ++mine;
    }
  }
  return mine;
}

void ThreadPool::work(Job& job, int thread) {
  std::vector<StepTime>* const times = job.times;
  std::int64_t step_begin = times ? now_ns() : 0;
  for (std::size_t s = 0; s < job.steps.size(); ++s) {
    const Step& step = job.steps[s];
    Progress& progress = *job.progress[s];
    const std::int64_t begin = times ? now_ns() : 0;
    const std::uint32_t mine = work_on(step, progress, thread);
    if (times) progress.busy_ns.fetch_add(now_ns() - begin, std::memory_order_relaxed);
    const auto total = static_cast<std::uint32_t>(step.chunks);
    if (mine > 0 && progress.done.fetch_add(mine, std::memory_order_acq_rel) + mine == total)
      progress.done.notify_all();
    spin_then_sleep(progress.done, kSpinsStep, [total](std::uint32_t v) { return v == total; });
    if (times && thread == 0) {
      const std::int64_t end = now_ns();
      // A worker that found nothing left to do may still add its few nanoseconds: they are lost.
      (*times)[s] = {end - step_begin, progress.busy_ns.load(std::memory_order_relaxed)};
      step_begin = end;
    }
  }
}

void ThreadPool::worker_loop(int thread) {
  run_in_short_slices();
  std::uint32_t seen = 0;
  std::uint32_t each_seen = 0;
  for (;;) {
    spin_then_sleep(current_, kSpinsJob, [seen](std::uint32_t v) { return v != seen; });
    const std::uint32_t ticket = current_.load(std::memory_order_seq_cst);
    if (stop_.load()) return;
    if (each_set_.load(std::memory_order_acquire) != each_seen) {
      const std::lock_guard lock(each_mutex_);
      each_seen = each_set_.load(std::memory_order_relaxed);
      each_(thread);
    }
    Job& job = jobs_[ticket % kJobs];
    job.inside.fetch_add(1, std::memory_order_seq_cst);
    // run() fills a slot only while nobody is inside and before it publishes the ticket: an
    // unchanged ticket means that the slot is ours to read until we leave it.
    if (current_.load(std::memory_order_seq_cst) == ticket) {
      work(job, thread);
      seen = ticket;
    }
    job.inside.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::on_each_worker(std::function<void(int)> fn) {
  const std::lock_guard lock(each_mutex_);
  each_ = std::move(fn);
  each_set_.fetch_add(1, std::memory_order_release);
}

void ThreadPool::run(std::vector<Step> steps) { start(std::move(steps), nullptr); }

std::vector<ThreadPool::StepTime> ThreadPool::run_timed(std::vector<Step> steps) {
  std::vector<StepTime> times(steps.size());
  start(std::move(steps), &times);
  return times;
}

void ThreadPool::start(std::vector<Step> steps, std::vector<StepTime>* times) {
  if (steps.empty()) return;
  const std::uint32_t ticket = current_.load(std::memory_order_relaxed) + 1;
  Job& job = jobs_[ticket % kJobs];
  while (job.inside.load(std::memory_order_seq_cst) != 0) sched_yield();
  job.steps = std::move(steps);
  job.times = times;
  while (job.progress.size() < job.steps.size())
    job.progress.push_back(std::make_unique<Progress>(threads()));
  for (std::size_t s = 0; s < job.steps.size(); ++s) {
    HEARTH_CHECK(job.steps[s].chunks >= 0 && job.steps[s].chunks < (std::int64_t{1} << 31));
    for (int thread = 0; thread < threads(); ++thread)
      job.progress[s]->next[static_cast<std::size_t>(thread)].value.store(
          begin_of(job.steps[s].chunks, thread), std::memory_order_relaxed);
    job.progress[s]->done.store(0, std::memory_order_relaxed);
    job.progress[s]->busy_ns.store(0, std::memory_order_relaxed);
  }
  current_.store(ticket, std::memory_order_seq_cst);
  if (!workers_.empty()) current_.notify_all();
  work(job, 0);
}

void ThreadPool::parallel_for(std::int64_t chunks, ChunkFn fn) {
  std::vector<Step> steps(1);
  steps[0] = {chunks, std::move(fn)};
  run(std::move(steps));
}

}  // namespace hearth

#include "formats/unseal_ahead.h"

#include <algorithm>
#include <system_error>

#include "base/log.h"
#include "base/start_thread.h"

namespace hearth {
namespace {

constexpr std::size_t kWorkers = 4;
// As what is read ahead of plain files (read_ahead.cc).
constexpr std::size_t kBytesMin = 64 << 20;
constexpr std::size_t kBytesMax = 1 << 30;
constexpr std::size_t kShare = 32;  // of the file

}  // namespace

UnsealAhead::UnsealAhead(const Weights& weights, const std::vector<Ranges>& steps)
    : bytes_max_(std::clamp(static_cast<std::size_t>(weights.file_bytes()) / kShare, kBytesMin,
                            kBytesMax)) {
  steps_.resize(steps.size());
  for (std::size_t s = 0; s < steps.size(); ++s) {
    std::vector<Place>& chunks = steps_[s].chunks;
    for (const auto& range : steps[s]) {
      const ModelFile* const holder = weights.file_of(range);
      const SealedFile* const file = holder ? holder->as_sealed() : nullptr;
      if (!file || range.empty()) continue;
      for (std::size_t c = file->chunk_of(range.data()); c <= file->chunk_of(&range.back()); ++c)
        chunks.emplace_back(file, c);
    }
    std::sort(chunks.begin(), chunks.end());
    chunks.erase(std::unique(chunks.begin(), chunks.end()), chunks.end());
    steps_[s].open = chunks.size();
    for (const Place& place : chunks) jobs_.push_back({s, place});
  }
  workers_.reserve(kWorkers);
  try {
    while (workers_.size() < std::min(kWorkers, jobs_.size()))
      workers_.push_back(start_thread([this] { work(); }, "unseal_ahead.thread"));
  } catch (const std::system_error&) {
    // If there are none, next() does the work.
    log::debug("{} threads decrypt ahead: no more can be had", workers_.size());
  }
}

UnsealAhead::~UnsealAhead() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  room_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  for (const auto& [place, uses] : uses_)
    for (std::size_t i = 0; i < uses; ++i) place.first->release(place.second);
}

bool UnsealAhead::has_room(const Job& job) const {
  return job.step < given_ || uses_.contains(job.place) ||
         held_bytes_ + job.place.first->chunk_bytes() <= bytes_max_;
}

// Does the next job, without the lock; called and left with it.
void UnsealAhead::run(std::unique_lock<std::mutex>& lock) {
  const Job& job = jobs_[next_job_++];
  if (uses_[job.place]++ == 0) held_bytes_ += job.place.first->chunk_bytes();
  lock.unlock();
  Status acquired = job.place.first->acquire(job.place.second);
  lock.lock();
  Step& step = steps_[job.step];
  if (!acquired) {
    step.error = std::move(acquired).error();
    const auto use = uses_.find(job.place);
    if (--use->second == 0) {
      held_bytes_ -= job.place.first->chunk_bytes();
      uses_.erase(use);
    }
    step.chunks.erase(std::find(step.chunks.begin(), step.chunks.end(), job.place));
  }
  if (--step.open == 0) complete_.notify_all();
}

void UnsealAhead::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    room_.wait(lock,
               [&] { return stop_ || next_job_ == jobs_.size() || has_room(jobs_[next_job_]); });
    if (stop_ || next_job_ == jobs_.size()) return;
    run(lock);
  }
}

void UnsealAhead::release(Step& step) {
  for (const Place& place : step.chunks) {
    const auto use = uses_.find(place);
    place.first->release(place.second);
    if (--use->second > 0) continue;
    held_bytes_ -= place.first->chunk_bytes();
    uses_.erase(use);
  }
  step.chunks.clear();
}

Status UnsealAhead::next() {
  std::unique_lock lock(mutex_);
  if (given_ > 0) release(steps_[given_ - 1]);
  HEARTH_CHECK(given_ < steps_.size());
  Step& step = steps_[given_++];
  room_.notify_all();
  if (workers_.empty())
    while (next_job_ < jobs_.size() && jobs_[next_job_].step < given_) run(lock);
  complete_.wait(lock, [&] { return step.open == 0; });
  if (step.error) return tl::unexpected<Error>(*step.error);
  return {};
}

}  // namespace hearth

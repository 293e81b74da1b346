// Decrypts the chunks of a model's sealed files ahead of whoever repacks its tensors, in the order
// in which they will be asked for, and lets go of them afterwards: what is decrypted at a time is
// bounded, so that the model is never twice in memory.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/result.h"
#include "formats/sealed_file.h"
#include "formats/weights.h"

namespace hearth {

class UnsealAhead {
 public:
  using Ranges = std::vector<std::span<const std::byte>>;

  // `steps`: what is asked for at once, in order. Ranges in other files are left alone. `weights`
  // must outlive this.
  UnsealAhead(const Weights& weights, const std::vector<Ranges>& steps);
  ~UnsealAhead();
  UnsealAhead(const UnsealAhead&) = delete;
  UnsealAhead& operator=(const UnsealAhead&) = delete;

  // The ranges of the next step can be read until the next call, those of the one before not any
  // more. Errors: those of ModelFile::need. One caller at a time.
  Status next();

 private:
  using Place = std::pair<const SealedFile*, std::size_t>;  // a chunk
  struct Step {
    std::vector<Place> chunks;
    std::size_t open = 0;  // not there yet
    std::optional<Error> error;
  };
  struct Job {
    std::size_t step;
    Place place;
  };

  void work();
  bool has_room(const Job& job) const;
  void run(std::unique_lock<std::mutex>& lock);
  void release(Step& step);

  std::vector<Step> steps_;
  std::vector<Job> jobs_;
  std::size_t bytes_max_ = 0;  // of chunks at a time, those of the step at hand apart

  std::mutex mutex_;
  std::condition_variable room_;       // for the workers
  std::condition_variable complete_;   // for next()
  std::map<Place, std::size_t> uses_;  // chunks that are there, or coming, for how many steps
  std::size_t held_bytes_ = 0;
  std::size_t given_ = 0;  // steps that next() was asked for
  std::size_t next_job_ = 0;
  bool stop_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace hearth

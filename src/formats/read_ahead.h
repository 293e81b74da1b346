// Reads a model's tensors past the page cache, ahead of whoever repacks them.
//
// A cold file comes through a mapping no faster than the kernel sets up its pages, which is about
// half of what a fast drive gives. So the ranges that are not in the page cache are read by a few
// threads into memory of our own, in the order in which they will be asked for. The rest stays
// where it is: what is cached, what a file system does not read so, what is too large, and
// everything where there is no thread or no memory for this. What lies in sealed files is
// UnsealAhead's.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/result.h"
#include "formats/mapped_file.h"
#include "formats/weights.h"

namespace hearth {

class UnsealAhead;

class ReadAhead {
 public:
  // What is asked for at once. Each lies in the mapping of one file of the model.
  using Ranges = std::vector<std::span<const std::byte>>;
  enum class Choice : std::uint8_t { kUncached, kEverything };  // the latter for tests

  // `steps`: what next() will be asked for, in that order. `weights` must outlive this.
  ReadAhead(const Weights& weights, std::vector<Ranges> steps, Choice choice = Choice::kUncached);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // The same bytes, in our memory or in the file's, until the next call. `wanted` is the next
  // step. Errors: those of MappedFile::read_direct and ModelFile::need. One caller at a time.
  Result<Ranges> next(const Ranges& wanted);

  // How much of what next() has given did not come from the mapping.
  std::int64_t direct_bytes() const { return direct_bytes_; }

 private:
  struct Step {
    Ranges wanted;
    std::vector<std::size_t> at;  // of each range, in the step's memory
    std::size_t bytes = 0;        // of memory; 0: from the mapping
    std::size_t place = 0;        // in memory_, once placed
    bool placed = false;
    std::size_t open_blocks = 0;  // not read yet
    bool refused = false;
    std::optional<Error> error;
  };
  struct Block {  // one read
    std::size_t step;
    const MappedFile* file;
    std::size_t offset;  // in the file
    std::size_t at;      // in the step's memory
    std::size_t bytes;
  };

  void plan(const Weights& weights, Choice choice);
  bool start();
  bool add_reader();
  void read_blocks();
  bool place(std::size_t step);
  void release(std::size_t step);

  const std::unique_ptr<UnsealAhead> unseal_;
  std::vector<Step> steps_;
  std::vector<Block> blocks_;
  std::size_t ring_bytes_ = 0;  // of memory_, used as a ring
  std::span<std::byte> memory_;
  std::size_t current_ = 0;  // steps that next() has given
  std::int64_t direct_bytes_ = 0;

  std::mutex mutex_;
  std::condition_variable room_;      // for the readers: a step was released
  std::condition_variable complete_;  // for next(): all blocks of a step are there
  std::deque<std::size_t> held_;      // steps in memory_, the oldest first
  std::size_t next_block_ = 0;
  bool stop_ = false;
  std::vector<std::thread> readers_;
};

}  // namespace hearth

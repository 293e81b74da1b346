// Reads a model's file ahead of whoever repacks it, so that the drive never waits for the
// processor.
//
// A thread asks the system for the tensors in file order, in pieces of 1 MiB (one request to a
// drive; many are under way at once), as long as no more than `kAheadBytes` are read and not used
// yet: the file never has to fit into memory beside the model.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <thread>

#include "formats/weights.h"

namespace hearth {

class ReadAhead {
 public:
  static constexpr std::int64_t kAheadBytes = 96 << 20;

  // Throws std::system_error where no thread can be had.
  explicit ReadAhead(std::shared_ptr<const Weights> weights);
  ~ReadAhead();  // stops where it is
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // These bytes are repacked: their pages go, and as many more are read.
  void used(std::span<const std::byte> range);

 private:
  void loop();

  const std::shared_ptr<const Weights> weights_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::int64_t used_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace hearth

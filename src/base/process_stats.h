// What this process uses, as the kernel says (Linux, /proc/self). A value that the kernel does not
// tell is 0.
#pragma once

#include <cstdint>

namespace hearth {

struct ProcessStats {
  std::int64_t anonymous_bytes = 0;  // resident memory of its own: heap, stacks, packed weights
  std::int64_t file_bytes = 0;       // resident pages of mapped files; the kernel can drop them
  std::int64_t swap_bytes = 0;       // anonymous memory that is swapped out
  std::int64_t threads = 0;
  std::int64_t open_descriptors = 0;
  std::int64_t descriptors_max = 0;  // the soft limit
  double cpu_seconds = 0.;           // user and system, of all threads
  double start_time_unix_seconds = 0.;
};

ProcessStats process_stats();

}  // namespace hearth

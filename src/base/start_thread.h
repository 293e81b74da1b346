// Threads that may be asked for while others are at work, when there may be none left.
#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include "base/fault_point.h"

namespace hearth {

// Throws as std::thread does: std::errc::resource_unavailable_try_again at the limit of threads,
// and whenever the fault point says so.
template <class Work>
std::thread start_thread(Work work, const char* fault_point = "thread.start") {
  if (FAULT_POINT(fault_point))
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
  return std::thread(std::move(work));
}

}  // namespace hearth

#include "base/private_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

namespace hearth {
namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

bool core_files_hold_nothing() {
  forbid_core_files();
  rlimit limit = {1, 1};
  const bool none = getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0;
  const std::string filter = first_line("/proc/self/coredump_filter");
  return none && (filter.empty() || std::stoul(filter, nullptr, 16) == 0);
}

long locked_kib() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with("VmLck:")) return std::stol(line.substr(6));
  return 0;
}

bool locked_or_said_not_to_be() {
  if (memory_lock() != MemoryLock::kNotAsked) return false;
  keep_memory_private();
  keep_memory_private();
  if (prctl(PR_GET_DUMPABLE) != 0) return false;
  // What is allocated afterwards as well.
  constexpr std::size_t kBytes = 1 << 20;
  void* const later =
      mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memset(later, 1, kBytes);
  const bool right = memory_lock() == MemoryLock::kLocked
                         ? locked_kib() > 1024
                         : describe(memory_lock()).starts_with("not locked");
  // Locked or not, memory can be given back.
  discard_pages(later, kBytes);
  return right && static_cast<const char*>(later)[4096] == 0;
}

// Each in a process of its own: what is done cannot be taken back.
class PrivateMemoryDeathTest : public ::testing::Test {
 protected:
  PrivateMemoryDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(PrivateMemoryDeathTest, CoreFilesHoldNothing) {
  EXPECT_EXIT(std::exit(core_files_hold_nothing() ? 3 : 4), ::testing::ExitedWithCode(3), "");
}

TEST_F(PrivateMemoryDeathTest, ItIsLockedOrItIsSaid) {
  EXPECT_EXIT(std::exit(locked_or_said_not_to_be() ? 3 : 4), ::testing::ExitedWithCode(3), "");
}

}  // namespace
}  // namespace hearth

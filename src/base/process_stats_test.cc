#include "base/process_stats.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

namespace hearth {
namespace {

TEST(ProcessStats, AnonymousMemoryFollowsWhatIsTouched) {
  constexpr std::size_t kBytes = 64u << 20;
  const std::int64_t before = process_stats().anonymous_bytes;
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memset(memory, 1, kBytes);
  const ProcessStats during = process_stats();
  // Under pressure some of it may be in the swap already.
  EXPECT_GE(during.anonymous_bytes + during.swap_bytes, before + (60 << 20));
  munmap(memory, kBytes);
  EXPECT_LT(process_stats().anonymous_bytes, before + (30 << 20));
}

TEST(ProcessStats, CountsDescriptorsAndThreads) {
  const ProcessStats before = process_stats();
  EXPECT_GT(before.file_bytes, 0);  // this program's own text
  std::int64_t open_now = 0;
  for (int fd = 0; fd < before.descriptors_max && fd < 4096; ++fd) {
    open_now += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  }
  EXPECT_EQ(before.open_descriptors, open_now);
  EXPECT_GT(before.descriptors_max, before.open_descriptors);
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(process_stats().open_descriptors, before.open_descriptors + 1);
  close(fd);
  EXPECT_EQ(process_stats().open_descriptors, before.open_descriptors);
  std::thread other([&] { EXPECT_EQ(process_stats().threads, before.threads + 1); });
  other.join();
}

TEST(ProcessStats, Times) {
  const ProcessStats before = process_stats();
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EXPECT_LT(before.start_time_unix_seconds, now + 2.);
  EXPECT_GT(before.start_time_unix_seconds, now - 3600.);  // no test program runs that long
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
  while (std::chrono::steady_clock::now() < until) {
  }
  EXPECT_GT(process_stats().cpu_seconds, before.cpu_seconds);
}

}  // namespace
}  // namespace hearth

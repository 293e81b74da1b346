#include "base/private_memory.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <mutex>

#include "base/log.h"

namespace hearth {
namespace {

std::atomic<MemoryLock> g_lock{MemoryLock::kNotAsked};

bool may_lock_everything() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY) return true;
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, &data[0]) != 0) return false;
  return (data[0].effective & (1u << CAP_IPC_LOCK)) != 0;
}

}  // namespace

void forbid_core_files() {
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  // A handler in core_pattern is asked whatever the limit says, and so are debuggers (gcore): by
  // this filter they leave out every kind of memory. Where there is none the limit stays.
  const int filter = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
  if (filter < 0) return;
  [[maybe_unused]] const ssize_t written = write(filter, "0", 1);
  close(filter);
}

void keep_memory_private() {
  static std::once_flag once;
  std::call_once(once, [] {
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    // With a limit, memory to come would be refused at the limit: then only keys are locked
    // (crypto/secret.h). Pages are locked as they are touched: what is reserved and never used
    // takes no memory.
    const bool locked =
        may_lock_everything() && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
    g_lock = locked ? MemoryLock::kLocked : MemoryLock::kNotAllowed;
    if (!locked) log::warn("memory {}", describe(MemoryLock::kNotAllowed));
  });
}

MemoryLock memory_lock() { return g_lock; }

std::string_view describe(MemoryLock lock) {
  switch (lock) {
    case MemoryLock::kNotAsked:
      return "";
    case MemoryLock::kLocked:
      return "locked, nothing is swapped out";
    case MemoryLock::kNotAllowed:
      return "not locked, what was sealed may be swapped out: allow it (ulimit -l unlimited, "
             "LimitMEMLOCK=infinity, CAP_IPC_LOCK) or run without swap";
  }
  return "";
}

void discard_pages(void* address, std::size_t bytes) {
  if (madvise(address, bytes, MADV_DONTNEED) == 0 || errno != EINVAL) return;
  // Locked pages are not given up.
  if (munlock(address, bytes) == 0) (void)madvise(address, bytes, MADV_DONTNEED);
}

}  // namespace hearth

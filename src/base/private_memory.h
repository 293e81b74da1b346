// Keeps what this process has in memory off disks: no core file, and where the system allows it, no
// swap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hearth {

// No core file of this process, and none that a debugger writes of it, holds any of its memory.
// Called first of all.
void forbid_core_files();

enum class MemoryLock : std::uint8_t {
  kNotAsked,
  kLocked,      // no page of this process is ever swapped out, those to come included
  kNotAllowed,  // the system does not permit it: RLIMIT_MEMLOCK, or no CAP_IPC_LOCK
};

// For processes that hold keys and what they open: locks all memory, as it is touched, and lets no
// other process of the same user look into this one. Warns in the log where locking is not allowed.
// Later calls do nothing.
void keep_memory_private();
MemoryLock memory_lock();
// "locked", "not locked: ...", for people; empty: nobody asked.
std::string_view describe(MemoryLock lock);

// Anonymous memory of whole pages whose content is not needed any more goes back to the system,
// locked or not; of a mapped file, content comes back when it is touched. Only advice otherwise.
void discard_pages(void* address, std::size_t bytes);

}  // namespace hearth

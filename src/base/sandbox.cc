#include "base/sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

namespace hearth {
namespace {

// glibc 2.36 has no wrappers for Landlock.
int landlock_create(const landlock_ruleset_attr* attr, std::size_t size, std::uint32_t flags) {
  return static_cast<int>(syscall(SYS_landlock_create_ruleset, attr, size, flags));
}

constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kReadFolder = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
// Everything of Landlock's first version: what is handled and not allowed is forbidden.
constexpr std::uint64_t kAll = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

Result<bool> restrict_files(const SandboxPolicy& policy) {
  if (landlock_create(nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) return false;
  landlock_ruleset_attr attr = {};
  attr.handled_access_fs = kAll;
  const Descriptor rules(landlock_create(&attr, sizeof attr, 0));
  if (rules.get() < 0)
    return fail(ErrorKind::kInternal, "sandbox_failed", "Landlock: {}", std::strerror(errno));
  for (const std::string& path : policy.readable) {
    const Descriptor target(open(path.c_str(), O_PATH | O_CLOEXEC));
    if (target.get() < 0) continue;  // what is not there needs no permission
    struct stat st = {};
    landlock_path_beneath_attr beneath = {};
    beneath.parent_fd = target.get();
    beneath.allowed_access =
        fstat(target.get(), &st) == 0 && S_ISDIR(st.st_mode) ? kReadFolder : kReadFile;
    // EBADFD: a pipe (a shell's <(...)), which Landlock does not govern.
    if (syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0 &&
        errno != EBADFD)
      return fail(ErrorKind::kInternal, "sandbox_failed", "Landlock: {}: {}", path,
                  std::strerror(errno));
  }
  if (syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0)
    return fail(ErrorKind::kInternal, "sandbox_failed", "Landlock: {}", std::strerror(errno));
  return true;
}

// Refused with EPERM: a parser that is led astray gets an error, and what it tried shows in its
// exit.
constexpr const char* kForbidden[] = {"connect",
                                      "socketpair",
                                      "execve",
                                      "execveat",
                                      "fork",
                                      "vfork",
                                      "ptrace",
                                      "process_vm_readv",
                                      "process_vm_writev",
                                      "mount",
                                      "umount2",
                                      "pivot_root",
                                      "chroot",
                                      "unshare",
                                      "setns",
                                      "bpf",
                                      "perf_event_open",
                                      "userfaultfd",
                                      "keyctl",
                                      "add_key",
                                      "request_key",
                                      "init_module",
                                      "finit_module",
                                      "delete_module",
                                      "kexec_load",
                                      "kexec_file_load",
                                      "reboot",
                                      "swapon",
                                      "swapoff",
                                      "open_by_handle_at",
                                      "io_uring_setup",
                                      "io_uring_enter",
                                      "io_uring_register",
                                      "personality",
                                      "tkill",
                                      "memfd_create",
                                      "sendmmsg"};
// These besides, for who does not listen.
constexpr const char* kNetwork[] = {"socket",  "bind",   "listen", "accept",
                                    "accept4", "sendto", "sendmsg"};

Status forbid(void* filter, const char* name, const std::vector<scmp_arg_cmp>& conditions = {},
              int with = EPERM) {
  const int number = seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR) return {};  // not on this architecture
  const int error =
      seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(static_cast<std::uint32_t>(with)), number,
                             static_cast<unsigned>(conditions.size()), conditions.data());
  if (error < 0)
    return fail(ErrorKind::kInternal, "sandbox_failed", "seccomp: {}: {}", name,
                std::strerror(-error));
  return {};
}

// A server's sockets are streams, and none of them starts a connection: sendto with an address and
// MSG_FASTOPEN would.
Status forbid_reaching_out(void* filter) {
  constexpr scmp_datum_t kTypeMask = 0xf;  // below the flags SOCK_NONBLOCK and SOCK_CLOEXEC
  for (const scmp_datum_t type : {SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET, SOCK_PACKET})
    HEARTH_TRY_VOID(forbid(filter, "socket", {{1, SCMP_CMP_MASKED_EQ, kTypeMask, type}}));
  HEARTH_TRY_VOID(forbid(filter, "sendto", {{4, SCMP_CMP_NE, 0, 0}}));
  HEARTH_TRY_VOID(forbid(filter, "sendto", {{3, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN}}));
  return forbid(filter, "sendmsg", {{2, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN}});
}

// The C library forks by clone, where the flags tell a thread from a process. Those of clone3 lie
// in memory that a filter cannot see: without it, clone is taken.
Status forbid_processes(void* filter) {
  HEARTH_TRY_VOID(forbid(filter, "clone", {{0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0}}));
  return forbid(filter, "clone3", {}, ENOSYS);
}

// False: this system takes no filters.
Result<bool> restrict_calls(bool listens) {
  const std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ALLOW),
                                                                 &seccomp_release);
  if (!filter) return fail(ErrorKind::kInternal, "sandbox_failed", "seccomp: no memory");
  for (const char* name : kForbidden) HEARTH_TRY_VOID(forbid(filter.get(), name));
  HEARTH_TRY_VOID(forbid_processes(filter.get()));
  // Line editing passes a signal on to its own process group (0), as a shell's job control wants.
  HEARTH_TRY_VOID(forbid(filter.get(), "kill", {{0, SCMP_CMP_NE, 0, 0}}));
  if (listens) {
    HEARTH_TRY_VOID(forbid_reaching_out(filter.get()));
  } else {
    for (const char* name : kNetwork) HEARTH_TRY_VOID(forbid(filter.get(), name));
  }
  const int error = seccomp_load(filter.get());
  if (error == -EINVAL || error == -ENOSYS || error == -EPERM) return false;
  if (error < 0)
    return fail(ErrorKind::kInternal, "sandbox_failed", "seccomp: {}", std::strerror(-error));
  return true;
}

}  // namespace

Result<SandboxState> enter_sandbox(const SandboxPolicy& policy) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail(ErrorKind::kInternal, "sandbox_failed", "no_new_privs: {}", std::strerror(errno));
  HEARTH_TRY(const bool files, restrict_files(policy));
  HEARTH_TRY(const bool calls, restrict_calls(policy.listens));
  if (!calls) return SandboxState::kNone;
  return files ? SandboxState::kFull : SandboxState::kNoLandlock;
}

}  // namespace hearth

// Each check runs in a child process, which is locked in for good.
#include "base/sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <thread>

#include "testing/temp_folder.h"

namespace hearth {
namespace {

class Sandbox : public ::testing::Test {
 protected:
  void SetUp() override {
    mkdir(temp_.file("in").c_str(), 0700);
    temp_.write("in/model", "weights");
    temp_.write("secret", "key");
  }
  const testing::TempFolder temp_;
  const std::string& folder_ = temp_.path();
};

// 0: opened; else errno.
int try_open(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags, 0600);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

// Threads, and no processes, whichever way the C library makes them.
bool has_threads_only() {
  bool ran = false;
  std::thread([&] { ran = true; }).join();
  const pid_t child = fork();
  if (child == 0) _exit(0);
  return ran && child == -1 && errno == EPERM;
}

// Which of the expectations do not hold in a process that is locked in, as bits.
int what_is_wrong(const std::string& folder) {
  const auto state = enter_sandbox({{folder + "/in", folder + "/not there"}});
  int wrong = state ? 0 : 1;
  if (try_open(folder + "/in/model", O_RDONLY) != 0) wrong |= 2;
  if (state && *state == SandboxState::kFull) {
    if (try_open(folder + "/secret", O_RDONLY) != EACCES) wrong |= 4;
    if (try_open(folder + "/in/model", O_WRONLY) != EACCES) wrong |= 8;
    if (try_open(folder + "/in/new", O_WRONLY | O_CREAT) != EACCES) wrong |= 16;
  }
  if (socket(AF_INET, SOCK_STREAM, 0) != -1 || errno != EPERM) wrong |= 32;
  if (kill(getppid(), 0) != -1 || errno != EPERM) wrong |= 128;
  if (kill(0, 0) != 0) wrong |= 256;
  if (!has_threads_only()) wrong |= 512;
  char program[] = "/bin/true";
  char* const arguments[] = {program, nullptr};
  execv(program, arguments);
  if (errno != EPERM) wrong |= 64;
  return wrong;
}

TEST_F(Sandbox, LocksInAndLetsRead) {
  EXPECT_EXIT(_exit(what_is_wrong(folder_) == 0 ? 0 : 1), ::testing::ExitedWithCode(0), "");
}

// A server may listen and answer, and cannot reach out by any way.
int what_is_wrong_listening() {
  const auto state = enter_sandbox({{}, true});
  int wrong = state && *state != SandboxState::kNone ? 0 : 1;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (fd < 0 || bind(fd, generic, size) != 0 || listen(fd, 1) != 0) wrong |= 2;
  if (getsockname(fd, generic, &size) != 0) wrong |= 4;
  const int out = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(out, generic, size) != -1 || errno != EPERM) wrong |= 8;
  if (sendto(out, "x", 1, MSG_FASTOPEN, generic, size) != -1 || errno != EPERM) wrong |= 16;
  if (socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) != -1 || errno != EPERM) wrong |= 32;
  iovec data = {&address, 1};
  msghdr message = {};
  message.msg_name = &address;
  message.msg_namelen = size;
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (sendmsg(out, &message, MSG_FASTOPEN) != -1 || errno != EPERM) wrong |= 64;
  if (!has_threads_only()) wrong |= 128;
  return wrong;
}

TEST_F(Sandbox, AServerListensAndDoesNotReachOut) {
  EXPECT_EXIT(_exit(what_is_wrong_listening()), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace hearth

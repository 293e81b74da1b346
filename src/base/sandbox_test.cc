// Each check runs in a child process, which is locked in for good.
#include "base/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string>

namespace hearth {
namespace {

class Sandbox : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hearth_sandbox_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    mkdir((folder_ + "/in").c_str(), 0700);
    std::ofstream(folder_ + "/in/model") << "weights";
    std::ofstream(folder_ + "/secret") << "key";
  }
  void TearDown() override {
    std::remove((folder_ + "/in/model").c_str());
    std::remove((folder_ + "/in/new").c_str());
    rmdir((folder_ + "/in").c_str());
    std::remove((folder_ + "/secret").c_str());
    rmdir(folder_.c_str());
  }
  std::string folder_;
};

// 0: opened; else errno.
int try_open(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags, 0600);
  if (fd < 0) return errno;
  close(fd);
  return 0;
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
  char program[] = "/bin/true";
  char* const arguments[] = {program, nullptr};
  execv(program, arguments);
  if (errno != EPERM) wrong |= 64;
  return wrong;
}

TEST_F(Sandbox, LocksInAndLetsRead) {
  EXPECT_EXIT(_exit(what_is_wrong(folder_)), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace hearth

#include "security/site_secret.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "security/api_key.h"

namespace hearth::security {
namespace {

constexpr std::size_t kFileBytesMax = 1024;
constexpr ::mode_t kOthers = S_IROTH | S_IWOTH | S_IXOTH | S_IWGRP;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

tl::unexpected<Error> missing(const std::string& what, const char* why) {
  return fail(ErrorKind::kNotFound, "no_site_secret",
              "{}: {}; `hearth keys create` makes one at its first use", what, why);
}

Result<std::string> read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return missing(path, std::strerror(errno));
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return invalid("invalid_site_secret", "{} is no file", path);
  if ((info.st_mode & kOthers) != 0)
    return invalid("invalid_site_secret", "{} is open to others: chmod o-rwx,g-w", path);
  std::string text(kFileBytesMax, '\0');
  const ::ssize_t n = ::read(file.get(), text.data(), text.size());
  if (n < 0) return missing(path, std::strerror(errno));
  text.resize(static_cast<std::size_t>(n));
  return text;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

Result<std::vector<std::byte>> read_site_secret(const std::string& source) {
  std::string text;
  if (source.starts_with("file:")) {
    HEARTH_TRY(text, read_file(source.substr(5)));
  } else if (source.starts_with("env:")) {
    const char* const value = std::getenv(source.substr(4).c_str());
    if (value == nullptr) return missing(source, "the environment has no such variable");
    text = value;
  } else {
    return invalid("invalid_site_secret", "'{}': it is \"file:PATH\" or \"env:NAME\"", source);
  }
  const auto secret = parse_digest(trimmed(text));
  if (!secret)
    return invalid("invalid_site_secret", "{} holds no 64 hex digits: openssl rand -hex 32",
                   source);
  return std::vector<std::byte>(secret->begin(), secret->end());
}

Status make_site_secret(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.get() < 0 && errno == EEXIST) return {};
  const auto failed = [&] {
    return fail(ErrorKind::kIo, "disk_write_failed", "{}: {}", path, std::strerror(errno));
  };
  if (file.get() < 0) return failed();
  std::array<std::byte, 32> secret;
  crypto::fill_random(secret);
  const std::string text = crypto::hex(secret) + "\n";
  if (::write(file.get(), text.data(), text.size()) != static_cast<::ssize_t>(text.size()) ||
      ::fsync(file.get()) != 0) {
    const auto error = failed();
    ::unlink(path.c_str());
    return error;
  }
  return {};
}

}  // namespace hearth::security

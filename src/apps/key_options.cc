#include "apps/key_options.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "base/private_memory.h"
#include "crypto/key_text.h"

namespace hearth::apps {
namespace {

using crypto::Secret;

constexpr std::string_view kFile = "file:";
constexpr std::string_view kEnvironment = "env:";
constexpr std::string_view kPassphrase = "passphrase";
constexpr std::size_t kPassphraseBytesMax = 1024;
constexpr std::size_t kPemBytesMax = 4096;

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

std::span<const std::byte> used(const Secret& buffer, std::size_t bytes) {
  return buffer.bytes().first(bytes);
}

// At most `bytes_max` bytes of a file that only its owner, and its group for reading, may touch.
Result<Secret> read_private_file(const std::string& path, std::size_t bytes_max) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0)
    return fail(ErrorKind::kNotFound, "key_not_found", "{}: {}", path, std::strerror(errno));
  struct stat st = {};
  if (::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode))
    return invalid("invalid_key", "{}: not a file", path);
  if ((st.st_mode & (S_IRWXO | S_IWGRP)) != 0)
    return invalid("key_readable_by_others",
                   "{}: others may read or write it (mode {:03o}); chmod 600", path,
                   st.st_mode & 0777);
  Secret buffer(bytes_max + 1);
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t n = ::read(fd.get(), buffer.bytes().data() + done, buffer.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(ErrorKind::kIo, "key_not_found", "{}: {}", path, std::strerror(errno));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  if (done > bytes_max) return invalid("invalid_key", "{}: too long for a key", path);
  return Secret(used(buffer, done));
}

Result<Secret> key_of_file(const std::string& path) {
  HEARTH_TRY(const Secret content, read_private_file(path, crypto::kKeyTextBytesMax));
  auto key = crypto::decode_key(content.bytes(), /*raw=*/true);
  if (!key)
    return invalid("invalid_key", "{}: not 32 bytes, as they are, in hex or in base64", path);
  return *std::move(key);
}

Result<Secret> key_of_environment(const std::string& name) {
  char* const value = std::getenv(name.c_str());
  if (value == nullptr)
    return fail(ErrorKind::kNotFound, "key_not_found",
                "the environment has no {}, or it was read before", name);
  const std::span<char> text(value, std::strlen(value));
  auto key = crypto::decode_key(std::as_bytes(text), /*raw=*/false);
  // Neither this process nor /proc/self/environ has it any longer.
  crypto::wipe(std::as_writable_bytes(text));
  ::unsetenv(name.c_str());
  if (!key) return invalid("invalid_key", "{}: not 32 bytes in hex or in base64", name);
  return *std::move(key);
}

// While it lives, the terminal does not show what is typed.
class EchoOff {
 public:
  EchoOff() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    silent.c_lflag |= ECHONL;
    changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
  }
  ~EchoOff() {
    if (changed_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;

 private:
  termios before_ = {};
  bool changed_ = false;
};

// A line of standard input, byte by byte: what follows belongs to others, and no buffer of the
// library keeps a copy.
Result<Secret> read_passphrase(const char* prompt) {
  std::optional<EchoOff> silent;
  if (::isatty(STDIN_FILENO) != 0) {
    std::fputs(prompt, stderr);
    silent.emplace();
  }
  Secret buffer(kPassphraseBytesMax);
  std::size_t done = 0;
  for (;;) {
    std::byte next{};
    const ssize_t n = ::read(STDIN_FILENO, &next, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || next == std::byte{'\n'}) break;
    if (done == buffer.size())
      return invalid("invalid_key", "a passphrase has at most {} bytes", kPassphraseBytesMax);
    buffer.bytes()[done++] = next;
  }
  if (done == 0) return invalid("invalid_key", "no passphrase was given");
  return Secret(used(buffer, done));
}

// Keys that can be had only once, by their source.
class KeyRing {
 public:
  static KeyRing& of_process() {
    static KeyRing ring;
    return ring;
  }

  Result<sealed::KeyRef> find(const std::string& source) {
    keep_memory_private();
    HEARTH_TRY_VOID(check_key_source(source));
    if (source.starts_with(kFile)) {
      HEARTH_TRY(Secret key, key_of_file(source.substr(kFile.size())));
      return sealed::make_key(std::move(key));
    }
    const std::lock_guard lock(mutex_);
    if (const auto known = keys_.find(source); known != keys_.end()) return known->second;
    sealed::KeyRef key;
    if (source == kPassphrase) {
      if (closed_)
        return fail(ErrorKind::kNotFound, "key_not_found",
                    "passphrases are asked for at the start only");
      HEARTH_TRY(Secret passphrase, read_passphrase("Passphrase of the sealed model: "));
      key = sealed::make_passphrase_key(std::move(passphrase));
    } else {
      HEARTH_TRY(Secret secret, key_of_environment(source.substr(kEnvironment.size())));
      key = sealed::make_key(std::move(secret));
    }
    keys_[source] = key;
    return key;
  }

  // From now on nobody is asked.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, sealed::KeyRef> keys_;
  bool closed_ = false;
};

std::string key_file(const KeyOptions& options) {
  return options.key.starts_with(kFile) ? options.key.substr(kFile.size()) : std::string();
}

Result<crypto::Ed25519Public> read_signer(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  std::string text(kPemBytesMax, '\0');
  const ssize_t n = fd.get() < 0 ? -1 : ::read(fd.get(), text.data(), text.size());
  if (n < 0)
    return fail(ErrorKind::kNotFound, "key_not_found", "{}: {}", path, std::strerror(errno));
  text.resize(static_cast<std::size_t>(n));
  auto key = crypto::ed25519_public_from_pem(text);
  if (!key) return prefixed(path, std::move(key).error());
  return key;
}

}  // namespace

Status check_key_source(const std::string& source) {
  const bool good = source.empty() || source == kPassphrase ||
                    (source.starts_with(kFile) && source.size() > kFile.size()) ||
                    (source.starts_with(kEnvironment) && source.size() > kEnvironment.size());
  if (good) return {};
  // What stands there may be a key that somebody has put in the place of its name.
  return invalid("invalid_key_source", "a key is given as file:PATH, env:NAME or passphrase");
}

void check_key_source(CLI::Option* option) {
  option->check([](const std::string& text) {
    const Status status = check_key_source(text);
    return status ? std::string() : status.error().message;
  });
}

void add_key_options(CLI::App& command, KeyOptions& options) {
  check_key_source(command.add_option("--key", options.key, kKeyHelp));
  command.add_option("--signer", options.signer,
                     "A file with the Ed25519 public key (PEM) that must have signed the model");
}

Status prepare_keys(std::span<const KeyOptions> options) {
  for (const KeyOptions& each : options) HEARTH_TRY_VOID(find_keys(each));
  KeyRing::of_process().close();
  return {};
}

std::vector<std::string> key_files(std::span<const KeyOptions> options) {
  std::vector<std::string> out;
  for (const KeyOptions& each : options)
    for (const std::string& path : {key_file(each), each.signer})
      if (!path.empty()) out.push_back(path);
  return out;
}

Result<sealed::Unsealing> find_keys(const KeyOptions& options) {
  sealed::Unsealing out;
  out.plain_too = options.plain_too;
  if (!options.key.empty()) {
    HEARTH_TRY(out.key, KeyRing::of_process().find(options.key));
  }
  if (!options.signer.empty()) {
    HEARTH_TRY(out.signer, read_signer(options.signer));
  }
  return out;
}

Result<sealed::KeyRef> read_new_key(const std::string& source) {
  if (source != kPassphrase) return KeyRing::of_process().find(source);
  keep_memory_private();
  HEARTH_TRY(Secret passphrase, read_passphrase("New passphrase: "));
  if (::isatty(STDIN_FILENO) != 0) {
    HEARTH_TRY(const Secret again, read_passphrase("The same again: "));
    if (!crypto::equal(passphrase.bytes(), again.bytes()))
      return invalid("invalid_key", "the two passphrases differ");
  }
  return sealed::make_passphrase_key(std::move(passphrase));
}

Result<crypto::Ed25519Key> read_signing_key(const std::string& path) {
  keep_memory_private();
  HEARTH_TRY(const Secret pem, read_private_file(path, kPemBytesMax));
  const void* const text = pem.bytes().data();
  auto key = crypto::Ed25519Key::from_pem({static_cast<const char*>(text), pem.size()});
  if (!key) return prefixed(path, std::move(key).error());
  return key;
}

}  // namespace hearth::apps

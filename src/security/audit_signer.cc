#include "security/audit_signer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/fs.h"
#include "crypto/base64.h"
#include "crypto/hmac.h"
#include "crypto/key_text.h"
#include "crypto/secret.h"

namespace hearth::security {
namespace {

constexpr std::size_t kFileBytesMax = 4096;
constexpr std::size_t kSeedBytes = 32;
constexpr ::mode_t kOthers = S_IRWXO | S_IRWXG;

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

tl::unexpected<Error> failed(const std::string& path) {
  const bool missing = errno == ENOENT;
  return fail(missing ? ErrorKind::kNotFound : ErrorKind::kIo, "invalid_audit_key", "{}: {}", path,
              std::strerror(errno));
}

Status make_key(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.get() < 0) return failed(path);
  crypto::Secret seed(kSeedBytes);
  crypto::fill_random(seed.bytes());
  std::string text = crypto::hex(seed.bytes()) + "\n";
  const bool written =
      ::write(file.get(), text.data(), text.size()) == static_cast<::ssize_t>(text.size()) &&
      ::fsync(file.get()) == 0;
  crypto::wipe(std::as_writable_bytes(std::span(text)));
  if (written) return {};
  auto error = failed(path);
  ::unlink(path.c_str());
  return error;
}

}  // namespace

Result<crypto::Ed25519Key> read_audit_signer(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return failed(path);
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0) return failed(path);
  if (!S_ISREG(info.st_mode)) return invalid("invalid_audit_key", "{} is no file", path);
  if ((info.st_mode & kOthers) != 0)
    return invalid("invalid_audit_key", "{} is open to others: chmod go-rwx", path);
  crypto::Secret text(kFileBytesMax);
  const ::ssize_t n = ::read(file.get(), text.bytes().data(), text.size());
  if (n < 0) return failed(path);
  const auto bytes = text.bytes().first(static_cast<std::size_t>(n));
  if (const auto seed = crypto::decode_key(bytes, /*raw=*/false))
    return crypto::Ed25519Key::from_seed(*seed);
  const auto* const chars = static_cast<const char*>(static_cast<const void*>(bytes.data()));
  auto key = crypto::Ed25519Key::from_pem(std::string_view(chars, bytes.size()));
  if (!key)
    return invalid("invalid_audit_key", "{} holds neither 64 hex digits nor an Ed25519 key in PEM",
                   path);
  return key;
}

Result<crypto::Ed25519Key> own_audit_signer(const std::string& folder) {
  FileSystem& fs = FileSystem::real();
  const std::string path = folder + "/signer.key";
  HEARTH_TRY_VOID(fs.make_folders(folder, 0700));
  if (const auto there = fs.info(path); !there) HEARTH_TRY_VOID(make_key(path));
  HEARTH_TRY(auto key, read_audit_signer(path));
  // Written each time: a crash between the two files leaves the first alone.
  HEARTH_TRY_VOID(
      write_file_atomically(fs, folder + "/signer.pub", audit_signer_pem(key.public_key())));
  return key;
}

std::string audit_signer_pem(const crypto::Ed25519Public& key) {
  // SubjectPublicKeyInfo of RFC 8410: all but the key is the same for every one.
  constexpr std::array<unsigned char, 12> kHead = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                   0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
  std::vector<std::byte> der;
  for (const unsigned char byte : kHead) der.push_back(static_cast<std::byte>(byte));
  der.insert(der.end(), key.begin(), key.end());
  return "-----BEGIN PUBLIC KEY-----\n" + crypto::base64(der) + "\n-----END PUBLIC KEY-----\n";
}

}  // namespace hearth::security

#include "net/self_signed.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "net/openssl.h"

namespace hearth::net {
namespace {

constexpr std::size_t kNameBytesMax = 253;  // of a DNS name, RFC 1035
constexpr std::size_t kSerialBytes = 16;    // RFC 5280 takes up to 20

constexpr unsigned char kSubject[] = {'h', 'e', 'a', 'r', 't', 'h'};

bool is_address(const std::string& host) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

bool is_name(const std::string& host) {
  const auto right = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  };
  return !host.empty() && host.size() <= kNameBytesMax && host.front() != '.' &&
         std::all_of(host.begin(), host.end(), right);
}

// What is in them was checked: the text cannot say anything else than names.
Result<std::string> alternative_names(const std::vector<std::string>& hosts) {
  std::string text;
  for (const std::string& host : hosts) {
    const bool address = is_address(host);
    if (!address && !is_name(host))
      return invalid("invalid_host", "'{}' is neither a DNS name nor an address", host);
    if (!text.empty()) text += ",";
    text += (address ? "IP:" : "DNS:") + host;
  }
  if (text.empty()) return invalid("invalid_host", "a certificate needs at least one host");
  return text;
}

bool add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context = {};
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  const bool added = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool set_time(ASN1_TIME* field, std::chrono::system_clock::time_point when) {
  return ASN1_TIME_set(field, std::chrono::system_clock::to_time_t(when)) != nullptr;
}

bool set_serial(X509* certificate) {
  unsigned char bytes[kSerialBytes];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] &= 0x7f;  // positive
  BIGNUM* number = BN_bin2bn(bytes, sizeof bytes, nullptr);
  const bool set = number != nullptr &&
                   BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return set;
}

Status write_new(const std::string& path, const std::string& content, mode_t mode) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd < 0 && errno == EEXIST)
    return invalid("file_exists", "{} is there already; nothing is written over", path);
  if (fd < 0) return fail(ErrorKind::kIo, "disk_error", "{}: {}", path, std::strerror(errno));
  std::size_t written = 0;
  while (written < content.size()) {
    const ssize_t count = ::write(fd, content.data() + written, content.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    written += static_cast<std::size_t>(count);
  }
  const int error = errno;
  const bool synced = ::fsync(fd) == 0;
  if (::close(fd) == 0 && synced && written == content.size()) return {};
  ::unlink(path.c_str());
  return fail(ErrorKind::kIo, "disk_error", "{}: {}", path, std::strerror(error));
}

}  // namespace

Result<SelfSigned> make_self_signed(const std::vector<std::string>& hosts, std::int64_t days,
                                    std::chrono::system_clock::time_point now) {
  HEARTH_TRY(const std::string names, alternative_names(hosts));
  const KeyPtr key(EVP_EC_gen("P-256"));
  const X509Ptr certificate(X509_new());
  HEARTH_CHECK(key != nullptr && certificate != nullptr);
  X509* made = certificate.get();
  X509_NAME* subject = X509_NAME_new();
  // Clients look at the alternative names alone.
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, kSubject, sizeof kSubject, -1, 0);
  const bool done =
      X509_set_version(made, X509_VERSION_3) == 1 && set_serial(made) &&
      X509_set_subject_name(made, subject) == 1 && X509_set_issuer_name(made, subject) == 1 &&
      set_time(X509_getm_notBefore(made), now - std::chrono::hours(1)) &&
      set_time(X509_getm_notAfter(made), now + std::chrono::hours(24) * days) &&
      X509_set_pubkey(made, key.get()) == 1 && add_extension(made, NID_subject_alt_name, names) &&
      // Whoever trusts it trusts this server, and no other certificate.
      add_extension(made, NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(made, NID_key_usage, "critical,digitalSignature") &&
      add_extension(made, NID_ext_key_usage, "serverAuth") &&
      // By them clients tell two of the same name apart, as while one takes the place of another.
      add_extension(made, NID_subject_key_identifier, "hash") &&
      add_extension(made, NID_authority_key_identifier, "keyid:always") &&
      X509_sign(made, key.get(), EVP_sha256()) > 0;
  X509_NAME_free(subject);
  if (!done) return fail(ErrorKind::kInternal, "certificate_failed", "{}", openssl_error());

  SelfSigned out;
  const BioPtr certificate_pem(BIO_new(BIO_s_mem()));
  const BioPtr key_pem(BIO_new(BIO_s_secmem()));  // wiped when freed
  HEARTH_CHECK(PEM_write_bio_X509(certificate_pem.get(), made) == 1 &&
               PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                        nullptr) == 1);
  out.certificate = text_of(certificate_pem.get());
  out.key = text_of(key_pem.get());
  out.fingerprint = fingerprint_of(made);
  return out;
}

Status write_self_signed(const SelfSigned& made, const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return fail(ErrorKind::kIo, "disk_error", "{}: {}", folder, std::strerror(errno));
  const std::string key = folder + "/key.pem";
  const std::string certificate = folder + "/cert.pem";
  HEARTH_TRY_VOID(write_new(key, made.key, 0600));
  if (Status written = write_new(certificate, made.certificate, 0644); !written) {
    ::unlink(key.c_str());  // the one just made, of no use without the other
    return written;
  }
  return {};
}

}  // namespace hearth::net

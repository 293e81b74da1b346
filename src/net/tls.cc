#include "net/tls.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "crypto/sha256.h"
#include "net/http.h"
#include "net/openssl.h"

namespace hearth::net {
namespace {

using WallTime = TlsContext::WallTime;

constexpr std::size_t kFileBytesMax = 1u << 20;
constexpr int kSecurityLevel = 2;      // OpenSSL's: at least 112 bits everywhere
constexpr int kSecurityBitsMin = 112;  // RSA and DH of 2048, curves of 224
constexpr int kChainMax = 8;           // certificates between a client and its root
constexpr const char* kSuites =
    "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
// The hybrid one is there from OpenSSL 3.5 on.
constexpr const char* kGroups[] = {"X25519MLKEM768:X25519:P-256:P-384", "X25519:P-256:P-384"};
constexpr unsigned char kHttp11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

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

// ": no start line", for the end of a message; empty without an error.
std::string because() {
  const std::string why = openssl_error();
  return why.empty() ? why : ": " + why;
}

tl::unexpected<Error> unreadable(const std::string& path, int error) {
  return fail(ErrorKind::kIo, "tls_file_unreadable", "{}: {}", path, std::strerror(error));
}

Result<std::string> read_file(const std::string& path, bool secret) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st = {};
  if (file.get() < 0 || ::fstat(file.get(), &st) != 0) return unreadable(path, errno);
  if (secret && (st.st_mode & (S_IROTH | S_IWOTH)) != 0)
    return invalid("tls_key_exposed", "{}: everybody on this machine may read it; chmod 600 {}",
                   path, path);
  std::string out;
  out.reserve(kFileBytesMax + 1);  // never moved, so that no copy of a key is left behind
  for (;;) {
    char chunk[4096];
    const ssize_t count = ::read(file.get(), chunk, sizeof chunk);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return unreadable(path, errno);
    if (count == 0) break;
    out.append(chunk, static_cast<std::size_t>(count));
    OPENSSL_cleanse(chunk, sizeof chunk);
    if (out.size() > kFileBytesMax)
      return fail(ErrorKind::kIo, "tls_file_unreadable", "{}: larger than 1 MiB", path);
  }
  return out;
}

// Without it OpenSSL would ask on the terminal.
int no_passphrase(char*, int, int, void*) { return 0; }

std::optional<WallTime> wall_time(const ASN1_TIME* time) {
  std::tm utc = {};
  if (time == nullptr || ASN1_TIME_to_tm(time, &utc) != 1) return std::nullopt;
  return std::chrono::system_clock::from_time_t(::timegm(&utc));
}

std::string date(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc = {};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

// All certificates of a file; empty: there is none, or something between them is broken.
std::vector<X509Ptr> certificates_in(std::string_view pem) {
  const BioPtr bio = memory_bio(pem);
  std::vector<X509Ptr> out;
  ERR_clear_error();
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr))
    out.emplace_back(next);
  // The end of the file is an error as well, and the only one that is none.
  const unsigned long error = ERR_peek_last_error();
  if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE) return {};
  ERR_clear_error();
  return out;
}

std::vector<std::string> hosts_of(X509* certificate) {
  std::vector<std::string> out;
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      const std::string text(
          ASN1_STRING_get0_data(name->d.dNSName),
          ASN1_STRING_get0_data(name->d.dNSName) + ASN1_STRING_length(name->d.dNSName));
      if (text.find_first_of(std::string_view("*\0", 2)) == std::string::npos)
        out.push_back(to_lower(text));
    } else if (name->type == GEN_IPADD) {
      const int size = ASN1_STRING_length(name->d.iPAddress);
      const int family = size == 4 ? AF_INET : AF_INET6;
      char text[INET6_ADDRSTRLEN] = {};
      if ((size == 4 || size == 16) && ::inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress),
                                                   text, sizeof text) != nullptr)
        out.push_back(family == AF_INET ? std::string(text) : "[" + std::string(text) + "]");
    }
  }
  return out;
}

// Of "http/1.1" and nothing else: a protocol that was agreed on cannot be mistaken for another
// (ALPACA, USENIX Security 2021). Who does not name one is not asked.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* in, unsigned int in_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof kHttp11, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

bool set_common(SSL_CTX* context) {
  SSL_CTX_set_security_level(context, kSecurityLevel);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);  // a record in one call of the system instead of two
  if (SSL_CTX_set_ciphersuites(context, kSuites) != 1) return false;
  for (const char* groups : kGroups) {
    if (SSL_CTX_set1_groups_list(context, groups) == 1) return true;
    ERR_clear_error();
  }
  return false;
}

Status set_client_ca(SSL_CTX* context, std::string_view pem, bool required) {
  const BioPtr bio = memory_bio(pem);
  STACK_OF(X509_INFO)* infos = PEM_X509_INFO_read_bio(bio.get(), nullptr, no_passphrase, nullptr);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  int roots = 0;
  int lists = 0;
  bool right = infos != nullptr;
  for (int i = 0; infos != nullptr && i < sk_X509_INFO_num(infos); ++i) {
    const X509_INFO* info = sk_X509_INFO_value(infos, i);
    if (info->x509 != nullptr) {
      ++roots;
      right = right && X509_STORE_add_cert(store, info->x509) == 1 &&
              SSL_CTX_add_client_CA(context, info->x509) == 1;  // tells clients which one to send
    }
    if (info->crl != nullptr) {
      ++lists;
      right = right && X509_STORE_add_crl(store, info->crl) == 1;
    }
  }
  sk_X509_INFO_pop_free(infos, X509_INFO_free);
  if (!right || roots == 0) {
    return invalid("tls_client_ca_invalid", "no certificates of authorities{}", because());
  }
  if (lists > 0) X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
  SSL_CTX_set_verify_depth(context, kChainMax);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
  return {};
}

// What is wrong with it whatever key it comes with.
Status check_certificate(X509* certificate, WallTime now) {
  const auto from = wall_time(X509_get0_notBefore(certificate));
  const auto until = wall_time(X509_get0_notAfter(certificate));
  if (!from || !until) return invalid("tls_certificate_invalid", "its dates are not readable");
  if (now < *from)
    return invalid("tls_certificate_not_yet_valid", "not valid before {}", date(*from));
  if (now >= *until) return invalid("tls_certificate_expired", "expired on {}", date(*until));
  EVP_PKEY* key = X509_get0_pubkey(certificate);
  if (key == nullptr || EVP_PKEY_get_security_bits(key) < kSecurityBitsMin)
    return invalid("tls_certificate_weak",
                   "its key is too weak; RSA of 2048 bits or a curve like P-256 are taken");
  return {};
}

}  // namespace

std::string openssl_error() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(error);
  return reason != nullptr ? reason : "";
}

std::string fingerprint_of(X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HEARTH_CHECK(X509_digest(certificate, EVP_sha256(), digest, &size) == 1);
  std::string out;
  for (unsigned i = 0; i < size; ++i) out += fmt::format("{:02x}", digest[i]);
  return out;
}

TlsFiles::~TlsFiles() { OPENSSL_cleanse(key.data(), key.size()); }

Result<TlsFiles> TlsFiles::read(const TlsOptions& options) {
  TlsFiles files;
  HEARTH_TRY(files.certificate, read_file(options.certificate, false));
  HEARTH_TRY(files.key, read_file(options.key, true));
  if (!options.client_ca.empty()) {
    HEARTH_TRY(files.client_ca, read_file(options.client_ca, false));
  }
  return files;
}

std::string TlsFiles::digest() const {
  return crypto::sha256_hex(crypto::sha256_hex(certificate) + crypto::sha256_hex(key) +
                            crypto::sha256_hex(client_ca));
}

void TlsContext::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<const TlsContext>> TlsContext::create(const TlsOptions& options,
                                                             const TlsFiles& files, WallTime now) {
  std::shared_ptr<TlsContext> out(new TlsContext());
  out->context_.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* context = out->context_.get();
  HEARTH_CHECK(context != nullptr && set_common(context));
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_recv_max_early_data(context, 0);  // refused, where OpenSSL would skip it
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  // What is sent is what the file has; client_ca is not for that.
  SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);

  std::vector<X509Ptr> chain = certificates_in(files.certificate);
  if (chain.empty())
    return invalid("tls_certificate_invalid", "{}: no certificates in PEM{}", options.certificate,
                   because());
  out->expires_ = WallTime::max();
  for (const X509Ptr& certificate : chain) {
    if (const Status good = check_certificate(certificate.get(), now); !good)
      return prefixed(options.certificate, good.error());
    out->expires_ = std::min(out->expires_, *wall_time(X509_get0_notAfter(certificate.get())));
  }
  const BioPtr key_bio = memory_bio(files.key);
  const KeyPtr key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, no_passphrase, nullptr));
  if (!key)
    return invalid("tls_key_invalid", "{}: no private key in PEM without a passphrase{}",
                   options.key, because());
  if (X509_check_private_key(chain.front().get(), key.get()) != 1) {
    ERR_clear_error();
    return invalid("tls_key_mismatch", "{} is not the key of {}", options.key, options.certificate);
  }
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key.get()) != 1)
    return invalid("tls_certificate_invalid", "{}{}", options.certificate, because());
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1)
      return invalid("tls_certificate_invalid", "{}{}", options.certificate, because());
  }
  if (!options.client_ca.empty()) {
    if (const Status good = set_client_ca(context, files.client_ca, options.client_required); !good)
      return prefixed(options.client_ca, good.error());
    out->knows_clients_ = true;
  }
  out->hosts_ = hosts_of(chain.front().get());
  out->fingerprint_ = fingerprint_of(chain.front().get());
  return out;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::load(const TlsOptions& options,
                                                           WallTime now) {
  HEARTH_TRY(const TlsFiles files, TlsFiles::read(options));
  return create(options, files, now);
}

Result<std::shared_ptr<ssl_ctx_st>> make_client_tls(const std::string& ca_file, bool insecure) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
  HEARTH_CHECK(context != nullptr && set_common(context.get()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_alpn_protos(context.get(), kHttp11, sizeof kHttp11);  // 0: done; it cannot fail here
  SSL_CTX_set_verify(context.get(), insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  if (ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(context.get());
    ERR_clear_error();  // without the system's list no certificate is good, which will show
    return context;
  }
  HEARTH_TRY(const std::string pem, read_file(ca_file, false));
  const std::vector<X509Ptr> roots = certificates_in(pem);
  if (roots.empty())
    return invalid("tls_ca_invalid", "{}: no certificates in PEM{}", ca_file, because());
  for (const X509Ptr& root : roots)
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), root.get());
  return context;
}

std::string_view name_of(TlsFailure why) {
  constexpr std::array<std::string_view, kTlsFailures> kNames = {
      "version",           "parameters", "early_data", "plain_http", "client_certificate",
      "refused_by_client", "timeout",    "closed",     "malformed"};
  return kNames[static_cast<std::size_t>(why)];
}

}  // namespace hearth::net

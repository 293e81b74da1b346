#include "testing/tls_wire.h"

#include <csignal>

#include "base/result.h"
#include "net/openssl.h"

namespace hearth::testing {
namespace {

// A session under a key that the server has never seen, which allows early data.
int made_up_session(SSL* ssl, const EVP_MD*, const unsigned char** id, std::size_t* id_size,
                    SSL_SESSION** session) {
  static constexpr unsigned char kId[] = {'m', 'a', 'd', 'e', '-', 'u', 'p'};
  static constexpr unsigned char kSecret[48] = {};
  static constexpr unsigned char kSuite[] = {0x13, 0x02};  // TLS_AES_256_GCM_SHA384
  *session = SSL_SESSION_new();
  SSL_SESSION_set1_master_key(*session, kSecret, sizeof kSecret);
  SSL_SESSION_set_cipher(*session, SSL_CIPHER_find(ssl, kSuite));
  SSL_SESSION_set_protocol_version(*session, TLS1_3_VERSION);
  SSL_SESSION_set_max_early_data(*session, 1 << 14);
  *id = kId;
  *id_size = sizeof kId;
  return 1;
}

int ticket_came(SSL* ssl, SSL_SESSION*) {
  static_cast<TlsWire*>(SSL_get_app_data(ssl))->count_ticket();
  return 0;
}

}  // namespace

TlsWire::TlsWire(TlsWireOptions options) : options_(std::move(options)) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's own socket BIO writes without MSG_NOSIGNAL
  context_ = SSL_CTX_new(TLS_client_method());
  HEARTH_CHECK(context_ != nullptr);
  SSL_CTX_set_security_level(context_, 0);  // old and weak offers are the point
  SSL_CTX_set_min_proto_version(context_, options_.version_min);
  SSL_CTX_set_max_proto_version(context_, options_.version_max);
  HEARTH_CHECK(SSL_CTX_set_cipher_list(context_, "ALL:COMPLEMENTOFALL") == 1);
  if (!options_.suites.empty())
    HEARTH_CHECK(SSL_CTX_set_ciphersuites(context_, options_.suites.c_str()) == 1);
  if (!options_.groups.empty())
    HEARTH_CHECK(SSL_CTX_set1_groups_list(context_, options_.groups.c_str()) == 1);
  if (options_.fallback) SSL_CTX_set_mode(context_, SSL_MODE_SEND_FALLBACK_SCSV);
  if (!options_.early_data.empty()) SSL_CTX_set_psk_use_session_callback(context_, made_up_session);
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT);
  SSL_CTX_sess_set_new_cb(context_, ticket_came);
  if (!options_.ca.empty()) {
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
    const net::BioPtr bio = net::memory_bio(options_.ca);
    const net::X509Ptr root(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_), root.get());
  }
  if (!options_.client.pem.empty()) {
    const net::BioPtr bio = net::memory_bio(options_.client.pem);
    const net::X509Ptr own(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    const net::BioPtr key_bio = net::memory_bio(options_.client.key);
    const net::KeyPtr key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
    HEARTH_CHECK(SSL_CTX_use_certificate(context_, own.get()) == 1 &&
                 SSL_CTX_use_PrivateKey(context_, key.get()) == 1);
  }
  if (!options_.protocols.empty()) {
    std::string list;
    for (const std::string& name : options_.protocols)
      list += static_cast<char>(name.size()) + name;
    const std::vector<unsigned char> bytes(list.begin(), list.end());
    HEARTH_CHECK(
        SSL_CTX_set_alpn_protos(context_, bytes.data(), static_cast<unsigned>(bytes.size())) == 0);
  }
}

TlsWire::~TlsWire() {
  SSL_free(ssl_);
  SSL_CTX_free(context_);
}

void TlsWire::note_problem() {
  if (!problem_.empty()) return;
  const char* reason = ERR_reason_error_string(ERR_get_error());
  problem_ = reason != nullptr ? reason : "closed";
  ERR_clear_error();
}

bool TlsWire::open(int fd) {
  ssl_ = SSL_new(context_);
  SSL_set_app_data(ssl_, this);
  SSL_set_fd(ssl_, fd);
  SSL_set_tlsext_host_name(ssl_, "localhost");
  SSL_set1_host(ssl_, "localhost");
  ERR_clear_error();
  if (!options_.early_data.empty()) {
    std::size_t written = 0;
    if (SSL_write_early_data(ssl_, options_.early_data.data(), options_.early_data.size(),
                             &written) != 1) {
      note_problem();
      return false;
    }
  }
  if (SSL_connect(ssl_) == 1) return true;
  note_problem();
  return false;
}

bool TlsWire::send(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  ERR_clear_error();
  std::size_t written = 0;
  if (SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written) == 1) return true;
  note_problem();
  return false;
}

std::size_t TlsWire::receive(char* out, std::size_t bytes_max) {
  const std::lock_guard lock(mutex_);
  ERR_clear_error();
  std::size_t bytes = 0;
  if (SSL_read_ex(ssl_, out, bytes_max, &bytes) == 1) return bytes;
  if (!said_goodbye()) note_problem();
  return 0;
}

bool TlsWire::has_more() const {
  const std::lock_guard lock(mutex_);
  return SSL_pending(ssl_) > 0;
}

void TlsWire::say_goodbye() {
  ERR_clear_error();
  if (SSL_is_init_finished(ssl_) == 1) SSL_shutdown(ssl_);
}

std::string TlsWire::version() const { return SSL_get_version(ssl_); }
std::string TlsWire::suite() const { return SSL_get_cipher_name(ssl_); }

std::string TlsWire::protocol() const {
  const unsigned char* data = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &data, &size);
  return {data, data + size};
}

std::string TlsWire::peer_names() const {
  X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr) return {};
  const int at = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
  const net::BioPtr out(BIO_new(BIO_s_mem()));
  X509V3_EXT_print(out.get(), X509_get_ext(certificate, at), 0, 0);
  return net::text_of(out.get());
}

bool TlsWire::said_goodbye() const { return (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0; }
bool TlsWire::was_resumed() const { return SSL_session_reused(ssl_) == 1; }

}  // namespace hearth::testing

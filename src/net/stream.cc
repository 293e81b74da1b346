#include "net/stream.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <utility>

#include "net/http.h"
#include "net/openssl.h"

namespace hearth::net {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kTurnBytes = 256u << 10;  // written before others on the loop have their turn

error_code errno_code(int error) { return {error, boost::system::system_category()}; }

// ---- OpenSSL's view of the socket. Its own BIO for sockets writes without MSG_NOSIGNAL, and would
// go on using the number of a descriptor that has been closed and belongs to somebody else.

tcp::socket& socket_of(BIO* bio) { return *static_cast<tcp::socket*>(BIO_get_data(bio)); }

int socket_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  tcp::socket& socket = socket_of(bio);
  if (!socket.is_open()) return -1;
  ssize_t count = 0;
  do {
    count = ::send(socket.native_handle(), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_write(bio);
  return static_cast<int>(count);
}

int socket_read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  tcp::socket& socket = socket_of(bio);
  if (!socket.is_open()) return -1;
  ssize_t count = 0;
  do {
    count = ::recv(socket.native_handle(), data, static_cast<std::size_t>(size), 0);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_read(bio);
  if (count == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(count);
}

long socket_control(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    default:
      return 0;
  }
}

int socket_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

BIO_METHOD* socket_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hearth socket");
    HEARTH_CHECK(made != nullptr);
    BIO_meth_set_write(made, socket_write);
    BIO_meth_set_read(made, socket_read);
    BIO_meth_set_ctrl(made, socket_control);
    BIO_meth_set_create(made, socket_create);
    return made;
  }();
  return method;
}

// ---- why a handshake failed

TlsFailure failure_of(unsigned long error) {
  if (ERR_GET_LIB(error) == ERR_LIB_X509) return TlsFailure::kClientCertificate;
  if (ERR_GET_LIB(error) != ERR_LIB_SSL) return TlsFailure::kMalformed;
  const int reason = ERR_GET_REASON(error);
  if (reason >= SSL_AD_REASON_OFFSET) return TlsFailure::kRefusedByClient;  // an alert of theirs
  switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_INAPPROPRIATE_FALLBACK:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_BAD_LEGACY_VERSION:
      return TlsFailure::kVersion;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_CIPHERS_SPECIFIED:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_MISSING_SUPPORTED_GROUPS_EXTENSION:
    case SSL_R_MISSING_SIGALGS_EXTENSION:
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return TlsFailure::kParameters;
    case SSL_R_TOO_MUCH_EARLY_DATA:
      return TlsFailure::kEarlyData;
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
      return TlsFailure::kPlainHttp;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_EE_KEY_TOO_SMALL:
    case SSL_R_CA_KEY_TOO_SMALL:
    case SSL_R_CA_MD_TOO_WEAK:
      return TlsFailure::kClientCertificate;
    default:
      return TlsFailure::kMalformed;
  }
}

}  // namespace

Stream::Stream(tcp::socket socket) : socket_(std::move(socket)) {}
Stream::~Stream() = default;

tcp::socket::wait_type Stream::kind_of(Wait wait) {
  return wait == Wait::kRead ? tcp::socket::wait_read : tcp::socket::wait_write;
}

void Stream::FreeSsl::operator()(ssl_st* ssl) const { SSL_free(ssl); }

void Stream::close() {
  error_code ignored;  // it may be closed already
  socket_.close(ignored);
}

void Stream::begin_tls(ssl_ctx_st* context) {
  ssl_.reset(SSL_new(context));
  BIO* bio = BIO_new(socket_method());
  HEARTH_CHECK(ssl_ != nullptr && bio != nullptr);
  BIO_set_data(bio, &socket_);
  SSL_set_bio(ssl_.get(), bio, bio);
}

void Stream::begin_server_tls(ssl_ctx_st* context) {
  begin_tls(context);
  SSL_set_accept_state(ssl_.get());
}

void Stream::begin_client_tls(ssl_ctx_st* context, const std::string& host) {
  begin_tls(context);
  SSL_set_connect_state(ssl_.get());
  X509_VERIFY_PARAM* check = SSL_get0_param(ssl_.get());
  // A name goes along (SNI), an address must not (RFC 6066 section 3).
  if (X509_VERIFY_PARAM_set1_ip_asc(check, host.c_str()) == 1) return;
  ERR_clear_error();
  SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  SSL_set1_host(ssl_.get(), host.c_str());
  SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
}

void Stream::abandon_tls() {
  ssl_.reset();
  open_ = false;
}

Stream::Step Stream::step_of(int result) {
  const int saved = errno;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_NONE:
      return {};
    case SSL_ERROR_WANT_READ:
      return {Wait::kRead, {}};
    case SSL_ERROR_WANT_WRITE:
      return {Wait::kWrite, {}};
    case SSL_ERROR_ZERO_RETURN:
      return {Wait::kNothing, asio::error::eof};
    case SSL_ERROR_SYSCALL:
      open_ = false;
      return {Wait::kNothing, saved != 0 ? errno_code(saved) : asio::error::connection_reset};
    default:
      open_ = false;
      if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return {Wait::kNothing, asio::error::connection_reset};
      return {Wait::kNothing, errno_code(EPROTO)};
  }
}

Stream::Step Stream::try_read(asio::mutable_buffer buffer) {
  ERR_clear_error();
  errno = 0;
  std::size_t bytes = 0;
  Step step = step_of(SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &bytes));
  step.bytes = bytes;
  return step;
}

Stream::Step Stream::try_write(asio::const_buffer buffer) {
  ERR_clear_error();
  errno = 0;
  std::size_t bytes = 0;
  Step step = step_of(SSL_write_ex(ssl_.get(), buffer.data(), buffer.size(), &bytes));
  step.bytes = bytes;
  return step;
}

awaitable<error_code> Stream::ready(Wait wait) {
  unwaited_ = 0;
  const auto [ec] = co_await socket_.async_wait(kind_of(wait), kTuple);
  co_return ec;
}

void Stream::note_failure(const error_code& ec) {
  // The last one is TLS's own; what led to it may stand before it.
  const unsigned long error = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(error);
  ERR_clear_error();
  failure_ =
      ec == asio::error::connection_reset || error == 0 ? TlsFailure::kClosed : failure_of(error);
  failure_text_ = reason != nullptr ? reason : "";
  const long verified = SSL_get_verify_result(ssl_.get());
  if (verified != X509_V_OK) failure_text_ = X509_verify_cert_error_string(verified);
  if (failure_text_.empty()) failure_text_ = ec.message();
}

awaitable<error_code> Stream::handshake() {
  for (;;) {
    ERR_clear_error();
    errno = 0;
    const Step step = step_of(SSL_do_handshake(ssl_.get()));
    if (step.wait == Wait::kNothing) {
      open_ = !step.ec;
      if (step.ec) note_failure(step.ec);
      co_return step.ec;
    }
    if (const error_code ec = co_await ready(step.wait)) {
      failure_text_ = ec.message();
      co_return ec;
    }
  }
}

std::vector<std::string> Stream::peer_names() const {
  std::vector<std::string> out;
  X509* certificate = ssl_ != nullptr ? SSL_get0_peer_certificate(ssl_.get()) : nullptr;
  if (certificate == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return out;
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    const char* kind = nullptr;
    if (name->type == GEN_DNS) kind = "dns:";
    if (name->type == GEN_URI) kind = "uri:";
    if (name->type == GEN_EMAIL) kind = "email:";
    if (kind == nullptr) continue;
    // All three are IA5 strings. With a control character in it, a name is none: it could look like
    // another where it is printed or cut.
    const unsigned char* data = ASN1_STRING_get0_data(name->d.ia5);
    const std::string text(data, data + ASN1_STRING_length(name->d.ia5));
    bool plain = !text.empty();
    for (const char c : text) plain = plain && c > 0x20 && c < 0x7f;
    if (!plain) continue;
    out.push_back(kind + (name->type == GEN_DNS ? to_lower(text) : text));
  }
  return out;
}

void Stream::read_some(asio::mutable_buffer buffer, ReadDone done) {
  if (!ssl_) {
    socket_.async_read_some(buffer, std::move(done));
    return;
  }
  const Step step = try_read(buffer);
  if (step.wait != Wait::kNothing) {
    read_when_ready(step.wait, buffer, std::move(done));
    return;
  }
  asio::post(socket_.get_executor(), [step, done = std::move(done)] { done(step.ec, step.bytes); });
}

void Stream::read_when_ready(Wait wait, asio::mutable_buffer buffer, ReadDone done) {
  socket_.async_wait(kind_of(wait), [this, buffer, done = std::move(done)](error_code ec) mutable {
    unwaited_ = 0;
    const Step step = ec ? Step{Wait::kNothing, ec} : try_read(buffer);
    if (step.wait == Wait::kNothing) {
      done(step.ec, step.bytes);
    } else {
      read_when_ready(step.wait, buffer, std::move(done));
    }
  });
}

awaitable<Stream::Outcome> Stream::read_some(asio::mutable_buffer buffer) {
  if (!ssl_) {
    const auto [ec, bytes] = co_await socket_.async_read_some(buffer, kTuple);
    co_return Outcome(ec, bytes);
  }
  for (;;) {
    const Step step = try_read(buffer);
    if (step.wait == Wait::kNothing) co_return Outcome(step.ec, step.bytes);
    if (const error_code ec = co_await ready(step.wait)) co_return Outcome(ec, 0);
  }
}

awaitable<Stream::Outcome> Stream::write_some(asio::const_buffer buffer) {
  if (!ssl_) {
    const auto [ec, bytes] = co_await socket_.async_write_some(buffer, kTuple);
    co_return Outcome(ec, bytes);
  }
  if (unwaited_ >= kTurnBytes) {
    unwaited_ = 0;
    co_await asio::post(socket_.get_executor(), asio::use_awaitable);
  }
  for (;;) {
    const Step step = try_write(buffer);
    unwaited_ += step.bytes;
    if (step.wait == Wait::kNothing) co_return Outcome(step.ec, step.bytes);
    if (const error_code ec = co_await ready(step.wait)) co_return Outcome(ec, 0);
  }
}

awaitable<error_code> Stream::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto [ec, count] = co_await write_some(asio::buffer(bytes.data(), bytes.size()));
    if (ec) co_return ec;
    bytes.remove_prefix(count);
  }
  co_return error_code();
}

awaitable<error_code> Stream::finish() {
  while (open_) {
    ERR_clear_error();
    errno = 0;
    const int result = SSL_shutdown(ssl_.get());
    if (result >= 0) break;  // 0: sent, and theirs has not come yet
    const Step step = step_of(result);
    if (step.wait == Wait::kNothing) co_return step.ec;
    if (const error_code ec = co_await ready(step.wait)) co_return ec;
  }
  open_ = false;  // for writing
  error_code ec;
  socket_.shutdown(tcp::socket::shutdown_send, ec);
  co_return ec;
}

void Stream::say_goodbye() {
  if (!open_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  open_ = false;
}

}  // namespace hearth::net

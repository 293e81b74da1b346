// A connection's bytes, plain or through TLS, decided at run time, so that what reads and writes
// them is compiled once. On one thread; a read and a write may be under way together. OpenSSL works
// on the socket itself, when the loop says that it is ready: nothing is copied in between, and an
// idle connection holds no buffers. Internal to net/*.cc: Asio is visible here.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/tls.h"

struct ssl_st;  // OpenSSL's SSL

namespace hearth::net {

class Stream {
 public:
  using error_code = boost::system::error_code;
  using Outcome = std::pair<error_code, std::size_t>;
  using ReadDone = std::function<void(error_code, std::size_t)>;

  explicit Stream(boost::asio::ip::tcp::socket socket);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  boost::asio::ip::tcp::socket& socket() { return socket_; }
  void close();

  // Before the first byte. A client checks that the certificate is `host`'s, a name or an address.
  void begin_server_tls(ssl_ctx_st* context);
  void begin_client_tls(ssl_ctx_st* context, const std::string& host);
  bool is_tls() const { return ssl_ != nullptr; }
  // Where it fails the other side has been sent an alert. No deadline of its own: close() ends it.
  boost::asio::awaitable<error_code> handshake();
  TlsFailure failure() const { return failure_; }                    // after it failed
  const std::string& failure_text() const { return failure_text_; }  // in OpenSSL's words
  // After it failed: what remains is the bare connection.
  void abandon_tls();
  // Of the client's certificate, checked: "dns:NAME", "uri:URI", "email:ADDRESS", in its order.
  std::vector<std::string> peer_names() const;

  // The end of the other side is asio::error::eof; in TLS its close_notify is, and a connection
  // that ends without one is connection_reset: somebody else may have cut it. `done` is never
  // called from within; whoever is bound in it must own this object.
  void read_some(boost::asio::mutable_buffer buffer, ReadDone done);
  boost::asio::awaitable<Outcome> read_some(boost::asio::mutable_buffer buffer);
  boost::asio::awaitable<Outcome> write_some(boost::asio::const_buffer buffer);
  boost::asio::awaitable<error_code> write_all(std::string_view bytes);

  // Says that nothing more will come (close_notify, then FIN); reading goes on.
  boost::asio::awaitable<error_code> finish();
  // close_notify if it can be sent at once, for connections that close now.
  void say_goodbye();

 private:
  enum class Wait : std::uint8_t { kNothing, kRead, kWrite };
  struct Step {
    Wait wait = Wait::kNothing;
    error_code ec;
    std::size_t bytes = 0;
  };
  struct FreeSsl {
    void operator()(ssl_st* ssl) const;
  };

  static boost::asio::ip::tcp::socket::wait_type kind_of(Wait wait);
  Step step_of(int result);
  Step try_read(boost::asio::mutable_buffer buffer);
  Step try_write(boost::asio::const_buffer buffer);
  boost::asio::awaitable<error_code> ready(Wait wait);
  void read_when_ready(Wait wait, boost::asio::mutable_buffer buffer, ReadDone done);
  void begin_tls(ssl_ctx_st* context);
  void note_failure(const error_code& ec);

  boost::asio::ip::tcp::socket socket_;
  std::unique_ptr<ssl_st, FreeSsl> ssl_;
  TlsFailure failure_ = TlsFailure::kClosed;
  std::string failure_text_;
  std::size_t unwaited_ = 0;  // bytes written since the loop had its turn
  bool open_ = false;         // for writing: the handshake is done, and nothing broken or finished
};

}  // namespace hearth::net

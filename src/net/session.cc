#include "net/session.h"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>

#include "net/exchange.h"
#include "net/trace_context.h"

namespace hearth::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::awaitable;
using boost::system::error_code;
using SteadyClock = std::chrono::steady_clock;
using Time = SteadyClock::time_point;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadAheadMax = 64u << 10;  // of unparsed input, pipelined requests included
constexpr std::chrono::seconds kHalfClosedMax{30};  // to answer a client that closed its side

// The time that so many bytes take at the least rate that is accepted.
std::chrono::milliseconds earned(std::uint64_t bytes, std::size_t bytes_per_s_min) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(bytes * 1000 / bytes_per_s_min));
}

std::string request_id_from(const HttpRequest& request) {
  const std::string* given = request.header("x-request-id");
  const auto harmless = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  if (given != nullptr && !given->empty() && given->size() <= 128 &&
      std::all_of(given->begin(), given->end(), harmless)) {
    return *given;
  }
  return "req-" + random_hex(12);
}

Refusal refusal_of(const error_code& ec) {
  if (ec == http::error::header_limit) {
    return {431, "headers_too_large", "the request's head is too large"};
  }
  if (ec == http::error::body_limit) {
    return {413, "body_too_large", "the request's body is too large"};
  }
  if (ec == http::error::bad_version) {
    return {505, "unsupported_version", "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  }
  return {400, "malformed_request", "the request is not well-formed HTTP"};
}

// Everything runs on one thread, the loop's. Reading never stops while there is room, so that a
// disconnect is seen at once and pipelined bytes stay in `in_`; whatever happens rings `wake_`, the
// one timer on which the coroutine waits, which is also its deadline.
class Session final : public SessionHandle, public std::enable_shared_from_this<Session> {
 public:
  Session(asio::io_context& loop, int fd, bool ipv6, std::string peer, SessionId id,
          const SessionContext& context)
      : context_(context),
        limits_(*context_.limits),
        loop_(loop),
        peer_(std::move(peer)),
        id_(id),
        socket_(loop, ipv6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4(), fd),
        wake_(loop),
        write_timer_(loop) {}

  void start() {
    asio::co_spawn(loop_, run(shared_from_this()), [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    });
  }

  void drain() override {
    asio::post(loop_, [self = shared_from_this()] {
      self->draining_ = true;
      if (self->exchange_) self->exchange_->close_after();
      self->wake_.cancel();
    });
  }

  void close() override {
    asio::post(loop_, [self = shared_from_this()] {
      self->closing_ = true;
      self->drop();
    });
  }

  void close_if_idle() override {
    asio::post(loop_, [self = shared_from_this()] {
      if (self->idle_ && self->in_.empty()) self->drop();
    });
  }

 private:
  enum class Got : std::uint8_t { kRequest, kRefused, kNothing };

  // --- reading
  // -------------------------------------------------------------------------------------

  void pump() {
    if (reading_ || ended_ || in_.size() >= kReadAheadMax) return;
    reading_ = true;
    socket_.async_read_some(asio::buffer(chunk_),
                            [self = shared_from_this()](error_code ec, std::size_t bytes) {
                              self->on_read(ec, bytes);
                            });
  }

  void on_read(error_code ec, std::size_t bytes) {
    reading_ = false;
    if (ec) {
      ended_ = true;
      reset_ = ec != asio::error::eof;
      // At once, also while a write to the vanished client is still under way.
      if (exchange_ && (reset_ || exchange_->listened())) drop();
    } else {
      in_.append(chunk_.data(), bytes);
      pump();
    }
    wake_.cancel();
  }

  // Until something happened or the deadline has passed; the caller looks which.
  awaitable<void> wait(Time deadline) {
    wake_.expires_at(deadline);
    co_await wake_.async_wait(kTuple);
  }

  // The connection is of no more use: tells the request's owner and lets every operation fail.
  void drop() {
    dropped_ = true;
    if (exchange_) exchange_->client_gone();
    error_code ignored;  // closing what may be closed already
    socket_.close(ignored);
    wake_.cancel();
  }

  // A client that does not read: without a reset the kernel would go on handing it what it holds,
  // at the client's own speed.
  void cut_off() {
    error_code ignored;  // it may be closed already
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    drop();
  }

  awaitable<Got> read_request() {
    const Time idle_until = SteadyClock::now() + limits_.idle_timeout;
    idle_ = true;
    context_.host.session_idle(id_);
    for (;;) {
      // Clients may send an empty line between requests (RFC 9112 section 2.2).
      while (in_.starts_with("\r\n")) in_.erase(0, 2);
      if (!in_.empty() && in_ != "\r") break;
      // A connection that has not asked yet may have its question on the way.
      if (ended_ || dropped_ || (draining_ && asked_) || SteadyClock::now() >= idle_until) {
        co_return Got::kNothing;
      }
      pump();
      co_await wait(idle_until);
    }
    idle_ = false;
    asked_ = true;
    context_.host.session_busy(id_);

    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(limits_.header_bytes_max));
    parser_->body_limit(limits_.body_bytes_max);
    request_ = {};
    std::optional<Refusal> refusal = co_await read_head();
    if (!refusal && !dropped_ && parser_->is_header_done()) {
      refusal = check_head();
      if (!refusal) refusal = co_await read_body();
    }
    if (refusal) {
      co_await refuse(*refusal);
      co_return Got::kRefused;
    }
    if (dropped_ || !parser_->is_done()) co_return Got::kNothing;  // the client left in between
    request_.body = std::move(parser_->get().body());
    co_return Got::kRequest;
  }

  // Feeds the parser; takes from `in_` what it consumed, and says how much that was.
  std::size_t parse(error_code& ec) {
    const std::size_t used = parser_->put(asio::buffer(in_), ec);
    in_.erase(0, used);
    if (ec == http::error::need_more) ec = {};
    return used;
  }

  awaitable<std::optional<Refusal>> read_head() {
    const Time deadline = SteadyClock::now() + limits_.header_timeout;
    std::size_t bytes = 0;
    while (!dropped_) {
      error_code ec;
      if (!in_.empty()) bytes += parse(ec);
      if (ec) co_return refusal_of(ec);
      if (bytes > limits_.header_bytes_max) co_return refusal_of(http::error::header_limit);
      if (parser_->is_header_done() || ended_) break;
      if (SteadyClock::now() >= deadline) {
        co_return Refusal{408, "header_timeout", "the request's head took too long"};
      }
      pump();
      co_await wait(deadline);
    }
    co_return std::nullopt;
  }

  std::optional<Refusal> check_head() {
    const auto& message = parser_->get();
    request_.method = std::string(message.method_string());
    request_.peer = peer_;
    std::size_t count = 0;
    for (const auto& field : message) {
      if (++count > limits_.header_count_max) return refusal_of(http::error::header_limit);
      request_.headers.emplace_back(to_lower(std::string_view(field.name_string())),
                                    std::string(field.value()));
    }
    request_.request_id = request_id_from(request_);
    const std::string* parent = request_.header("traceparent");
    const auto trace = parent != nullptr ? parse_traceparent(*parent) : std::nullopt;
    if (trace) request_.trace_id = trace->trace_id;
    const int minor = static_cast<int>(message.version()) % 10;
    if (auto refusal = check_framing(request_.headers, minor)) return refusal;
    auto target = parse_target(std::string_view(message.target()));
    if (!target) return Refusal{400, target.error().code, target.error().message};
    if (auto refusal = check_host(request_.headers, target->authority, context_.hosts)) {
      return refusal;
    }
    request_.path = std::move(target->path);
    request_.query = std::move(target->query);
    framing_ = {};
    framing_.name = request_.name();
    if (trace) framing_.traceparent = trace->traceparent();
    framing_.head_only = request_.method == "HEAD";
    framing_.chunked = minor >= 1;
    framing_.close = minor == 0 || !parser_->keep_alive();
    framing_.unsent_bytes_max = limits_.stream_unsent_bytes_max;
    return std::nullopt;
  }

  awaitable<std::optional<Refusal>> read_body() {
    if (parser_->is_done()) co_return std::nullopt;
    parser_->eager(true);
    if (in_.empty() && request_.header("expect") != nullptr) {
      co_await write_all("HTTP/1.1 100 Continue\r\n\r\n");
    }
    const Time start = SteadyClock::now();
    std::uint64_t received = 0;
    while (!dropped_) {
      error_code ec;
      if (!in_.empty()) received += parse(ec);
      if (ec) co_return refusal_of(ec);
      if (parser_->is_done() || (ended_ && in_.empty())) break;
      if (in_.size() >= kReadAheadMax || ended_) {  // a chunk header or trailer without an end
        co_return refusal_of(http::error::bad_chunk);
      }
      const Time deadline =
          std::min(start + limits_.body_timeout,
                   start + limits_.body_grace + earned(received, limits_.body_bytes_per_s_min));
      if (SteadyClock::now() >= deadline) {
        co_return Refusal{408, "body_timeout", "the request's body came too slowly"};
      }
      pump();
      co_await wait(deadline);
    }
    co_return std::nullopt;
  }

  // --- answering
  // -----------------------------------------------------------------------------------

  // True: the connection can take another request.
  awaitable<bool> answer() {
    if (draining_ || context_.single_request) framing_.close = true;
    exchange_ = std::make_shared<Exchange>(framing_, [weak = weak_from_this()] {
      if (auto self = weak.lock()) {
        asio::post(self->loop_, [self] { self->on_output(); });
      }
    });
    context_.handler(std::move(request_), Responder(exchange_));
    pump();
    bool sent = false;
    const bool again = co_await write_answer(sent);
    if (!sent && !closing_ && !exchange_->given_up()) context_.host.client_left();
    if (!again) exchange_->client_gone();  // nothing to tell if the answer is complete
    exchange_->detach();
    exchange_.reset();
    co_return again;
  }

  void on_output() {
    if (exchange_) exchange_->woken();
    // An answer given up because of its size must not wait for the write that is stuck.
    if (exchange_ && writing_ && exchange_->disconnected()) cut_off();
    wake_.cancel();
  }

  // True: the connection can take another request. `sent`: the whole answer is.
  awaitable<bool> write_answer(bool& sent) {
    std::optional<Time> half_closed;
    for (;;) {
      const Exchange::Output output = exchange_->take();
      if (output.aborted) drop();
      if (ended_ && (reset_ || output.has_callback)) drop();
      if (dropped_) co_return false;
      if (!output.bytes.empty()) {
        const bool written = co_await write_all(output.bytes);
        if (!written) co_return false;
      }
      if (output.complete) {
        sent = true;
        co_return !output.close && !ended_;
      }
      if (!output.bytes.empty()) continue;
      Time deadline = Time::max();
      if (output.silent_until != Time{}) deadline = output.silent_until;
      if (ended_) {
        if (!half_closed) half_closed = SteadyClock::now() + kHalfClosedMax;
        if (SteadyClock::now() >= *half_closed) co_return false;
        deadline = std::min(deadline, *half_closed);
      }
      co_await wait(deadline);
      exchange_->tick(SteadyClock::now());
    }
  }

  // False: the client is gone, or it takes nothing or too little. The rate is that of these bytes:
  // whoever takes all there is may wait for more at any length.
  awaitable<bool> write_all(std::string_view bytes) {
    writing_ = true;
    const Time start = SteadyClock::now();
    std::uint64_t written = 0;
    while (!bytes.empty() && !dropped_) {
      write_deadline_ =
          std::min(SteadyClock::now() + limits_.write_timeout,
                   start + limits_.write_grace + earned(written, limits_.write_bytes_per_s_min));
      watch_write();
      const auto [ec, count] =
          co_await socket_.async_write_some(asio::buffer(bytes.data(), bytes.size()), kTuple);
      if (ec) break;
      bytes.remove_prefix(count);
      written += count;
      if (exchange_) exchange_->wrote(count);
    }
    writing_ = false;
    co_return bytes.empty();
  }

  // One timer for many writes: it looks at the current deadline when it rings, and is set anew only
  // where that has come nearer.
  void watch_write() {
    if (write_watched_ && write_timer_.expiry() <= write_deadline_) return;
    write_watched_ = true;
    write_timer_.expires_at(write_deadline_);
    write_timer_.async_wait([self = shared_from_this()](error_code ec) {
      if (ec) return;  // set anew, or the session ends
      self->write_watched_ = false;
      if (!self->writing_) return;
      if (SteadyClock::now() >= self->write_deadline_) {
        self->cut_off();
      } else {
        self->watch_write();
      }
    });
  }

  awaitable<void> refuse(const Refusal& refusal) {
    if (context_.options.on_refusal) context_.options.on_refusal(refusal.status, refusal.code);
    HttpResponse response = error_response(refusal.status, refusal.code, refusal.message);
    response.headers.emplace_back("Content-Length", std::to_string(response.body.size()));
    response.headers.emplace_back("Connection", "close");
    response.headers.emplace_back("X-Request-Id", request_.request_id.empty()
                                                      ? request_id_from(request_)
                                                      : request_.request_id);
    const bool body = request_.method != "HEAD";
    const std::string bytes =
        serialize_head(response.status, response.headers) + (body ? response.body : "");
    co_await write_all(bytes);
  }

  // A socket closed with unread input resets the connection, and the client may then lose the
  // answer: so our side is closed first, and the client gets a moment to close its own.
  awaitable<void> linger() {
    error_code ec;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ec);
    if (ec) co_return;
    const Time deadline = SteadyClock::now() + limits_.linger_timeout;
    while (!ended_ && !dropped_ && SteadyClock::now() < deadline) {
      in_.clear();
      pump();
      co_await wait(deadline);
    }
  }

  awaitable<void> run(std::shared_ptr<Session> self) {
    pump();
    bool last_answer = false;  // one was written behind which the connection closes
    while (!last_answer) {
      const Got got = co_await read_request();
      if (got == Got::kNothing) break;
      bool again = false;
      if (got == Got::kRequest) again = co_await answer();
      last_answer = !again;
    }
    if (last_answer && !dropped_ && !reset_) co_await linger();
    drop();
    write_timer_.cancel();
    self->context_.host.session_ended(id_);
  }

  const SessionContext context_;
  const ServerLimits& limits_;
  asio::io_context& loop_;
  const std::string peer_;
  const SessionId id_;
  asio::ip::tcp::socket socket_;
  asio::steady_timer wake_;
  asio::steady_timer write_timer_;
  std::array<char, 16384> chunk_;  // where the read under way puts its bytes
  std::string in_;                 // read, not yet parsed
  std::optional<http::request_parser<http::string_body>> parser_;
  HttpRequest request_;
  Exchange::Framing framing_;
  std::shared_ptr<Exchange> exchange_;  // of the request being answered
  Time write_deadline_{};
  bool idle_ = false;
  bool asked_ = false;  // a request has begun to arrive
  bool reading_ = false;
  bool writing_ = false;
  bool write_watched_ = false;
  bool ended_ = false;  // nothing more will be read
  bool reset_ = false;  // with ended_: not by an orderly close
  bool draining_ = false;
  bool dropped_ = false;
  bool closing_ = false;  // the server ends the connection, not the client
};

}  // namespace

std::shared_ptr<SessionHandle> start_session(asio::io_context& loop, int fd, bool ipv6,
                                             std::string peer, SessionId id,
                                             const SessionContext& context) {
  auto session = std::make_shared<Session>(loop, fd, ipv6, std::move(peer), id, context);
  session->start();
  return session;
}

}  // namespace hearth::net

#include "net/load_client.h"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <charconv>
#include <csignal>
#include <utility>
#include <vector>

#include "net/sse_reader.h"

namespace hearth::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

// Hands the body on where it lies, instead of collecting it.
struct PassedBody {
  struct value_type {
    std::function<bool(std::string_view)> take;  // false: broken off
  };
  class reader {
   public:
    template <bool request, class Fields>
    reader(http::header<request, Fields>&, value_type& body) : body_(body) {}
    void init(const boost::optional<std::uint64_t>&, error_code& ec) { ec = {}; }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, error_code& ec) {
      std::size_t bytes = 0;
      for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers);
           ++it) {
        const asio::const_buffer piece = *it;
        if (!body_.take({static_cast<const char*>(piece.data()), piece.size()})) {
          ec = http::error::body_limit;
          return bytes;
        }
        bytes += piece.size();
      }
      ec = {};
      return bytes;
    }
    void finish(error_code& ec) { ec = {}; }

   private:
    value_type& body_;
  };
};

std::optional<std::chrono::seconds> seconds_of(std::string_view text) {
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return std::chrono::seconds(value);
}

Error network(std::string message) { return {ErrorKind::kIo, "network", std::move(message)}; }

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// An answer, from its head to its last byte.
class Answer {
 public:
  explicit Answer(LoadExchange& exchange)
      : exchange_(exchange),
        events_([this](std::string_view data) { exchange_.on_data(data, now_); }) {
    parser_.body_limit(boost::none);
    parser_.header_limit(static_cast<std::uint32_t>(LoadClient::kHeadBytesMax));
    parser_.get().body().take = [this](std::string_view bytes) { return take(bytes); };
  }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  // How many of the bytes were used; the others have to come again with more behind them.
  Result<std::size_t> feed(std::string_view bytes, LoadTime now) {
    now_ = now;
    std::size_t used = 0;
    while (used < bytes.size() && !parser_.is_done()) {
      error_code ec;
      const std::size_t more =
          parser_.put(asio::buffer(bytes.data() + used, bytes.size() - used), ec);
      used += more;
      if (ec && ec != http::error::need_more) return tl::unexpected<Error>(wrong(ec));
      if (parser_.is_header_done() && !head_told_) {
        // 100 to 103 only announce the answer.
        if (parser_.get().result_int() < 200)
          return invalid("bad_answer", "the answer begins with status {}, which nobody asked for",
                         parser_.get().result_int());
        tell_head();
        parser_.eager(true);
        continue;
      }
      if (ec == http::error::need_more || more == 0) break;
    }
    return used;
  }

  // The other side has closed.
  Status end_of_connection() {
    error_code ec;
    if (parser_.got_some() && !parser_.is_done()) parser_.put_eof(ec);
    if (!parser_.is_done()) {
      return tl::unexpected<Error>(network(parser_.is_header_done()
                                               ? "the connection ended in the middle of the answer"
                                               : "the connection ended without an answer"));
    }
    return {};
  }

  bool done() const { return parser_.is_done(); }
  bool keep_alive() const { return parser_.is_done() && parser_.get().keep_alive(); }
  const std::string& document() const { return document_; }

 private:
  void tell_head() {
    head_told_ = true;
    const auto& message = parser_.get();
    LoadHead head;
    head.status = static_cast<int>(message.result_int());
    head.content_type = std::string(message[http::field::content_type]);
    head.retry_after = seconds_of(std::string_view(message[http::field::retry_after]));
    stream_ = to_lower(head.content_type).starts_with("text/event-stream");
    exchange_.on_head(head, now_);
  }

  bool take(std::string_view bytes) {
    if (stream_) return events_.feed(bytes);
    if (document_.size() + bytes.size() > LoadClient::kDocumentBytesMax) return false;
    document_ += bytes;
    return true;
  }

  static Error wrong(const error_code& ec) {
    if (ec == http::error::body_limit)
      return {ErrorKind::kTooLarge, "answer_too_large", "the answer is too large"};
    if (ec == http::error::header_limit)
      return {ErrorKind::kTooLarge, "answer_too_large", "the head of the answer is too large"};
    return {ErrorKind::kInvalid, "bad_answer", "the answer is not HTTP: " + ec.message()};
  }

  LoadExchange& exchange_;
  SseReader events_;
  http::parser<false, PassedBody> parser_;
  std::string document_;
  LoadTime now_;
  bool head_told_ = false;
  bool stream_ = false;
};

// What the parser does not take yet has to fit: at most a head.
constexpr std::size_t kReadBytes = LoadClient::kHeadBytesMax;

struct Connection {
  explicit Connection(asio::io_context& loop) : socket(loop), deadline(loop) {}
  tcp::socket socket;
  asio::steady_timer deadline;
  std::optional<Error> broken;  // why we closed it ourselves
  std::array<char, kReadBytes> in = {};
  std::size_t filled = 0;

  void close(std::optional<Error> why) {
    if (!broken) broken = std::move(why);
    error_code ignored;  // it may be closed already
    socket.close(ignored);
  }
};
using ConnectionPtr = std::shared_ptr<Connection>;

struct Job {
  LoadRequest request;
  std::shared_ptr<LoadExchange> exchange;
};

}  // namespace

struct LoadClient::Impl {
  Impl(LoadClientOptions given, std::string given_name)
      : options(std::move(given)), name(std::move(given_name)) {}

  const LoadClientOptions options;
  const std::string name;  // HOST:PORT
  std::string head_lines;  // those that all requests have
  asio::io_context loop{1};
  std::vector<tcp::endpoint> endpoints;
  asio::signal_set signals{loop};
  std::function<void()> signal_work;
  std::vector<ConnectionPtr> idle;
  std::vector<ConnectionPtr> busy;
  std::size_t jobs = 0;
  std::uint64_t runs = 0;  // what waits for its time in an earlier one is forgotten
  bool stopping = false;

  std::string head_of(const LoadRequest& request) const {
    if (request.body.empty())
      return fmt::format("GET {} HTTP/1.1\r\n{}\r\n", request.target, head_lines);
    return fmt::format(
        "POST {} HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        request.target, head_lines, request.body.size());
  }

  // Closes the connection when the time has passed, unless arm() or disarm() comes first.
  static void arm(const ConnectionPtr& connection, LoadTime when, const char* what) {
    connection->deadline.expires_at(when);
    connection->deadline.async_wait([connection, what, when](error_code ec) {
      // A wait that has ended already cannot be cancelled; the new time tells.
      if (ec || connection->deadline.expiry() != when) return;
      connection->close(Error{ErrorKind::kTimeout, "timeout", what});
    });
  }
  static void disarm(Connection& connection) { connection.deadline.expires_at(LoadTime::max()); }

  Error failure(const Connection& connection, const error_code& ec, const char* what) const {
    if (connection.broken) return *connection.broken;
    return network(fmt::format("{} {}: {}", what, name, ec.message()));
  }

  awaitable<Status> connect(ConnectionPtr connection, LoadTime deadline) {
    arm(connection, std::min(deadline, SteadyClock::now() + options.connect_timeout),
        "connecting took too long");
    auto [ec, endpoint] = co_await asio::async_connect(connection->socket, endpoints, kTuple);
    if (connection->broken || ec)
      co_return tl::unexpected<Error>(failure(*connection, ec, "cannot connect to"));
    endpoints.assign(1, endpoint);  // of several addresses the one that answers
    // Small requests must not wait for the answer to an earlier packet. A socket that cannot do it
    // works all the same.
    error_code ignored;
    connection->socket.set_option(tcp::no_delay(true), ignored);
    co_return Status();
  }

  // Sends, and reads the answer. `unheard`: not a byte of one came.
  awaitable<Status> ask(ConnectionPtr connection, const Job& job, Answer& answer, bool& unheard) {
    unheard = true;
    const std::string head = head_of(job.request);
    const std::array<asio::const_buffer, 2> out = {asio::buffer(head),
                                                   asio::buffer(job.request.body)};
    // Without a look at the result: a server may answer and close before it has read all, and that
    // answer is worth reading. Reading tells if there is none.
    co_await asio::async_write(connection->socket, out, kTuple);
    if (connection->broken) co_return tl::unexpected<Error>(*connection->broken);
    while (!answer.done()) {
      const auto [ec, bytes] = co_await connection->socket.async_read_some(
          asio::buffer(connection->in.data() + connection->filled,
                       connection->in.size() - connection->filled),
          kTuple);
      if (connection->broken) co_return tl::unexpected<Error>(*connection->broken);
      if (ec == asio::error::eof) {
        const Status ended = answer.end_of_connection();
        connection->close(std::nullopt);
        co_return ended;
      }
      if (ec) co_return tl::unexpected<Error>(failure(*connection, ec, "the connection broke to"));
      unheard = false;
      connection->filled += bytes;
      const auto used =
          answer.feed({connection->in.data(), connection->filled}, SteadyClock::now());
      if (!used) co_return tl::unexpected<Error>(used.error());
      if (*used == 0 && connection->filled == connection->in.size())
        co_return fail(ErrorKind::kTooLarge, "answer_too_large",
                       "the head of the answer is too large");
      std::copy(connection->in.data() + *used, connection->in.data() + connection->filled,
                connection->in.data());
      connection->filled -= *used;
    }
    co_return Status();
  }

  awaitable<void> perform(Job job) {
    const LoadTime begin = SteadyClock::now();
    const LoadTime deadline = begin + options.timeout;
    job.exchange->on_sent(begin);
    Answer answer(*job.exchange);
    Status status;
    bool again = true;
    while (again) {
      again = false;
      const bool kept = !idle.empty();
      ConnectionPtr connection;
      if (kept) {
        connection = std::move(idle.back());
        idle.pop_back();
      } else {
        connection = std::make_shared<Connection>(loop);
      }
      busy.push_back(connection);
      status = stopping ? Status(stopped()) : Status();
      if (status && !kept) status = co_await connect(connection, deadline);
      bool unheard = false;
      if (status) {
        arm(connection, deadline, "the answer took too long");
        status = co_await ask(connection, job, answer, unheard);
        // The server may close a kept connection in the moment in which it is used.
        again = !status && kept && unheard && !connection->broken && !stopping;
      }
      disarm(*connection);
      std::erase(busy, connection);
      if (status && answer.keep_alive() && connection->filled == 0 &&
          connection->socket.is_open()) {
        idle.push_back(std::move(connection));
      } else {
        connection->close(std::nullopt);
      }
    }
    job.exchange->on_end(status, answer.document(), SteadyClock::now());
    --jobs;
    if (stopping && jobs == 0) loop.stop();
  }

  static tl::unexpected<Error> stopped() {
    return fail(ErrorKind::kExhausted, "stopped", "broken off");
  }

  void wait_for_signal() {
    signals.async_wait([this](error_code ec, int) {
      if (ec) return;
      if (signal_work) signal_work();
      wait_for_signal();
    });
  }
};

LoadClient::LoadClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LoadClient::~LoadClient() = default;

Result<std::unique_ptr<LoadClient>> LoadClient::create(const Url& url, LoadClientOptions options) {
  if (url.scheme != "http")
    return fail(ErrorKind::kUnsupported, "https_unsupported",
                "{} is not spoken here yet, only plain http", url.scheme);
  const bool ipv6 = url.host.find(':') != std::string::npos;
  const std::string host = ipv6 ? "[" + url.host + "]" : url.host;
  const std::string name = fmt::format("{}:{}", host, url.port);
  std::string lines = fmt::format(
      "Host: {}\r\nUser-Agent: hearth-bench\r\nAccept: text/event-stream, application/json\r\n",
      name);
  for (const auto& [header, value] : options.headers) {
    if (has_control(header) || has_control(value))
      return invalid("invalid_header", "the header {} holds control characters",
                     has_control(header) ? "name" : header);
    lines += fmt::format("{}: {}\r\n", header, value);
  }
  auto impl = std::make_unique<Impl>(std::move(options), name);
  impl->head_lines = std::move(lines);
  error_code ec;
  tcp::resolver resolver(impl->loop);
  const auto found = resolver.resolve(url.host, std::to_string(url.port), ec);
  if (ec) return fail(ErrorKind::kIo, "unknown_host", "cannot find {}: {}", url.host, ec.message());
  for (const auto& entry : found) impl->endpoints.push_back(entry.endpoint());
  return std::unique_ptr<LoadClient>(new LoadClient(std::move(impl)));
}

void LoadClient::send(LoadRequest request, std::shared_ptr<LoadExchange> exchange) {
  ++impl_->jobs;
  asio::co_spawn(impl_->loop, impl_->perform({std::move(request), std::move(exchange)}),
                 [](std::exception_ptr error) {
                   if (error) std::rethrow_exception(error);
                 });
}

void LoadClient::at(LoadTime when, std::function<void()> work) {
  auto timer = std::make_shared<asio::steady_timer>(impl_->loop, when);
  timer->async_wait(
      [impl = impl_.get(), timer, run = impl_->runs, work = std::move(work)](error_code ec) {
        if (!ec && run == impl->runs) work();
      });
}

void LoadClient::on_signal(std::function<void()> work) { impl_->signal_work = std::move(work); }

void LoadClient::run() {
  error_code ignored;  // without them Ctrl-C ends the program, as ever
  impl_->signals.add(SIGINT, ignored);
  impl_->signals.add(SIGTERM, ignored);
  impl_->wait_for_signal();
  if (!(impl_->stopping && impl_->jobs == 0)) impl_->loop.run();
  impl_->signals.cancel(ignored);
  impl_->signals.clear(ignored);
  impl_->stopping = false;
  impl_->loop.restart();
}

void LoadClient::stop() {
  impl_->stopping = true;
  ++impl_->runs;
  for (const ConnectionPtr& connection : impl_->busy) connection->close(Impl::stopped().value());
  if (impl_->jobs == 0) impl_->loop.stop();
}

}  // namespace hearth::net

#include "net/server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <future>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "net/connections.h"

namespace hearth::net {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kAcceptPause{50};  // out of descriptors
constexpr std::chrono::milliseconds kRoomPause{1};     // for an idle connection to close
constexpr rlim_t kSpareDescriptors = 256;              // for models, logs, listeners

struct Loop {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
};

void raise_descriptor_limit(std::size_t connections_max) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = static_cast<rlim_t>(connections_max) + kSpareDescriptors;
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    log::warn("cannot raise the limit of open files: {}", std::strerror(errno));
  }
}

// Small answers go out at once; a silent peer is found out after about a minute.
void configure_socket(int fd) {
  const auto set = [fd](int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof value);  // an optimisation: failing is no error
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  // Bounds what the kernel keeps for a client that does not read.
  set(SOL_SOCKET, SO_SNDBUF, 256 << 10);
}

void refuse_socket(int fd, const ServerOptions& options) {
  HttpResponse response = error_response(503, "too_many_connections", "too many connections");
  if (options.on_refusal) options.on_refusal(response.status, response.error_code);
  response.headers.emplace_back("Content-Length", std::to_string(response.body.size()));
  response.headers.emplace_back("Connection", "close");
  response.headers.emplace_back("Retry-After", "1");
  const std::string bytes = serialize_head(response.status, response.headers) + response.body;
  // Best effort: it is a fresh socket, its buffer takes this in one piece.
  [[maybe_unused]] const ssize_t sent =
      ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::close(fd);
}

std::string host_form(const asio::ip::address& address) {
  return address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
}

}  // namespace

struct Server::Impl final : SessionHost {
  Impl(ServerOptions o, Handler h)
      : options(std::move(o)),
        handler(std::move(h)),
        connections(options.connections_max, options.connections_per_address_max),
        limits(std::make_shared<const ServerLimits>(options)) {
    for (int i = 0; i < std::max(1, options.io_threads); ++i) {
      loops.push_back(std::make_unique<Loop>());
    }
  }

  void session_idle(SessionId id) override { connections.set_idle(id, true); }
  void session_busy(SessionId id) override { connections.set_idle(id, false); }
  void session_ended(SessionId id) override { connections.remove(id); }
  void client_left() override { connections.count(&ServerStats::disconnects); }

  awaitable<void> accept_loop();
  awaitable<void> signal_loop();
  awaitable<void> take(int fd);
  void stop_accepting();
  void drain();
  std::shared_ptr<const ServerLimits> current_limits();

  // Order matters: the loops' handlers (sessions among them) refer to everything above them.
  const ServerOptions options;
  const Handler handler;
  HostPolicy hosts;
  Connections connections;
  SessionId next_id = 0;  // on loop 0 only
  bool draining = false;  // on loop 0 only
  std::uint16_t bound_port = 0;

  std::mutex mutex;
  std::condition_variable changed;
  int stops = 0;  // calls of stop()
  std::shared_ptr<const ServerLimits> limits;

  std::vector<std::unique_ptr<Loop>> loops;
  std::unique_ptr<tcp::acceptor> acceptor;           // on loop 0
  std::unique_ptr<asio::signal_set> signals;         // on loop 0
  std::unique_ptr<asio::steady_timer> accept_pause;  // on loop 0
};

Server::Server(ServerOptions options, Handler handler)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handler))) {}

Server::~Server() = default;

Status Server::listen() {
  Impl& impl = *impl_;
  asio::io_context& loop = impl.loops[0]->context;
  error_code ec;
  asio::ip::address address = asio::ip::make_address(impl.options.host, ec);
  if (ec) {
    tcp::resolver resolver(loop);
    const auto found = resolver.resolve(impl.options.host, "", ec);
    if (ec || found.empty()) {
      return fail(ErrorKind::kIo, "listen_failed", "cannot resolve {}", impl.options.host);
    }
    address = found.begin()->endpoint().address();
  }
  if (!address.is_loopback()) {
    return fail(ErrorKind::kUnsupported, "tls_required",
                "{} is not a loopback address: beyond loopback the server needs TLS and keys",
                impl.options.host);
  }
  impl.hosts.hosts = {"localhost", "127.0.0.1", "[::1]", host_form(address),
                      to_lower(impl.options.host)};
  for (const std::string& host : impl.options.allowed_hosts) {
    impl.hosts.hosts.push_back(to_lower(host));
  }
  if (impl.options.raise_descriptor_limit) raise_descriptor_limit(impl.options.connections_max);

  const tcp::endpoint endpoint(address, impl.options.port);
  impl.acceptor = std::make_unique<tcp::acceptor>(loop);
  impl.accept_pause = std::make_unique<asio::steady_timer>(loop);
  impl.acceptor->open(endpoint.protocol(), ec);
  if (!ec) impl.acceptor->set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) impl.acceptor->bind(endpoint, ec);
  if (!ec) impl.acceptor->listen(asio::socket_base::max_listen_connections, ec);
  if (!ec) impl.acceptor->non_blocking(true, ec);
  if (ec) {
    return fail(ErrorKind::kIo, "listen_failed", "cannot listen on {}:{}: {}", impl.options.host,
                impl.options.port, ec.message());
  }
  impl.bound_port = impl.acceptor->local_endpoint().port();
  return {};
}

std::uint16_t Server::port() const { return impl_->bound_port; }

awaitable<void> Server::Impl::take(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  tcp::endpoint peer;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) == 0 &&
      length <= peer.capacity()) {
    std::memcpy(peer.data(), &storage, length);
    peer.resize(length);
  }
  const std::string address = peer.address().to_string();
  Connections::Room room{};
  while ((room = connections.room(address, peer.address().is_loopback())) ==
         Connections::Room::kSoon) {
    accept_pause->expires_after(kRoomPause);
    co_await accept_pause->async_wait(kTuple);
  }
  if (room == Connections::Room::kNo || !acceptor->is_open()) {
    connections.count(&ServerStats::refused);
    refuse_socket(fd, options);
    co_return;
  }
  configure_socket(fd);
  const SessionId id = ++next_id;
  connections.add(id, address);
  asio::io_context& loop = loops[id % loops.size()]->context;
  connections.attach(id, start_session(loop, fd, storage.ss_family == AF_INET6, address, id,
                                       SessionContext{options, current_limits(), hosts, handler,
                                                      *this, draining}));
}

awaitable<void> Server::Impl::accept_loop() {
  while (acceptor->is_open()) {
    const int fd =
        ::accept4(acceptor->native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      co_await take(fd);
      continue;
    }
    const int error = errno;
    // Without a free descriptor accept4 fails even if there is nobody to accept.
    pollfd waiting{acceptor->native_handle(), POLLIN, 0};
    if (::poll(&waiting, 1, 0) == 0 || error == EAGAIN || error == EWOULDBLOCK) {
      co_await acceptor->async_wait(tcp::acceptor::wait_read, kTuple);
    } else if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
      // The queue of the kernel keeps the newcomers until somebody has left.
      connections.count(&ServerStats::accept_pauses);
      connections.evict_idle();
      accept_pause->expires_after(kAcceptPause);
      co_await accept_pause->async_wait(kTuple);
    } else if (error == EBADF || error == EINVAL) {
      co_return;  // closed by stop_accepting
    }
    // Anything else concerns the connection that just failed, not the listener.
  }
}

awaitable<void> Server::Impl::signal_loop() {
  for (;;) {
    const auto [ec, number] = co_await signals->async_wait(kTuple);
    if (ec) co_return;
    if (number == SIGHUP && options.on_hangup) {
      options.on_hangup();
      continue;
    }
    log::info("signal {}: stopping", number);
    const std::lock_guard lock(mutex);
    ++stops;
    changed.notify_all();
  }
}

std::shared_ptr<const ServerLimits> Server::Impl::current_limits() {
  const std::lock_guard lock(mutex);
  return limits;
}

// When it returns, no further connection can begin.
void Server::Impl::stop_accepting() {
  std::promise<void> done;
  asio::post(loops[0]->context, [this, &done] {
    error_code ignored;
    acceptor->close(ignored);
    accept_pause->cancel();
    done.set_value();
  });
  done.get_future().wait();
}

// Until open requests have ended, their time is over, or stop() was called again.
void Server::Impl::drain() {
  std::promise<void> begun;
  asio::post(loops[0]->context, [this, &begun] {
    if (options.on_stop) options.on_stop();
    draining = true;
    connections.drain_all();
    begun.set_value();
  });
  begun.get_future().wait();
  const auto deadline = SteadyClock::now() + current_limits()->drain_timeout;
  const auto step = std::chrono::milliseconds(20);
  bool accepting = true;
  for (;;) {  // the count of stops and that of connections have their own locks: short steps
    const auto now = SteadyClock::now();
    {
      const std::lock_guard lock(mutex);
      if (stops > 1 || now >= deadline) break;
    }
    const auto until = std::min(deadline, now + step);
    if (accepting && connections.wait_idle(until)) {
      stop_accepting();
      accepting = false;
      connections.close_idle();  // those that have not asked for anything
    } else if (!accepting && connections.wait_empty(until)) {
      return;
    }
  }
  stop_accepting();
}

void Server::run() {
  Impl& impl = *impl_;
  HEARTH_CHECK(impl.acceptor != nullptr);
  const auto rethrow = [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  };
  asio::io_context& first = impl.loops[0]->context;
  if (impl.options.handle_signals) {
    impl.signals = std::make_unique<asio::signal_set>(first, SIGTERM, SIGINT, SIGHUP);
    asio::co_spawn(first, impl.signal_loop(), rethrow);
  }
  asio::co_spawn(first, impl.accept_loop(), rethrow);
  std::vector<std::thread> threads;
  for (const auto& loop : impl.loops) {
    threads.emplace_back([&context = loop->context] { context.run(); });
  }
  {
    std::unique_lock lock(impl.mutex);
    impl.changed.wait(lock, [&] { return impl.stops > 0; });
  }
  impl.drain();
  impl.connections.close_all();
  while (!impl.connections.wait_empty(SteadyClock::now() + std::chrono::hours(1))) {
  }
  asio::post(first, [&impl] {
    if (impl.signals) impl.signals->cancel();
  });
  for (const auto& loop : impl.loops) loop->work.reset();
  for (std::thread& thread : threads) thread.join();
}

void Server::stop() {
  const std::lock_guard lock(impl_->mutex);
  ++impl_->stops;
  impl_->changed.notify_all();
}

void Server::set_limits(const ServerLimits& limits) {
  impl_->connections.set_caps(limits.connections_max, limits.connections_per_address_max);
  const std::lock_guard lock(impl_->mutex);
  impl_->limits = std::make_shared<const ServerLimits>(limits);
}

ServerStats Server::stats() const { return impl_->connections.stats(); }

}  // namespace hearth::net

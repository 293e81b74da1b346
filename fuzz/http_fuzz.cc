// Bytes from the wire into a real server on loopback: whatever comes, each answer is well formed,
// the connection ends, and the server goes on.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "net/server.h"

namespace {

using namespace hearth;

// Serves until the process ends, and is never destroyed: its thread does not stop before that.
std::uint16_t start_server() {
  net::ServerOptions options;
  options.port = 0;
  options.io_threads = 1;
  options.handle_signals = false;
  options.connections_max = 64;
  options.linger_timeout = std::chrono::milliseconds(100);
  static net::Server* const server =
      std::make_unique<net::Server>(options, [](net::HttpRequest request,
                                                net::Responder responder) {
        HEARTH_CHECK(net::is_valid_utf8(request.path) &&
                     request.path.find('\0') == std::string::npos);
        HEARTH_CHECK(request.path.starts_with('/') || request.path == "*");
        net::HttpResponse response;
        response.headers.emplace_back("X-Path", request.path);
        response.body = request.body;
        responder.send(std::move(response));
      }).release();
  const Status listening = server->listen();
  HEARTH_CHECK(listening.has_value());
  std::thread([] { server->run(); }).detach();
  return server->port();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const std::uint16_t port = start_server();
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  HEARTH_CHECK(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  // No port is kept waiting for stragglers: there are as many connections as inputs.
  const linger at_once = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  const timeval patience = {10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::size_t sent = 0;
  while (sent < size) {
    const ssize_t n = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL);
    if (n <= 0) break;  // it has refused and closed
    sent += static_cast<std::size_t>(n);
  }
  shutdown(fd, SHUT_WR);
  std::string answer;
  char buffer[1 << 14];
  ssize_t n;
  while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0)
    answer.append(buffer, static_cast<std::size_t>(n));
  // A reset is an end too; a silence is none.
  HEARTH_CHECK(n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK));
  close(fd);
  HEARTH_CHECK(answer.empty() || answer.starts_with("HTTP/1.1 "));
  return 0;
}

// HTTP/1.1 over TCP with keep-alive, limits against hostile clients, streams and draining. Several
// I/O threads, each with its own event loop; a connection stays on one of them.
//
//   net::Server server(options, handler);
//   HEARTH_TRY_VOID(server.listen());
//   server.run();  // until SIGTERM, SIGINT or stop()
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/http.h"
#include "net/responder.h"

namespace hearth::net {

// Called on an I/O thread for each complete request: must return fast and not throw; the answer may
// come later, from any thread.
using Handler = std::function<void(HttpRequest request, Responder responder)>;

// What clients may ask of the server. Can be changed while it runs.
struct ServerLimits {
  std::size_t header_bytes_max = 16u << 10;  // start line and headers; over it: 431
  std::size_t header_count_max = 100;        // over it: 431
  std::size_t body_bytes_max = 8u << 20;     // over it: 413
  std::size_t stream_unsent_bytes_max = 1u << 20;
  std::size_t connections_max = 1024;            // in all; idle ones make room for new ones
  std::size_t connections_per_address_max = 64;  // but for loopback

  std::chrono::milliseconds header_timeout{10'000};  // from the first byte to the last header: 408
  std::chrono::milliseconds body_timeout{120'000};   // for the whole body: 408
  std::chrono::milliseconds body_grace{10'000};      // before body_bytes_per_s_min applies: 408
  std::size_t body_bytes_per_s_min = 16u << 10;
  std::chrono::milliseconds idle_timeout{75'000};   // between requests
  std::chrono::milliseconds write_timeout{30'000};  // without any progress: closed
  std::chrono::milliseconds write_grace{30'000};    // before write_bytes_per_s_min applies: closed
  std::size_t write_bytes_per_s_min = 4u << 10;     // of what waits for a client
  std::chrono::milliseconds linger_timeout{5'000};  // for the client to read a last answer
  std::chrono::milliseconds drain_timeout{30'000};  // for open requests after stop()
};

struct ServerOptions : ServerLimits {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;  // 0: any free one
  int io_threads = 2;
  std::vector<std::string> allowed_hosts;  // besides the bind address, localhost, 127.0.0.1, [::1]

  // Called for each request that is refused before it gets to the handler, with the answer's status
  // and error code (one of this program's own words). On an I/O thread: must return fast.
  std::function<void(int status, std::string_view code)> on_refusal;

  bool handle_signals = true;          // SIGTERM, SIGINT: stop(); a second one: at once
  bool raise_descriptor_limit = true;  // lifts the soft limit as far as connections_max needs
  // On an I/O thread; must return fast. on_stop: once, before open requests are drained.
  // on_hangup: for SIGHUP, which without it is the same as SIGTERM.
  std::function<void()> on_stop = nullptr;
  std::function<void()> on_hangup = nullptr;
};

struct ServerStats {
  std::size_t connections = 0;
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;        // over a cap of connections
  std::uint64_t evicted = 0;        // idle ones closed to make room
  std::uint64_t accept_pauses = 0;  // out of descriptors
  // Clients that left before their answer was sent in full, those among them that read so slowly
  // that they had to be cut off.
  std::uint64_t disconnects = 0;
};

class Server {
 public:
  Server(ServerOptions options, Handler handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Refused: an address that cannot be bound ("listen_failed"), and one beyond loopback
  // ("tls_required"), as there is no TLS yet.
  Status listen();
  std::uint16_t port() const;  // after listen()

  // Blocks until stopped and drained. Once, after listen().
  void run();

  // Thread-safe. Calls on_stop, closes idle connections, and gives open requests drain_timeout;
  // until they have ended new connections are still taken, for one request each, so that whoever
  // asks hears that this server is going. A second call closes everything at once.
  void stop();

  // Thread-safe. For connections that come from now on.
  void set_limits(const ServerLimits& limits);

  ServerStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::net

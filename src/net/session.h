// One connection: reads requests, hands them to the handler, writes the answers. Internal to net/.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "net/request_check.h"
#include "net/server.h"

namespace boost::asio {
class io_context;
}

namespace hearth::net {

using SessionId = std::uint64_t;

// The server as its sessions see it. Called on I/O threads.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  virtual void session_idle(SessionId id) = 0;  // waits for a request
  virtual void session_busy(SessionId id) = 0;
  virtual void session_ended(SessionId id) = 0;  // the last word of a session
  virtual void client_left() = 0;                // before its answer was sent in full
};

struct SessionContext {
  const ServerOptions& options;  // but for its limits
  std::shared_ptr<const ServerLimits> limits;
  const HostPolicy& hosts;
  const Handler& handler;
  SessionHost& host;
  bool single_request = false;  // the server is stopping
};

class SessionHandle {
 public:
  virtual ~SessionHandle() = default;
  // Thread-safe; all only post.
  virtual void drain() = 0;          // finish the open or the first request, take no further one
  virtual void close() = 0;          // now
  virtual void close_if_idle() = 0;  // now, unless a request has begun to arrive meanwhile
};

// Takes over `fd`, a connected non-blocking socket; everything runs on `loop`. `context` must
// outlive the call of session_ended.
std::shared_ptr<SessionHandle> start_session(boost::asio::io_context& loop, int fd, bool ipv6,
                                             std::string peer, SessionId id,
                                             const SessionContext& context);

}  // namespace hearth::net

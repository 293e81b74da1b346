// The state that a session (on its I/O thread) and responders (on any thread) share for one
// request. Internal to net/ and its tests.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "net/http.h"
#include "net/responder.h"

namespace hearth::net {

class Exchange {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Framing {
    RequestName name;
    std::string traceparent = {};  // of the answer; may be empty
    bool head_only = false;        // the request was HEAD
    bool chunked = true;           // HTTP/1.1; a 1.0 stream ends with the connection
    bool close = false;            // no further request on this connection
    std::size_t unsent_bytes_max = 1u << 20;
  };

  // `wake` runs under the exchange's lock whenever there is something to take; it must only post.
  Exchange(Framing framing, std::function<void()> wake);

  // The responders' side; see net/responder.h.
  bool send(HttpResponse response);
  bool begin_stream(int status, Headers headers, StreamOptions options);
  void stream_after_silence(int status, Headers headers, StreamOptions options);
  bool begin_prepared_stream();
  bool write(std::string_view chunk);
  void end();
  void abort();
  void on_disconnect(std::function<void()> callback);
  bool disconnected() const;
  void observe(std::function<void(int status, std::string_view error_code)> observer);
  void abandoned();

  // The session's side.
  struct Output {
    std::string bytes;
    bool complete = false;      // nothing comes after `bytes`
    bool aborted = false;       // close the connection now
    bool close = false;         // with complete: close the connection afterwards
    bool has_callback = false;  // somebody wants to know of a disconnect
    Time silent_until{};        // when tick() is due; epoch: never
  };
  void woken();  // what `wake` posted has run; it may post again
  Output take();
  void wrote(std::size_t bytes);
  void tick(Time now);    // after a silence that is long enough: the keep-alive text
  void close_after();     // the response's head, if not yet made, will say Connection: close
  bool given_up() const;  // abort()ed by a responder
  bool listened() const;  // somebody wants to know of a disconnect
  void client_gone();     // calls the callback
  void detach();          // the session ends; `wake` is never called again

 private:
  enum class Phase : std::uint8_t { kPending, kStreaming, kComplete };

  struct Prepared {
    int status;
    Headers headers;
  };

  bool start_stream(int status, const Headers& headers);
  void append_chunk(std::string_view chunk);
  void wake_session();
  void append_head(int status, const Headers& headers, std::string_view framing_header);

  mutable std::mutex mutex_;
  Framing framing_;
  std::function<void()> wake_;
  std::function<void()> disconnect_;
  std::function<void(int status, std::string_view error_code)> observer_;
  StreamOptions stream_;
  std::optional<Prepared> prepared_;  // the stream that a silence begins
  std::string out_;                   // framed bytes that the session has not taken
  std::size_t unsent_ = 0;            // out_ and what the session has taken but not yet written
  Time last_output_{};
  Phase phase_ = Phase::kPending;
  bool gone_ = false;
  bool aborted_ = false;
  bool wake_pending_ = false;
};

}  // namespace hearth::net

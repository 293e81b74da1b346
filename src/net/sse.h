// Server-sent events over a response stream (WHATWG HTML, section 9.2), with a comment after each
// silence of some length, so that proxies and clients see that the connection lives.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "net/responder.h"

namespace hearth::net {

class SseWriter {
 public:
  // From now on a silence of that length begins the stream; until then, and until begin(), the
  // responder can still answer with another status.
  SseWriter(Responder responder, std::chrono::milliseconds silence_max);

  // All: false when the client is gone or too slow; then stop working.
  bool begin() { return responder_.begin_prepared_stream(); }
  bool data(std::string_view text);
  bool event(std::string_view name, std::string_view text);
  void end() { responder_.end(); }

 private:
  Responder responder_;
};

// One event; `name` may be empty. Each line of `text` becomes a data line.
std::string sse_event(std::string_view name, std::string_view text);

}  // namespace hearth::net

// Server-sent events over a response stream (WHATWG HTML, section 9.2), with a comment after each
// 15 s of silence so that proxies and clients see that the connection lives.
#pragma once

#include <string>
#include <string_view>

#include "net/responder.h"

namespace hearth::net {

class SseWriter {
 public:
  explicit SseWriter(Responder responder) : responder_(std::move(responder)) {}

  // All: false when the client is gone or too slow; then stop working.
  bool begin();
  bool data(std::string_view text);
  bool event(std::string_view name, std::string_view text);
  void end() { responder_.end(); }

 private:
  Responder responder_;
};

// One event; `name` may be empty. Each line of `text` becomes a data line.
std::string sse_event(std::string_view name, std::string_view text);

}  // namespace hearth::net

#include "net/sse.h"

namespace hearth::net {

std::string sse_event(std::string_view name, std::string_view text) {
  std::string out;
  if (!name.empty()) {
    out += "event: ";
    out += name;
    out += '\n';
  }
  for (;;) {
    const std::size_t end = text.find_first_of("\r\n");
    out += "data: ";
    out += text.substr(0, end);
    out += '\n';
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + (text.substr(end).starts_with("\r\n") ? 2 : 1));
  }
  out += '\n';
  return out;
}

SseWriter::SseWriter(Responder responder, std::chrono::milliseconds silence_max)
    : responder_(std::move(responder)) {
  responder_.stream_after_silence(200,
                                  {{"Content-Type", "text/event-stream; charset=utf-8"},
                                   {"Cache-Control", "no-cache"},
                                   {"X-Accel-Buffering", "no"}},
                                  {": keep-alive\n\n", silence_max});
}

bool SseWriter::data(std::string_view text) { return responder_.write(sse_event({}, text)); }

bool SseWriter::event(std::string_view name, std::string_view text) {
  return responder_.write(sse_event(name, text));
}

}  // namespace hearth::net

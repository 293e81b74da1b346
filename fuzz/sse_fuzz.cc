// Server-sent events: what is written is read back by the rules of WHATWG HTML, section 9.2.6.
#include "net/sse.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace {

struct Event {
  std::string name;
  std::string data;
};

std::vector<Event> read_events(std::string_view text) {
  std::vector<Event> events;
  Event event;
  bool has_data = false;
  while (!text.empty()) {
    const std::size_t end = text.find_first_of("\r\n");
    HEARTH_CHECK(end != std::string_view::npos);  // every line is ended
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + (text.substr(end).starts_with("\r\n") ? 2 : 1));
    if (line.empty()) {
      if (has_data) events.push_back(std::move(event));
      event = {};
      has_data = false;
      continue;
    }
    const std::size_t colon = line.find(':');
    const std::string_view field = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "event") event.name = value;
    if (field != "data") continue;
    if (has_data) event.data += '\n';
    event.data += value;
    has_data = true;
  }
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  for (const std::string_view name : {std::string_view(), std::string_view("error")}) {
    const std::vector<Event> events = read_events(hearth::net::sse_event(name, text));
    HEARTH_CHECK(events.size() == 1 && events[0].name == name);
    // All ways to end a line come back as the one there is.
    std::string expected;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
      expected += text[i] == '\r' ? '\n' : text[i];
    }
    HEARTH_CHECK(events[0].data == expected);
  }
  return 0;
}

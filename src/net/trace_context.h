// W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context/): which trace of the client a
// request belongs to.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hearth::net {

struct TraceContext {
  std::string trace_id;  // 32 lower-case hex digits, not all 0
  std::string flags;     // 2 hex digits

  // "00-<trace id>-<a new parent id>-<flags>": this server's part of the trace.
  std::string traceparent() const;
};

// Nothing for a header that breaks the rules: it is then treated as not sent (section 3.2.2).
std::optional<TraceContext> parse_traceparent(std::string_view header);

}  // namespace hearth::net

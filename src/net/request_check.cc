#include "net/request_check.h"

#include <algorithm>

namespace hearth::net {
namespace {

bool all_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_allowed(std::string_view authority, const HostPolicy& policy) {
  const std::string host = host_without_port(authority);
  return !host.empty() &&
         std::find(policy.hosts.begin(), policy.hosts.end(), host) != policy.hosts.end();
}

bool origin_allowed(std::string_view origin, const HostPolicy& policy) {
  const std::string lower = to_lower(origin);
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (lower.starts_with(scheme)) {
      return is_allowed(std::string_view(lower).substr(scheme.size()), policy);
    }
  }
  return false;  // "null" and everything else
}

}  // namespace

std::optional<Refusal> check_framing(const Headers& headers, int minor_version) {
  int lengths = 0;
  int encodings = 0;
  for (const auto& [name, value] : headers) {
    if (name == "content-length") {
      ++lengths;
      if (!all_digits(value)) {
        return Refusal{400, "invalid_framing", "Content-Length is not a plain number"};
      }
    } else if (name == "transfer-encoding") {
      ++encodings;
      if (to_lower(value) != "chunked") {
        return Refusal{400, "invalid_framing", "the only Transfer-Encoding supported is chunked"};
      }
    } else if (name == "content-encoding" && to_lower(value) != "identity") {
      return Refusal{415, "unsupported_content_encoding", "send the body without Content-Encoding"};
    } else if (name == "expect" && to_lower(value) != "100-continue") {
      return Refusal{417, "unsupported_expectation", "the only Expect supported is 100-continue"};
    }
  }
  if (lengths > 1 || encodings > 1 || (lengths > 0 && encodings > 0)) {
    return Refusal{400, "invalid_framing", "the length of the body is ambiguous"};
  }
  if (encodings > 0 && minor_version == 0) {
    return Refusal{400, "invalid_framing", "Transfer-Encoding in an HTTP/1.0 request"};
  }
  return std::nullopt;
}

std::optional<Refusal> check_host(const Headers& headers, std::string_view authority,
                                  const HostPolicy& policy) {
  int hosts = 0;
  for (const auto& [name, value] : headers) {
    if (name == "host") {
      if (++hosts > 1) return Refusal{400, "invalid_host", "more than one Host header"};
      if (!is_allowed(value, policy)) {
        return Refusal{421, "host_not_allowed", "this server does not answer for that host"};
      }
    } else if (name == "origin" && !origin_allowed(value, policy)) {
      return Refusal{403, "origin_not_allowed", "requests from that origin are not allowed"};
    }
  }
  if (hosts == 0) return Refusal{400, "invalid_host", "the Host header is missing"};
  if (!authority.empty() && !is_allowed(authority, policy)) {
    return Refusal{421, "host_not_allowed", "this server does not answer for that host"};
  }
  return std::nullopt;
}

std::string host_without_port(std::string_view authority) {
  std::size_t end = 0;
  if (authority.starts_with('[')) {
    end = authority.find(']');
    if (end == std::string_view::npos) return {};
    ++end;
  } else {
    end = std::min(authority.find(':'), authority.size());
  }
  const std::string_view port = authority.substr(end);
  if (!port.empty() && !(port.front() == ':' && (port.size() == 1 || all_digits(port.substr(1))))) {
    return {};
  }
  return to_lower(authority.substr(0, end));
}

}  // namespace hearth::net

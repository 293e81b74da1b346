// What a request's head must fulfil before anything acts on it: unambiguous framing (request
// smuggling, RFC 9112 section 6.3), and a Host and Origin that are ours (DNS rebinding).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.h"

namespace hearth::net {

struct Refusal {
  int status = 400;
  std::string code;
  std::string message;
};

struct HostPolicy {
  std::vector<std::string> hosts;  // lower case, without port; IPv6 in brackets
};

// `headers` as sent, names in lower case; `minor_version` of HTTP/1.x. Empty: nothing wrong.
std::optional<Refusal> check_framing(const Headers& headers, int minor_version);

// `authority`: the host of an absolute request target, or empty.
std::optional<Refusal> check_host(const Headers& headers, std::string_view authority,
                                  const HostPolicy& policy);

// "[::1]:80" -> "[::1]", "localhost:8080" -> "localhost"; empty if it is none of these forms.
std::string host_without_port(std::string_view authority);

}  // namespace hearth::net

// From errors to HTTP: status, OpenAI's error shape, and nothing of the inside.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"

namespace hearth::api {

int status_of(const Error& error);

// What clients may read of it: errors of ours are logged with their message (and the trace that the
// request belongs to) and reduced to the request id.
struct PublicError {
  int status = 500;
  std::string code;
  std::string body;
  std::int32_t retry_after_s = 0;  // 0: unknown
};
PublicError public_error(const Error& error, const net::RequestName& request,
                         std::string_view param = {});

// With Retry-After where trying again later may help.
net::HttpResponse to_response(PublicError shown);
net::HttpResponse to_response(const Error& error, const net::RequestName& request,
                              std::string_view param = {});

}  // namespace hearth::api

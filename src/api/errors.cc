#include "api/errors.h"

#include <algorithm>

#include "base/log.h"

namespace hearth::api {

int status_of(const Error& error) {
  // Ours to be blamed for, but over soon.
  for (const char* code :
       {"overloaded", "request_cancelled", "shutting_down", "engine_failed", "no_threads"})
    if (error.code == code) return 503;
  if (error.code == "out_of_memory") return 507;
  if (error.code == "model_exists") return 409;
  if (error.code == "priority_not_allowed") return 403;
  switch (error.kind) {
    case ErrorKind::kInvalid:
      return 400;
    case ErrorKind::kNotFound:
      return 404;
    case ErrorKind::kUnsupported:
      return 400;
    case ErrorKind::kTooLarge:
      return 413;
    case ErrorKind::kIo:
      return 500;
    case ErrorKind::kExhausted:
      return 429;
    case ErrorKind::kTimeout:
      return 504;
    case ErrorKind::kInternal:
      return 500;
  }
  return 500;
}

PublicError public_error(const Error& error, const net::RequestName& request,
                         std::string_view param) {
  const int status = status_of(error);
  if (status == 500) {
    log::error("request {}: {}: {}", request.for_log(), error.code, error.message);
    return {status, "internal_error",
            net::error_body(status, "internal_error",
                            fmt::format("internal error, request id {}", request.id))};
  }
  return {status, error.code, net::error_body(status, error.code, error.message, param),
          error.retry_after_s};
}

net::HttpResponse to_response(const Error& error, const net::RequestName& request,
                              std::string_view param) {
  return to_response(public_error(error, request, param));
}

net::HttpResponse to_response(PublicError shown) {
  net::HttpResponse response;
  response.status = shown.status;
  response.body = std::move(shown.body);
  response.error_code = std::move(shown.code);
  response.headers.emplace_back("Content-Type", "application/json");
  if (response.status == 429 || response.status == 503) {
    response.headers.emplace_back("Retry-After", std::to_string(std::max(1, shown.retry_after_s)));
  }
  return response;
}

}  // namespace hearth::api

// HTTP in plain types: what handlers see and give back. Nothing of Beast or Asio.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hearth::net {

using Headers = std::vector<std::pair<std::string, std::string>>;

// What a request is called, by its client and by whoever traces it.
struct RequestName {
  std::string id;
  std::string trace_id = {};  // may be empty

  std::string for_log() const;
};

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // percent-decoded, valid UTF-8 without control characters; "/v1/models"
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in the order sent
  Headers headers;                                         // names in lower case
  std::string body;
  std::string peer;        // the client's address, without port
  std::string request_id;  // the client's X-Request-Id if it is a harmless one, else made here
  std::string trace_id;    // of the client's traceparent, 32 hex digits; empty without a valid one

  // The first header of that name (in lower case), or null.
  const std::string* header(std::string_view name) const;
  RequestName name() const { return {request_id, trace_id}; }
};

struct HttpResponse {
  int status = 200;
  Headers headers;  // Content-Length, Date, Connection and X-Request-Id are added by the server
  std::string body;
  // Of an error document, for whoever observes answers; not sent itself.
  std::string error_code = {};
};

// "Not Found" for 404; "Unknown" for a code without a name here.
std::string_view status_text(int status);

// The error document of every route, in OpenAI's shape:
// {"error":{"message":..,"type":..,"param":..|null,"code":..}}. `type` follows from the status.
std::string error_body(int status, std::string_view code, std::string_view message,
                       std::string_view param = {});
HttpResponse error_response(int status, std::string_view code, std::string_view message,
                            std::string_view param = {});

// The head of a response up to the empty line. Control characters in header values become spaces,
// so that a value can never start another header.
std::string serialize_head(int status, const Headers& headers);

struct Target {
  std::string authority;  // host of an absolute target ("http://host/path"); mostly empty
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;
};

// Splits and decodes a request target. Refused ("invalid_target"): broken percent escapes, bytes
// that are not UTF-8 after decoding, control characters, and a path with "." or ".." segments.
Result<Target> parse_target(std::string_view target);

bool is_valid_utf8(std::string_view text);
std::string to_lower(std::string_view text);
std::string random_hex(std::size_t bytes);

}  // namespace hearth::net

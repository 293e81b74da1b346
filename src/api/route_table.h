// The one table of routes: what exists, who may use it, how large a body may be, and what
// /openapi.json says of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "net/http.h"
#include "net/responder.h"

namespace hearth::api {

enum class Permission : std::uint8_t { kNone, kUseModels, kReadMetrics, kAdmin };

struct Call {
  net::HttpRequest request;
  net::Responder responder;
  std::string rest;  // what `{...}` at the end of the route's path stands for
};

// A JSON Schema that the document has once, under this name.
struct NamedSchema {
  std::string name;
  OrderedJson schema;
};

struct RequestBody {
  NamedSchema schema;
  bool also_in_query = false;  // its scalars, in place of a body
};

struct Answer {
  int status = 200;
  std::string description;
  std::string content_type;
  NamedSchema schema;
};

struct RouteDoc {
  std::string tag;
  std::string summary;
  std::optional<RequestBody> body;  // JSON
  std::vector<Answer> answers;
  std::vector<int> errors;  // statuses besides those that any route can give: see api/openapi.h
};

struct Route {
  std::string method;
  std::string path;  // "/v1/models" or "/v1/models/{id}", where the last part may contain slashes
  Permission permission;
  std::size_t body_bytes_max;
  std::function<void(Call call)> handler;
  RouteDoc doc;
};

class RouteTable {
 public:
  // A function instead of a plain struct, so that no route can forget its permission
  // or its documentation (a summary and an answer at least, which is checked).
  void add(std::string method, std::string path, Permission permission, std::size_t body_bytes_max,
           std::function<void(Call call)> handler, RouteDoc doc);

  // Finds the route and checks permission and body size; 404, 405 with Allow, 403 or 413 otherwise.
  // HEAD is answered wherever GET is.
  void dispatch(net::HttpRequest request, net::Responder responder) const;

  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace hearth::api

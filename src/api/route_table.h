// The one table of routes: what exists, who may use it, how large a body may be, and what
// /openapi.json says of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "net/http.h"
#include "net/responder.h"
#include "security/identity.h"

namespace hearth::api {

using security::Permission;

struct Call {
  net::HttpRequest request;
  net::Responder responder;
  std::string rest;             // what `{...}` at the end of the route's path stands for
  security::Identity identity;  // whose request it is, for logs and the engine
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
  std::string tag = {};
  std::string summary = {};
  std::optional<RequestBody> body = {};  // JSON
  std::vector<Answer> answers = {};
  // Statuses besides those that any route can give: see api/openapi.h.
  std::vector<int> errors = {};
  bool published = true;  // false: a file of the page, which /openapi.json leaves out
};

// A route's limit for bodies: none of its own.
inline constexpr std::size_t kAsServer = std::numeric_limits<std::size_t>::max();

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

  // Thread-safe. Before it is called there are no keys, and everyone is `local`.
  void set_identities(std::shared_ptr<const security::Identities> identities);

  // Finds the route and checks key, permission and body size; 404, 405 with Allow, 401, 403 or 413
  // otherwise.
  // HEAD is answered wherever GET is.
  void dispatch(net::HttpRequest request, net::Responder responder) const;

  // Called for every answer when its head is made. `route` is the pattern of the route, or
  // "unknown"; `code` that of an error document, else empty. On any thread, must return fast. Set
  // it before the first dispatch().
  using AnswerObserver = std::function<void(const std::string& route, const std::string& method,
                                            int status, std::string_view code)>;
  void observe(AnswerObserver observer) { observer_ = std::move(observer); }

  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::shared_ptr<const security::Identities> identities() const;

  std::vector<Route> routes_;
  mutable std::mutex mutex_;
  std::shared_ptr<const security::Identities> identities_ =
      std::make_shared<const security::Identities>();
  AnswerObserver observer_;
};

}  // namespace hearth::api

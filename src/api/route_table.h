// The one table of routes: what exists, who may use it, how large a body may be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/http.h"
#include "net/responder.h"

namespace hearth::api {

enum class Permission : std::uint8_t { kNone, kUseModels, kReadMetrics, kAdmin };

struct Call {
  net::HttpRequest request;
  net::Responder responder;
  std::string rest;  // what `{...}` at the end of the route's path stands for
};

struct Route {
  std::string method;
  std::string path;  // "/v1/models" or "/v1/models/{id}", where the last part may contain slashes
  Permission permission;
  std::size_t body_bytes_max;
  std::function<void(Call call)> handler;
};

class RouteTable {
 public:
  // A function instead of a plain struct, so that no route can forget its permission.
  void add(std::string method, std::string path, Permission permission, std::size_t body_bytes_max,
           std::function<void(Call call)> handler);

  // Finds the route and checks permission and body size; 404, 405 with Allow, 403 or 413 otherwise.
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
  std::vector<Route> routes_;
  AnswerObserver observer_;
};

}  // namespace hearth::api

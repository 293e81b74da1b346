#include "api/route_table.h"

#include <algorithm>

namespace hearth::api {
namespace {

// Empty handed: no match.
bool match(const std::string& pattern, const std::string& path, std::string& rest) {
  const std::size_t brace = pattern.find('{');
  if (brace == std::string::npos) return pattern == path;
  if (path.size() <= brace || path.compare(0, brace, pattern, 0, brace) != 0) return false;
  rest = path.substr(brace);
  return true;
}

// There are no keys yet and no way in but loopback: everyone is the identity `local`, which is
// never an administrator.
bool local_may(Permission permission) { return permission != Permission::kAdmin; }

}  // namespace

void RouteTable::add(std::string method, std::string path, Permission permission,
                     std::size_t body_bytes_max, std::function<void(Call call)> handler,
                     RouteDoc doc) {
  HEARTH_CHECK(!doc.tag.empty() && !doc.summary.empty() && !doc.answers.empty());
  routes_.push_back(Route{std::move(method), std::move(path), permission, body_bytes_max,
                          std::move(handler), std::move(doc)});
}

void RouteTable::dispatch(net::HttpRequest request, net::Responder responder) const {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  const Route* found = nullptr;
  std::string rest;
  std::vector<std::string> allowed;
  for (const Route& route : routes_) {
    std::string matched;
    if (!match(route.path, request.path, matched)) continue;
    if (route.method == method && found == nullptr) {
      found = &route;
      rest = std::move(matched);
    }
    if (std::find(allowed.begin(), allowed.end(), route.method) == allowed.end()) {
      allowed.push_back(route.method);
      if (route.method == "GET") allowed.push_back("HEAD");
    }
  }
  if (found == nullptr && allowed.empty()) {
    responder.send(net::error_response(404, "unknown_route", "there is nothing at this path"));
    return;
  }
  if (found == nullptr) {
    net::HttpResponse response =
        net::error_response(405, "method_not_allowed", "this path does not take that method");
    std::string list;
    for (const std::string& name : allowed) list += (list.empty() ? "" : ", ") + name;
    response.headers.emplace_back("Allow", list);
    responder.send(std::move(response));
    return;
  }
  if (!local_may(found->permission)) {
    responder.send(net::error_response(403, "permission_denied", "this needs an administrator"));
    return;
  }
  if (request.body.size() > found->body_bytes_max) {
    responder.send(net::error_response(413, "body_too_large", "the request's body is too large"));
    return;
  }
  found->handler(Call{std::move(request), std::move(responder), std::move(rest)});
}

}  // namespace hearth::api

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

// A key that is wrong is refused wherever a key could matter: nobody falls back to being `local`.
net::HttpResponse unauthorized(std::string_view code, const std::string& message) {
  net::HttpResponse response = net::error_response(401, code, message);
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace

void RouteTable::add(std::string method, std::string path, Permission permission,
                     std::size_t body_bytes_max, std::function<void(Call call)> handler,
                     RouteDoc doc) {
  HEARTH_CHECK(!doc.published ||
               (!doc.tag.empty() && !doc.summary.empty() && !doc.answers.empty()));
  routes_.push_back(Route{std::move(method), std::move(path), permission, body_bytes_max,
                          std::move(handler), std::move(doc)});
}

void RouteTable::set_identities(std::shared_ptr<const security::Identities> identities) {
  const std::lock_guard lock(mutex_);
  identities_ = std::move(identities);
}

std::shared_ptr<const security::Identities> RouteTable::identities() const {
  const std::lock_guard lock(mutex_);
  return identities_;
}

void RouteTable::dispatch(net::HttpRequest request, net::Responder responder) const {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  const Route* found = nullptr;
  std::string rest;
  std::vector<std::string> allowed;
  std::string pattern = "unknown";
  for (const Route& route : routes_) {
    std::string matched;
    if (!match(route.path, request.path, matched)) continue;
    if (found == nullptr) pattern = route.path;
    if (route.method == method && found == nullptr) {
      found = &route;
      rest = std::move(matched);
    }
    if (std::find(allowed.begin(), allowed.end(), route.method) == allowed.end()) {
      allowed.push_back(route.method);
      if (route.method == "GET") allowed.push_back("HEAD");
    }
  }
  if (observer_) {
    responder.observe(
        [this, pattern = std::move(pattern), given = request.method](
            int status, std::string_view code) { observer_(pattern, given, status, code); });
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
  security::Identity identity = security::Identity::local();
  if (found->permission != Permission::kNone) {
    const std::string* key = request.header("authorization");
    auto who = identities()->identify(key);
    if (!who) {
      responder.send(unauthorized("invalid_api_key", "this key is not known here"));
      return;
    }
    if (!who->may(found->permission)) {
      const std::string message =
          fmt::format("this needs a key with the permission {}", name_of(found->permission));
      responder.send(key == nullptr ? unauthorized("key_required", message)
                                    : net::error_response(403, "permission_denied", message));
      return;
    }
    identity = std::move(*who);
  }
  if (request.body.size() > found->body_bytes_max) {
    responder.send(net::error_response(413, "body_too_large", "the request's body is too large"));
    return;
  }
  found->handler(
      Call{std::move(request), std::move(responder), std::move(rest), std::move(identity)});
}

}  // namespace hearth::api

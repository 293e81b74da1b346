#include "api/route_table.h"

#include <algorithm>

#include "api/errors.h"

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

enum class Audit : std::uint8_t {
  kNone,            // tells nothing of anybody: probes, the page, metrics, names of models
  kRequest,         // recorded before it is answered
  kAdministrative,  // recorded before anything is done
};

// By what a route asks for, so that none can forget it.
Audit audit_of(const Access& access) {
  if (!access || *access == kReadModels || *access == kReadMetrics) return Audit::kNone;
  return access->verb == Verb::kUse ? Audit::kRequest : Audit::kAdministrative;
}

}  // namespace

void RouteTable::add(std::string method, std::string path, Access access,
                     std::size_t body_bytes_max, std::function<void(Call call)> handler,
                     RouteDoc doc) {
  HEARTH_CHECK(!doc.published ||
               (!doc.tag.empty() && !doc.summary.empty() && !doc.answers.empty()));
  routes_.push_back(Route{std::move(method), std::move(path), access, body_bytes_max,
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

std::optional<security::Identity> RouteTable::identity_for(const Route& route,
                                                           const net::HttpRequest& request,
                                                           net::Responder& responder,
                                                           AuditedRequest* audited) const {
  if (!route.access) return security::Identity::local();
  const std::string* key = request.header("authorization");
  auto who = identities()->identify(
      {.authorization = key,
       .certificate = request.peer_names,
       .loopback = request.peer_is_loopback},
      clock_.wall());
  if (!who) {
    responder.send(unauthorized(who.error().code, who.error().message));
    return std::nullopt;
  }
  if (audited != nullptr) audited->identified(*who);
  if (!who->may(*route.access)) {
    const std::string message =
        fmt::format("this needs the permission to {}", to_text(*route.access));
    responder.send(key == nullptr && who->name == security::Identity::local().name
                       ? unauthorized("key_required", message)
                       : net::error_response(403, "permission_denied", message));
    return std::nullopt;
  }
  return *std::move(who);
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
  std::shared_ptr<AuditedRequest> audited;
  const Audit audit = audit_ && found != nullptr ? audit_of(found->access) : Audit::kNone;
  const bool recorded = audit != Audit::kNone && audit_->accepting();
  if (recorded) audited = std::make_shared<AuditedRequest>(audit_, request, pattern, responder);
  if (observer_ || audited) {
    responder.observe([this, pattern = std::move(pattern), given = request.method, audited](
                          int status, std::string_view code) {
      if (observer_) observer_(pattern, given, status, code);
      if (audited) audited->answered(status, code);
    });
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
  if (audit != Audit::kNone && !recorded) {
    responder.send(to_response(
        Error{ErrorKind::kExhausted, "audit_unavailable", "the audit log takes no record now"},
        request.name()));
    return;
  }
  auto identity = identity_for(*found, request, responder, audited.get());
  if (!identity) return;
  if (audited) audited->admitted();
  if (request.body.size() > found->body_bytes_max) {
    responder.send(net::error_response(413, "body_too_large", "the request's body is too large"));
    return;
  }
  Call call{std::move(request), std::move(responder), std::move(rest), *std::move(identity),
            audited};
  if (audit != Audit::kAdministrative) return found->handler(std::move(call));
  // Nothing is done before it is recorded.
  if (!call.rest.empty()) audited->target(call.rest);
  const auto waiting = std::make_shared<Call>(std::move(call));
  audited->open_before([found, waiting] { found->handler(std::move(*waiting)); });
}

}  // namespace hearth::api

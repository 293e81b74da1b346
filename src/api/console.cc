#include "api/console.h"

#include <algorithm>
#include <string>
#include <utility>

#include "crypto/sha256.h"

namespace hearth::api {
namespace {

constexpr std::size_t kBodyMax = 64u << 10;  // a body means nothing here

// Everything the page needs comes from this server, nothing is inline, and no other site may frame
// it: a hostile answer can neither run nor send anything.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

constexpr std::pair<const char*, const char*> kHeaders[] = {
    {"Content-Security-Policy", kPolicy},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    // Kept by the browser but asked for each time: a new program shows its own page at once.
    {"Cache-Control", "no-cache"},
};

// Whether one entry of the list in If-None-Match names `etag`. Weak ones count as well (RFC 9110,
// 13.1.2); our own tags hold no commas.
bool names(std::string_view list, std::string_view etag) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    std::string_view entry = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    while (!entry.empty() && (entry.front() == ' ' || entry.front() == '\t')) {
      entry.remove_prefix(1);
    }
    while (!entry.empty() && (entry.back() == ' ' || entry.back() == '\t')) entry.remove_suffix(1);
    if (entry.starts_with("W/")) entry.remove_prefix(2);
    if (entry == etag || entry == "*") return true;
  }
  return false;
}

}  // namespace

net::HttpResponse asset_response(const net::HttpRequest& request, const Asset& asset,
                                 std::string_view etag) {
  net::HttpResponse response;
  for (const auto& [name, value] : kHeaders) response.headers.emplace_back(name, value);
  response.headers.emplace_back("ETag", etag);
  const std::string* known = request.header("if-none-match");
  if (known != nullptr && names(*known, etag)) {
    response.status = 304;
    return response;
  }
  response.headers.emplace_back("Content-Type", asset.content_type);
  response.body = asset.body;
  return response;
}

void add_console(RouteTable& routes) {
  for (const Asset& asset : console_assets()) {
    std::string etag = '"' + crypto::sha256_hex(asset.body) + '"';
    routes.add("GET", std::string(asset.path), Permission::kNone, kBodyMax,
               [asset, etag = std::move(etag)](Call call) {
                 call.responder.send(asset_response(call.request, asset, etag));
               },
               {.published = false});
  }
}

}  // namespace hearth::api

// The chat page at "/": static files for anyone who may connect. What the page does afterwards
// goes through the API, with that one's permissions.
#pragma once

#include "api/assets.h"
#include "api/route_table.h"

namespace hearth::api {

void add_console(RouteTable& routes);

// 200 with the file, or 304 without it where the request has it already (If-None-Match).
// `etag`: of the body, with its quotes.
net::HttpResponse asset_response(const net::HttpRequest& request, const Asset& asset,
                                 std::string_view etag);

}  // namespace hearth::api

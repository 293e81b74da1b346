// /openapi.json: the OpenAPI 3.1 document of a route table.
//
// Beside what a route declares it says for each what any route can answer, most of it before the
// route is even looked for (src/net): 400, 403, 405, 408, 413, 415, 417, 421, 431, 500, 503, 505,
// and 401 where a permission is needed. Errors all have one shape.
//
// Extensions: `x-hearth-permission` (none, use-models, read-metrics, manage-models) and
// `x-hearth-body-bytes-max`.
#pragma once

#include <string_view>

#include "api/route_table.h"
#include "base/json.h"

namespace hearth::api {

OrderedJson openapi_document(const RouteTable& table, std::string_view version);

}  // namespace hearth::api

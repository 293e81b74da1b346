#include "api/openapi.h"

#include <algorithm>
#include <map>
#include <set>

#include "net/http.h"

namespace hearth::api {
namespace {

constexpr const char* kErrorSchema = "Error";
constexpr int kAnyRoute[] = {400, 403, 405, 408, 413, 415, 417, 421, 431, 500, 503, 505};

std::string_view meaning(int status) {
  switch (status) {
    case 400:
      return "The request is malformed, or a field of it is wrong or not supported.";
    case 401:
      return "A key is needed, or the one given is not known.";
    case 403:
      return "The identity may not do this, or the Origin is not allowed.";
    case 404:
      return "There is no such thing here.";
    case 405:
      return "The path does not take this method; Allow says which ones it takes.";
    case 408:
      return "The request came too slowly.";
    case 409:
      return "Something of that name is there already, or is in use.";
    case 413:
      return "The body is too large.";
    case 415:
      return "The body has a Content-Encoding.";
    case 417:
      return "Another expectation than 100-continue.";
    case 421:
      return "The server does not answer for this Host.";
    case 429:
      return "Too many requests are running or waiting already, or memory is used up.";
    case 431:
      return "The request's head is too large.";
    case 500:
      return "A fault of the server; it is in its log under the request id.";
    case 503:
      return "Too many connections or requests, or the server is stopping.";
    case 504:
      return "The request took longer than the server allows.";
    case 505:
      return "Neither HTTP/1.0 nor HTTP/1.1.";
    default:
      return net::status_text(status);
  }
}

OrderedJson ref(std::string_view kind, std::string_view name) {
  return {{"$ref", fmt::format("#/components/{}/{}", kind, name)}};
}

OrderedJson error_schema() {
  const OrderedJson text = {{"type", "string"}};
  OrderedJson types = OrderedJson::array({"invalid_request_error", "authentication_error",
                                          "permission_error", "rate_limit_error", "server_error"});
  OrderedJson error = {
      {"type", "object"},
      {"properties",
       {{"message", text},
        {"type", {{"type", "string"}, {"enum", std::move(types)}}},
        {"param", {{"type", {"string", "null"}}, {"description", "The field in question."}}},
        {"code", {{"type", "string"}, {"description", "Stable, for programs."}}}}},
      {"required", {"message", "type", "param", "code"}},
      {"additionalProperties", false}};
  return {{"type", "object"},
          {"properties", {{"error", std::move(error)}}},
          {"required", OrderedJson::array({"error"})},
          {"additionalProperties", false}};
}

OrderedJson headers_of(int status) {
  OrderedJson headers = OrderedJson::object();
  if (status == 405) {
    headers["Allow"] = {{"schema", {{"type", "string"}}}};
  } else if (status == 429 || status == 503) {
    headers["Retry-After"] = {{"description", "Seconds."},
                              {"schema", {{"type", "integer"}, {"minimum", 0}}}};
  }
  return headers;
}

// "Error404", the component of an error that says nothing else.
std::string error_name(int status) { return fmt::format("Error{}", status); }

// "POST /v1/chat/completions" -> "postV1ChatCompletions".
std::string operation_id(const Route& route) {
  std::string id = net::to_lower(route.method);
  bool up = false;
  for (const char c : route.path) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (letter) id += up && c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c;
    up = !letter;
  }
  return id;
}

// Collects what the document has once.
class Components {
 public:
  OrderedJson schema(const NamedSchema& named) {
    OrderedJson& there = schemas_[named.name];
    HEARTH_CHECK(there.is_null() || there == named.schema);  // two schemas under one name
    there = named.schema;
    return ref("schemas", named.name);
  }
  OrderedJson error(int status) {
    OrderedJson& response = responses_[error_name(status)];
    if (response.is_null()) {
      response = {{"description", meaning(status)},
                  {"content", {{"application/json", {{"schema", ref("schemas", kErrorSchema)}}}}}};
      OrderedJson headers = headers_of(status);
      if (!headers.empty()) response["headers"] = std::move(headers);
    }
    return ref("responses", error_name(status));
  }
  OrderedJson document() && {
    schemas_[kErrorSchema] = error_schema();
    return {{"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}},
            {"responses", std::move(responses_)},
            {"schemas", std::move(schemas_)}};
  }

 private:
  OrderedJson schemas_ = OrderedJson::object();
  OrderedJson responses_ = OrderedJson::object();
};

OrderedJson responses(const Route& route, Components& components) {
  std::map<int, OrderedJson> found;
  std::set<int> errors(std::begin(kAnyRoute), std::end(kAnyRoute));
  errors.insert(route.doc.errors.begin(), route.doc.errors.end());
  if (route.permission != Permission::kNone) errors.insert(401);
  for (const Answer& answer : route.doc.answers) {
    OrderedJson& response = found[answer.status];
    if (response.is_null()) response["description"] = answer.description;
    OrderedJson schema = components.schema(answer.schema);
    // A status with a document of the route's own can still be an error from before the route.
    if (errors.count(answer.status) != 0) {
      schema = {{"anyOf", OrderedJson::array({std::move(schema), ref("schemas", kErrorSchema)})}};
    }
    response["content"][answer.content_type]["schema"] = std::move(schema);
  }
  for (const int status : errors) {
    if (found.count(status) == 0) found[status] = components.error(status);
  }
  OrderedJson list = OrderedJson::object();
  for (auto& [status, response] : found) list[std::to_string(status)] = std::move(response);
  return list;
}

bool is_scalar(const OrderedJson& schema) {
  const auto type = schema.find("type");
  return type != schema.end() && type->is_string() && *type != "object" && *type != "array" &&
         *type != "null";
}

// What of a field's schema can stand in a query, where there is neither null nor structure.
std::optional<OrderedJson> in_query(OrderedJson schema) {
  if (const auto type = schema.find("type"); type != schema.end() && type->is_array()) {
    schema["type"] = type->front();  // the other one is null
  }
  if (const auto choices = schema.find("anyOf"); choices != schema.end()) {
    const auto one = std::find_if(choices->begin(), choices->end(), is_scalar);
    return one == choices->end() ? std::nullopt : std::optional<OrderedJson>(*one);
  }
  return is_scalar(schema) ? std::optional<OrderedJson>(std::move(schema)) : std::nullopt;
}

void add_parameters(const Route& route, OrderedJson& operation) {
  OrderedJson list = OrderedJson::array();
  const std::size_t brace = route.path.find('{');
  if (brace != std::string::npos) {
    list.push_back(
        {{"name", route.path.substr(brace + 1, route.path.size() - brace - 2)},
         {"in", "path"},
         {"required", true},
         {"schema",
          {{"type", "string"}, {"minLength", 1}, {"pattern", R"(^[^\u0000-\u001f\u007f]+$)"}}}});
  }
  if (route.doc.body && route.doc.body->also_in_query) {
    for (const auto& [name, schema] : route.doc.body->schema.schema["properties"].items()) {
      if (auto scalar = in_query(schema)) {
        list.push_back({{"name", name}, {"in", "query"}, {"schema", *std::move(scalar)}});
      }
    }
  }
  if (!list.empty()) operation["parameters"] = std::move(list);
}

OrderedJson operation(const Route& route, Components& components) {
  OrderedJson result = {{"operationId", operation_id(route)},
                        {"tags", OrderedJson::array({route.doc.tag})},
                        {"summary", route.doc.summary},
                        {"x-hearth-permission", security::name_of(route.permission)}};
  if (route.permission != Permission::kNone) {
    result["security"] = OrderedJson::array({{{"key", OrderedJson::array()}}});
    // The identity `local` needs no key, and is never an administrator.
    if (route.permission != Permission::kManageModels) {
      result["security"].push_back(OrderedJson::object());
    }
  }
  add_parameters(route, result);
  if (route.doc.body) {
    if (route.doc.body->also_in_query) {
      result["description"] =
          "The fields are in the body, or in the query of a request without one.";
    }
    if (route.body_bytes_max != kAsServer) result["x-hearth-body-bytes-max"] = route.body_bytes_max;
    result["requestBody"] = {
        {"required", !route.doc.body->also_in_query},
        {"content",
         {{"application/json", {{"schema", components.schema(route.doc.body->schema)}}}}}};
  }
  result["responses"] = responses(route, components);
  return result;
}

}  // namespace

OrderedJson openapi_document(const RouteTable& table, std::string_view version) {
  Components components;
  OrderedJson paths = OrderedJson::object();
  for (const Route& route : table.routes()) {
    if (!route.doc.published) continue;
    paths[route.path][net::to_lower(route.method)] = operation(route, components);
  }
  return {
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "Hearth"},
        {"version", version},
        {"description",
         "A server of large language models. `model` may be left out, or be `default`: the first "
         "one. A field may be null, which means that it is not set, unless it is required. HEAD is "
         "answered wherever GET is. A chat template in a request is refused at any depth."}}},
      {"servers", OrderedJson::array({{{"url", "/"}}})},
      {"paths", std::move(paths)},
      {"components", std::move(components).document()}};
}

}  // namespace hearth::api

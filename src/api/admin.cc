#include "api/admin.h"

#include <algorithm>
#include <utility>

#include "api/answer_schema.h"
#include "api/errors.h"
#include "api/fields.h"
#include "api/schema.h"
#include "base/log.h"

namespace hearth::api {
namespace {

constexpr std::size_t kBodyMax = 64u << 10;
constexpr std::size_t kLoadsWaitingMax = 16;
constexpr std::int64_t kContextMax = std::int64_t{1} << 24;

void refuse(const Call& call, const Error& error, std::string_view param = {}) {
  net::Responder responder = call.responder;
  responder.send(to_response(error, call.request.name(), param));
}

void answer(const Call& call, const OrderedJson& document) {
  net::Responder responder = call.responder;
  responder.send({200, {{"Content-Type", "application/json"}}, dump_json(document)});
}

OrderedJson describe(const ServedModel& model) {
  const engine::EngineStats stats = model.engine->stats();
  return {{"id", model.id},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "hearth"},
          {"healthy", stats.healthy},
          {"max_model_len", model.engine->limits().context},
          {"weight_bytes", model.weight_bytes},
          {"cache_bytes", model.cache_bytes},
          {"running", stats.running},
          {"waiting", stats.waiting}};
}

// What may stand in a URL and in a log line without being written in another way.
bool is_plain_id(const std::string& id) {
  return id.size() <= 128 && id != "default" && !id.starts_with('.') && !id.starts_with('/') &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-' || c == '/' || c == ':' || c == '@';
         });
}

Parsed<LoadRequest> parse_load(const Document& document) {
  LoadRequest request;
  Fields fields =
      document.described ? Fields::describing(*document.described) : Fields(document.object);
  fields.require("model");
  fields.text("model", request.model);
  fields.text("id", request.id);
  fields.integer("ctx", request.context, 0, kContextMax);
  fields.one_of("kv_type", request.kv_type, {"auto", "f16", "bf16", "int8"});
  if (!document.described && !is_plain_id(request.id)) {
    fields.fail(ErrorKind::kInvalid, "invalid_value", "id",
                "id takes up to 128 letters, digits and . _ - / : @");
  }
  fields.finish();
  if (fields.error()) return tl::unexpected<ApiError>(*fields.error());
  return request;
}

}  // namespace

Admin::Admin(ModelSet& models, ModelLoader load, const RequestLimits& limits)
    : models_(models), load_(std::move(load)), limits_(limits), pool_(1, kLoadsWaitingMax) {}

Admin::~Admin() { pool_.stop(); }

void Admin::add_routes(RouteTable& routes) {
  routes.add("GET", "/admin/models", Permission::kManageModels, kBodyMax,
             [this](const Call& call) { list(call); },
             {"Admin",
              "The models in memory, and what they hold and do",
              {},
              {json_answer(loaded_model_list_schema())},
              {}});
  routes.add("POST", "/admin/models", Permission::kManageModels, kBodyMax,
             [this](Call call) {
               const auto shared = std::make_shared<const Call>(std::move(call));
               if (!pool_.post([this, shared] { load(*shared); })) {
                 refuse(*shared,
                        Error{ErrorKind::kExhausted, "overloaded", "too many models are waiting"});
               }
             },
             {"Admin",
              "Loads a model of the store",
              RequestBody{{"LoadModelRequest", api::describe(parse_load)}},
              {json_answer(loaded_model_schema())},
              {404, 409, 503, 507}});
  routes.add("DELETE", "/admin/models/{id}", Permission::kManageModels, kBodyMax,
             [this](const Call& call) { unload(call); },
             {"Admin",
              "Takes no new requests for a model; its memory is free when open ones have ended",
              {},
              {json_answer(deleted_model_schema())},
              {404}});
}

void Admin::list(const Call& call) {
  OrderedJson data = OrderedJson::array();
  for (const auto& model : models_.list()) data.push_back(describe(*model));
  answer(call, {{"object", "list"}, {"data", std::move(data)}});
}

void Admin::load(const Call& call) {
  const auto document = read_document(call.request, false, limits_);
  if (!document) return refuse(call, document.error().error, document.error().param);
  const auto request = parse_load(*document);
  if (!request) return refuse(call, request.error().error, request.error().param);
  const auto taken = [&](const std::string& id) {
    return Error{ErrorKind::kInvalid, "model_exists",
                 fmt::format("a model is served as {} already", id)};
  };
  if (!request->id.empty() && models_.find(request->id)) return refuse(call, taken(request->id));
  if (!load_) {
    return refuse(call, Error{ErrorKind::kUnsupported, "unsupported", "models are fixed here"});
  }
  auto model = load_(*request);
  if (!model) return refuse(call, model.error(), "model");
  const std::string id = model->id;
  const OrderedJson shown = describe(*model);
  if (!models_.add(*std::move(model))) return refuse(call, taken(id));
  log::info("{} loaded by {}, request {}", id, call.identity.name, call.request.request_id);
  answer(call, shown);
}

void Admin::unload(const Call& call) {
  const auto removed = models_.remove(call.rest);
  if (!removed) {
    return refuse(call,
                  Error{ErrorKind::kNotFound, "model_not_found", "this model is not served here"});
  }
  log::info("{} unloaded by {}, request {}", call.rest, call.identity.name,
            call.request.request_id);
  answer(call, {{"id", removed->id}, {"object", "model"}, {"deleted", true}});
}

}  // namespace hearth::api

#include "api/app.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <random>

#include "api/answer.h"
#include "api/console.h"
#include "api/errors.h"
#include "api/route_table.h"
#include "api/schema.h"
#include "api/text_service.h"
#include "base/clock.h"
#include "base/task_pool.h"

namespace hearth::api {
namespace {

constexpr std::size_t kJsonBodyMax = 8u << 20;
constexpr std::size_t kNoBodyMax = 64u << 10;  // where a body means nothing

std::uint64_t random_seed() {
  std::random_device device;  // the operating system's generator
  return static_cast<std::uint64_t>(device()) << 32 | device();
}

std::int64_t unix_now() {
  const auto wall = Clock::system().wall().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(wall).count();
}

net::HttpResponse json_response(int status, const OrderedJson& document) {
  net::HttpResponse response;
  response.status = status;
  response.headers.emplace_back("Content-Type", "application/json");
  response.body = dump_json(document);
  return response;
}

OrderedJson model_json(const ServedModel& model) {
  return {
      {"id", model.id}, {"object", "model"}, {"created", model.created}, {"owned_by", "hearth"}};
}

void refuse(const Call& call, const Error& error, std::string_view param = {}) {
  net::Responder responder = call.responder;
  responder.send(to_response(error, call.request.request_id, param));
}

// What the request asks for; none, and the call is answered, if its document is not as it must be.
template <class T>
std::optional<T> read_or_refuse(const Call& call, Parsed<T> (*parse)(const Document&),
                                bool query_allowed = false) {
  const auto document = read_document(call.request, query_allowed);
  if (!document) {
    refuse(call, document.error().error, document.error().param);
    return std::nullopt;
  }
  auto parsed = parse(*document);
  if (!parsed) {
    refuse(call, parsed.error().error, parsed.error().param);
    return std::nullopt;
  }
  return *std::move(parsed);
}

}  // namespace

struct App::Impl {
  Impl(std::vector<ServedModel> m, AppOptions o)
      : models(std::move(m)),
        options(o),
        output_pool(std::make_shared<TaskPool>(1, std::numeric_limits<std::size_t>::max())),
        text_pool(std::make_unique<TaskPool>(std::max(1, o.text_threads), o.text_queue_max)) {
    HEARTH_CHECK(!models.empty());
    add_routes();
  }
  ~Impl() {
    text_pool->stop();    // no new generations
    output_pool->stop();  // engines may still hold sinks, whose posts are refused from now on
  }

  void add_routes();
  void health(const Call& call, bool ready);
  void list_models(const Call& call);
  void show_model(const Call& call);
  void generate(const Call& call);
  void complete(const Call& call);
  void chat(const Call& call);
  void tokenize(const Call& call);
  void detokenize(const Call& call);

  const ServedModel* find(const std::string& name) const;
  // Null, and the call is answered, if there is no such model.
  const ServedModel* find_or_refuse(const Call& call, const std::string& name) const;
  void start(const Call& call, AnswerKind kind, const ServedModel& model,
             const GenerationParams& params, Result<std::vector<engine::TokenId>> prompt);
  // The handler of a route that works on the text pool.
  std::function<void(Call)> on_pool(void (Impl::*work)(const Call&));

  const std::vector<ServedModel> models;
  const AppOptions options;
  RouteTable routes;
  std::atomic<engine::RequestId> next_id{1};
  // One thread: detokenizing and JSON take microseconds per token. Never refuses: a request has at
  // most one task in it.
  const std::shared_ptr<TaskPool> output_pool;
  const std::unique_ptr<TaskPool> text_pool;
};

void App::Impl::add_routes() {
  const auto inline_route = [this](void (Impl::*work)(const Call&)) {
    return [this, work](Call call) { (this->*work)(call); };
  };
  routes.add("GET", "/health", Permission::kNone, kNoBodyMax,
             [this](Call call) { health(call, false); });
  routes.add("GET", "/ready", Permission::kNone, kNoBodyMax,
             [this](Call call) { health(call, true); });
  routes.add("GET", "/v1/models", Permission::kUseModels, kNoBodyMax,
             inline_route(&Impl::list_models));
  routes.add("GET", "/v1/models/{id}", Permission::kUseModels, kNoBodyMax,
             inline_route(&Impl::show_model));
  routes.add("POST", "/generate", Permission::kUseModels, kJsonBodyMax, on_pool(&Impl::generate));
  routes.add("POST", "/v1/completions", Permission::kUseModels, kJsonBodyMax,
             on_pool(&Impl::complete));
  routes.add("POST", "/v1/chat/completions", Permission::kUseModels, kJsonBodyMax,
             on_pool(&Impl::chat));
  routes.add("POST", "/tokenize", Permission::kUseModels, kJsonBodyMax, on_pool(&Impl::tokenize));
  routes.add("POST", "/detokenize", Permission::kUseModels, kJsonBodyMax,
             on_pool(&Impl::detokenize));
  add_console(routes);
}

std::function<void(Call)> App::Impl::on_pool(void (Impl::*work)(const Call&)) {
  return [this, work](Call call) {
    const auto shared = std::make_shared<const Call>(std::move(call));
    if (!text_pool->post([this, work, shared] { (this->*work)(*shared); })) {
      refuse(*shared, Error{ErrorKind::kExhausted, "overloaded", "too many requests are waiting"});
    }
  };
}

// A process whose engine is dead is not healthy, however well it answers.
void App::Impl::health(const Call& call, bool ready) {
  const bool healthy = std::all_of(models.begin(), models.end(), [](const ServedModel& model) {
    return model.engine->stats().healthy;
  });
  const char* good = ready ? "ready" : "ok";
  net::HttpResponse response =
      json_response(healthy ? 200 : 503, {{"status", healthy ? good : "engine_failed"}});
  net::Responder responder = call.responder;
  responder.send(std::move(response));
}

void App::Impl::list_models(const Call& call) {
  OrderedJson list = OrderedJson::array();
  for (const ServedModel& model : models) list.push_back(model_json(model));
  net::Responder responder = call.responder;
  responder.send(json_response(200, {{"object", "list"}, {"data", std::move(list)}}));
}

void App::Impl::show_model(const Call& call) {
  const ServedModel* model = find_or_refuse(call, call.rest);
  if (model == nullptr) return;
  net::Responder responder = call.responder;
  responder.send(json_response(200, model_json(*model)));
}

const ServedModel* App::Impl::find(const std::string& name) const {
  if (name.empty() || name == "default") return &models.front();
  for (const ServedModel& model : models) {
    if (model.id == name) return &model;
  }
  return nullptr;
}

const ServedModel* App::Impl::find_or_refuse(const Call& call, const std::string& name) const {
  const ServedModel* model = find(name);
  if (model == nullptr) {
    refuse(call, Error{ErrorKind::kNotFound, "model_not_found", "this model is not served here"},
           "model");
  }
  return model;
}

void App::Impl::generate(const Call& call) {
  const auto parsed = read_or_refuse(call, parse_generate, true);
  if (!parsed) return;
  const ServedModel* model = find_or_refuse(call, parsed->params.model);
  if (model == nullptr) return;
  start(call, AnswerKind::kGenerate, *model, parsed->params, encode_prompt(*model, parsed->prompt));
}

void App::Impl::complete(const Call& call) {
  const auto parsed = read_or_refuse(call, parse_completion);
  if (!parsed) return;
  const ServedModel* model = find_or_refuse(call, parsed->params.model);
  if (model == nullptr) return;
  const auto* ids = std::get_if<std::vector<engine::TokenId>>(&parsed->prompt);
  start(call, AnswerKind::kCompletion, *model, parsed->params,
        ids != nullptr ? Result<std::vector<engine::TokenId>>(*ids)
                       : encode_prompt(*model, std::get<std::string>(parsed->prompt)));
}

void App::Impl::chat(const Call& call) {
  const auto parsed = read_or_refuse(call, parse_chat);
  if (!parsed) return;
  const ServedModel* model = find_or_refuse(call, parsed->params.model);
  if (model == nullptr) return;
  start(call, AnswerKind::kChat, *model, parsed->params, encode_chat(*model, parsed->messages));
}

// The ids that /generate (for `prompt`) or the chat route (for `messages`) would compute.
void App::Impl::tokenize(const Call& call) {
  const auto parsed = read_or_refuse(call, parse_tokenize);
  if (!parsed) return;
  const ServedModel* model = find_or_refuse(call, parsed->model);
  if (model == nullptr) return;
  const auto tokens = parsed->messages.is_null() ? encode_prompt(*model, parsed->prompt)
                                                 : encode_chat(*model, parsed->messages);
  if (!tokens) return refuse(call, tokens.error());
  net::Responder responder = call.responder;
  responder.send(json_response(200, {{"count", tokens->size()},
                                     {"max_model_len", model->engine->limits().context},
                                     {"tokens", *tokens}}));
}

void App::Impl::detokenize(const Call& call) {
  const auto parsed = read_or_refuse(call, parse_detokenize);
  if (!parsed) return;
  const ServedModel* model = find_or_refuse(call, parsed->model);
  if (model == nullptr) return;
  const auto text = decode(*model, parsed->tokens);
  if (!text) return refuse(call, text.error(), "tokens");
  net::Responder responder = call.responder;
  responder.send(json_response(200, {{"prompt", *text}}));
}

void App::Impl::start(const Call& call, AnswerKind kind, const ServedModel& model,
                      const GenerationParams& params, Result<std::vector<engine::TokenId>> prompt) {
  if (!prompt) return refuse(call, prompt.error());
  if (!model.tokenizer) {
    return refuse(call, Error{ErrorKind::kInvalid, "no_tokenizer",
                              "this model has no tokenizer, its tokens cannot become text"});
  }
  if (const Status fits = check_prompt_length(model, prompt->size()); !fits) {
    return refuse(call, fits.error(), "prompt");
  }
  const engine::EngineLimits& limits = model.engine->limits();
  const auto known = [&](engine::TokenId id) { return id >= 0 && id < limits.vocab; };
  if (!std::all_of(prompt->begin(), prompt->end(), known)) {
    return refuse(call, Error{ErrorKind::kInvalid, "invalid_prompt", "a token id is out of range"},
                  "prompt");
  }
  for (const auto& [id, bias] : params.sampling.logit_bias) {
    if (!known(id)) {
      return refuse(call, Error{ErrorKind::kInvalid, "invalid_value", "a token id is out of range"},
                    "logit_bias");
    }
  }
  if (params.max_tokens.value_or(0) > limits.context) {
    return refuse(call,
                  Error{ErrorKind::kInvalid, "context_length_exceeded",
                        fmt::format("the model's context has {} tokens", limits.context)},
                  "max_tokens");
  }
  const std::int64_t left = limits.context - static_cast<std::int64_t>(prompt->size());
  const std::int64_t share = std::max<std::int64_t>(1, kOutputTokensMax / params.choices);

  engine::GenerateRequest request;
  request.id = next_id++;
  request.trace_id = call.request.request_id;
  request.model = model.id;
  request.prompt = *std::move(prompt);
  request.max_tokens = static_cast<std::int32_t>(
      params.max_tokens ? std::min(*params.max_tokens, left) : std::min(left, share));
  request.choices = static_cast<std::int32_t>(params.choices);
  request.ignore_eos = params.ignore_eos;
  request.sampling = params.sampling;
  request.sampling.seed = params.seed ? *params.seed : random_seed();
  if (options.request_timeout.count() > 0) {
    const auto deadline = Clock::system().now() + options.request_timeout;
    request.deadline_ns = deadline.time_since_epoch().count();
  }

  AnswerInfo info;
  info.kind = kind;
  info.id = (kind == AnswerKind::kChat ? "chatcmpl-" : "cmpl-") + net::random_hex(12);
  info.model = model.id;
  info.created = unix_now();
  info.request_id = call.request.request_id;
  info.choices = static_cast<int>(params.choices);
  info.stream = params.stream;
  info.include_usage = params.include_usage;
  info.logprobs = params.sampling.top_logprobs >= 0;

  const auto generation =
      std::make_shared<Generation>(*model.engine, model.tokenizer, output_pool, std::move(request),
                                   params.stop, make_answer(info, call.responder));
  net::Responder responder = call.responder;
  // Weak: the answer is a part of the generation, and the callback a part of the answer.
  responder.on_disconnect([weak = std::weak_ptr(generation)] {
    if (const auto alive = weak.lock()) alive->cancel();
  });
  generation->start();
}

App::App(std::vector<ServedModel> models, AppOptions options)
    : impl_(std::make_unique<Impl>(std::move(models), options)) {}

App::~App() = default;

net::Handler App::handler() {
  return [impl = impl_.get()](net::HttpRequest request, net::Responder responder) {
    impl->routes.dispatch(std::move(request), std::move(responder));
  };
}

const RouteTable& App::routes() const { return impl_->routes; }

}  // namespace hearth::api

#include "api/app.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <mutex>
#include <optional>
#include <random>

#include "api/answer.h"
#include "api/answer_schema.h"
#include "api/console.h"
#include "api/embeddings.h"
#include "api/errors.h"
#include "api/metrics.h"
#include "api/openapi.h"
#include "api/route_table.h"
#include "api/schema.h"
#include "api/text_service.h"
#include "base/clock.h"
#include "base/task_pool.h"

namespace hearth::api {
namespace {

constexpr std::size_t kNoBodyMax = 64u << 10;  // where a body means nothing

std::uint64_t random_seed() {
  std::random_device device;  // the operating system's generator
  return static_cast<std::uint64_t>(device()) << 32 | device();
}

std::int64_t unix_now(const Clock& clock) {
  const auto wall = clock.wall().time_since_epoch();
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
  responder.send(to_response(error, call.request.name(), param));
}

// What the request asks for; none, and the call is answered, if its document is not as it must be.
template <class T>
std::optional<T> read_or_refuse(const Call& call, Parsed<T> (*parse)(const Document&),
                                const RequestLimits& limits, bool query_allowed = false) {
  const auto document = read_document(call.request, query_allowed, limits);
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
      : options(std::move(o)),
        request_timeout(options.request_timeout),
        admin(models, options.load_model, options.requests),
        output_pool(std::make_shared<TaskPool>(1, std::numeric_limits<std::size_t>::max())),
        text_pool(
            std::make_unique<TaskPool>(std::max(1, options.text_threads), options.text_queue_max)) {
    for (ServedModel& model : m) HEARTH_CHECK(models.add(std::move(model)));
    routes.observe([this](const std::string& route, const std::string& method, int status,
                          std::string_view code) {
      metrics->count_request(route, method, status);
      if (!code.empty()) metrics->count_error(code);
    });
    add_routes();
  }
  ~Impl() {
    text_pool->stop();    // no new generations
    output_pool->stop();  // engines may still hold sinks, whose posts are refused from now on
  }

  void add_routes();
  void health(const Call& call, bool ready);
  void openapi(const Call& call);
  void show_metrics(const Call& call);
  void list_models(const Call& call);
  void show_model(const Call& call);
  void generate(const Call& call);
  void complete(const Call& call);
  void chat(const Call& call);
  void embed(const Call& call);
  void tokenize(const Call& call);
  void detokenize(const Call& call);

  // Null, and the call is answered, if there is no such model.
  ModelSet::Entry find_or_refuse(const Call& call, const std::string& name) const;
  // False, and the call is answered, unless the engine can be asked for these tokens.
  bool fits_or_refuse(const Call& call, const ServedModel& model,
                      const Result<std::vector<engine::TokenId>>& prompt, const char* param) const;
  engine::GenerateRequest request_for(const Call& call, const ServedModel& model,
                                      std::vector<engine::TokenId> prompt);
  void start(const Call& call, AnswerKind kind, const ServedModel& model,
             const GenerationParams& params, Result<std::vector<engine::TokenId>> prompt);
  // The handler of a route that works on the text pool.
  std::function<void(Call)> on_pool(void (Impl::*work)(const Call&));

  const AppOptions options;
  std::atomic<std::chrono::milliseconds> request_timeout;
  std::atomic<bool> stopping{false};
  // Shared with the streams, which may end after the app.
  const std::shared_ptr<Metrics> metrics = std::make_shared<Metrics>();
  ModelSet models{[this](const std::string& id) { metrics->forget(id); }};
  RouteTable routes;
  std::mutex server_mutex;
  std::function<net::ServerStats()> server_stats;  // guarded by server_mutex
  Admin admin;
  std::string openapi_text;  // /openapi.json
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
  // Which model, and what its queue and its text pool can refuse.
  const std::vector<int> generation_errors = {404, 429, 503, 504};
  const std::vector<Answer> health_answers = {
      json_answer(health_schema()), json_answer(health_schema(), 503, "An engine has failed.")};
  routes.add("GET", "/health", Permission::kNone, kNoBodyMax,
             [this](Call call) { health(call, false); },
             {"Server", "Whether the server is alive", {}, health_answers, {}});
  routes.add("GET", "/ready", Permission::kNone, kNoBodyMax,
             [this](Call call) { health(call, true); },
             {"Server", "Whether the server can generate", {}, health_answers, {}});
  routes.add("GET", "/openapi.json", Permission::kNone, kNoBodyMax, inline_route(&Impl::openapi),
             {"Server", "This document", {}, {json_answer(openapi_schema())}, {}});
  // Not on the pool: it must answer also when the pool's queue is full.
  routes.add("GET", "/metrics", Permission::kReadMetrics, kNoBodyMax,
             inline_route(&Impl::show_metrics),
             {"Server", "What Prometheus reads", {}, {metrics_answer()}, {}});
  routes.add("GET", "/v1/models", Permission::kUseModels, kNoBodyMax,
             inline_route(&Impl::list_models),
             {"Models", "The models served", {}, {json_answer(model_list_schema())}, {}});
  routes.add("GET", "/v1/models/{id}", Permission::kUseModels, kNoBodyMax,
             inline_route(&Impl::show_model),
             {"Models", "One model", {}, {json_answer(model_schema())}, {404}});
  routes.add("POST", "/generate", Permission::kUseModels, kAsServer, on_pool(&Impl::generate),
             {"Generation",
              "Continues a prompt, which is taken as it is",
              RequestBody{{"GenerateRequest",
                           describe(parse_generate, OrderedJson::object(), options.requests)},
                          true},
              {json_answer(generate_schema()), stream_answer()},
              generation_errors});
  routes.add("POST", "/v1/completions", Permission::kUseModels, kAsServer, on_pool(&Impl::complete),
             {"Generation",
              "Continues a prompt, as the OpenAI API does",
              RequestBody{{"CompletionRequest",
                           describe(parse_completion, OrderedJson::object(), options.requests)}},
              {json_answer(completion_schema()), stream_answer()},
              generation_errors});
  routes.add(
      "POST", "/v1/chat/completions", Permission::kUseModels, kAsServer, on_pool(&Impl::chat),
      {"Generation",
       "Answers a conversation, as the OpenAI API does",
       RequestBody{{"ChatRequest", describe(parse_chat, OrderedJson::object(), options.requests)}},
       {json_answer(chat_schema()), stream_answer()},
       generation_errors});
  routes.add("POST", "/v1/embeddings", Permission::kUseModels, kAsServer, on_pool(&Impl::embed),
             {"Text",
              "What the model makes of texts, as vectors of length 1",
              RequestBody{{"EmbeddingRequest",
                           describe(parse_embedding, OrderedJson::object(), options.requests)}},
              {json_answer(embeddings_schema())},
              generation_errors});
  const OrderedJson either =
      OrderedJson::array({describe(parse_tokenize, OrderedJson::object(), options.requests),
                          describe(parse_tokenize, {{"messages", nullptr}}, options.requests)});
  routes.add("POST", "/tokenize", Permission::kUseModels, kAsServer, on_pool(&Impl::tokenize),
             {"Text",
              "The tokens of a prompt or of a conversation",
              RequestBody{{"TokenizeRequest", {{"anyOf", either}}}},
              {json_answer(tokens_schema())},
              {404, 503}});
  routes.add("POST", "/detokenize", Permission::kUseModels, kAsServer, on_pool(&Impl::detokenize),
             {"Text",
              "The text of tokens",
              RequestBody{{"DetokenizeRequest",
                           describe(parse_detokenize, OrderedJson::object(), options.requests)}},
              {json_answer(text_schema())},
              {404, 503}});
  admin.add_routes(routes);
  add_console(routes);
  openapi_text = dump_json(openapi_document(routes, HEARTH_VERSION));
}

void App::Impl::openapi(const Call& call) {
  net::HttpResponse response;
  response.headers.emplace_back("Content-Type", "application/json");
  response.body = openapi_text;
  net::Responder responder = call.responder;
  responder.send(std::move(response));
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
  const auto all = models.list();
  const bool healthy = std::all_of(all.begin(), all.end(), [](const ModelSet::Entry& model) {
    return model->engine->stats().healthy;
  });
  const char* status = ready ? "ready" : "ok";
  if (!healthy) {
    status = "engine_failed";
  } else if (ready && stopping) {
    status = "stopping";
  } else if (ready && all.empty()) {
    status = "no_model";
  }
  const bool good = healthy && (!ready || (!stopping && !all.empty()));
  net::Responder responder = call.responder;
  responder.send(json_response(good ? 200 : 503, {{"status", status}}));
}

void App::Impl::show_metrics(const Call& call) {
  ServerState state;
  for (const auto& model : models.list()) {
    state.models.push_back({model->id, model->engine->limits().context, model->engine->stats()});
  }
  {
    const std::lock_guard lock(server_mutex);
    if (server_stats) state.connections = server_stats();
  }
  state.text_queue = text_pool->waiting();
  state.text_queue_max = options.text_queue_max;
  net::HttpResponse response;
  response.headers.emplace_back("Content-Type", Metrics::content_type());
  response.body = metrics->text(state);
  net::Responder responder = call.responder;
  responder.send(std::move(response));
}

void App::Impl::list_models(const Call& call) {
  OrderedJson list = OrderedJson::array();
  for (const auto& model : models.list()) list.push_back(model_json(*model));
  net::Responder responder = call.responder;
  responder.send(json_response(200, {{"object", "list"}, {"data", std::move(list)}}));
}

void App::Impl::show_model(const Call& call) {
  const auto model = find_or_refuse(call, call.rest);
  if (!model) return;
  net::Responder responder = call.responder;
  responder.send(json_response(200, model_json(*model)));
}

ModelSet::Entry App::Impl::find_or_refuse(const Call& call, const std::string& name) const {
  auto model = models.find(name);
  if (!model) {
    refuse(call, Error{ErrorKind::kNotFound, "model_not_found", "this model is not served here"},
           "model");
  }
  return model;
}

void App::Impl::generate(const Call& call) {
  const auto parsed = read_or_refuse(call, parse_generate, options.requests, true);
  if (!parsed) return;
  const auto model = find_or_refuse(call, parsed->params.model);
  if (!model) return;
  start(call, AnswerKind::kGenerate, *model, parsed->params, encode_prompt(*model, parsed->prompt));
}

void App::Impl::complete(const Call& call) {
  const auto parsed = read_or_refuse(call, parse_completion, options.requests);
  if (!parsed) return;
  const auto model = find_or_refuse(call, parsed->params.model);
  if (!model) return;
  const auto* ids = std::get_if<std::vector<engine::TokenId>>(&parsed->prompt);
  start(call, AnswerKind::kCompletion, *model, parsed->params,
        ids != nullptr ? Result<std::vector<engine::TokenId>>(*ids)
                       : encode_prompt(*model, std::get<std::string>(parsed->prompt)));
}

void App::Impl::chat(const Call& call) {
  const auto parsed = read_or_refuse(call, parse_chat, options.requests);
  if (!parsed) return;
  const auto model = find_or_refuse(call, parsed->params.model);
  if (!model) return;
  start(call, AnswerKind::kChat, *model, parsed->params, encode_chat(*model, parsed->messages));
}

// The ids that /generate (for `prompt`) or the chat route (for `messages`) would compute.
void App::Impl::tokenize(const Call& call) {
  const auto parsed = read_or_refuse(call, parse_tokenize, options.requests);
  if (!parsed) return;
  const auto model = find_or_refuse(call, parsed->model);
  if (!model) return;
  const auto tokens = parsed->messages.is_null() ? encode_prompt(*model, parsed->prompt)
                                                 : encode_chat(*model, parsed->messages);
  if (!tokens) return refuse(call, tokens.error());
  net::Responder responder = call.responder;
  responder.send(json_response(200, {{"count", tokens->size()},
                                     {"max_model_len", model->engine->limits().context},
                                     {"tokens", *tokens}}));
}

void App::Impl::detokenize(const Call& call) {
  const auto parsed = read_or_refuse(call, parse_detokenize, options.requests);
  if (!parsed) return;
  const auto model = find_or_refuse(call, parsed->model);
  if (!model) return;
  const auto text = decode(*model, parsed->tokens);
  if (!text) return refuse(call, text.error(), "tokens");
  net::Responder responder = call.responder;
  responder.send(json_response(200, {{"prompt", *text}}));
}

void App::Impl::embed(const Call& call) {
  const auto parsed = read_or_refuse(call, parse_embedding, options.requests);
  if (!parsed) return;
  const auto model = find_or_refuse(call, parsed->model);
  if (!model) return;
  std::vector<engine::GenerateRequest> requests;
  for (const PromptOrIds& input : parsed->inputs) {
    const auto* ids = std::get_if<std::vector<engine::TokenId>>(&input);
    auto prompt = ids != nullptr ? Result<std::vector<engine::TokenId>>(*ids)
                                 : encode_prompt(*model, std::get<std::string>(input));
    if (!fits_or_refuse(call, *model, prompt, "input")) return;
    requests.push_back(request_for(call, *model, *std::move(prompt)));
    requests.back().embed = true;
  }
  // A stretch of their own, as other calls take ids meanwhile.
  const engine::RequestId first_id = next_id.fetch_add(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) requests[i].id = first_id + i;
  const auto embeddings = std::make_shared<Embeddings>(
      model->engine, output_pool, std::move(requests),
      EmbeddingInfo{model->id, call.request.name(), parsed->base64}, call.responder,
      metrics->model(model->id, model->engine->limits().context));
  net::Responder responder = call.responder;
  responder.on_disconnect([weak = std::weak_ptr(embeddings)] {
    if (const auto alive = weak.lock()) alive->cancel();
  });
  embeddings->start();
}

bool App::Impl::fits_or_refuse(const Call& call, const ServedModel& model,
                               const Result<std::vector<engine::TokenId>>& prompt,
                               const char* param) const {
  if (!prompt) {
    refuse(call, prompt.error());
    return false;
  }
  if (stopping) {
    refuse(call, Error{ErrorKind::kExhausted, "shutting_down", "this server is stopping"});
    return false;
  }
  if (const Status fits = check_prompt_length(model, prompt->size()); !fits) {
    refuse(call, fits.error(), param);
    return false;
  }
  const std::int64_t vocab = model.engine->limits().vocab;
  const auto known = [&](engine::TokenId id) { return id >= 0 && id < vocab; };
  if (!std::all_of(prompt->begin(), prompt->end(), known)) {
    refuse(call, Error{ErrorKind::kInvalid, "invalid_prompt", "a token id is out of range"}, param);
    return false;
  }
  return true;
}

engine::GenerateRequest App::Impl::request_for(const Call& call, const ServedModel& model,
                                               std::vector<engine::TokenId> prompt) {
  engine::GenerateRequest request;
  request.trace_id = call.request.name().for_log();
  request.identity = call.identity.name;
  request.weight = call.identity.weight;
  if (call.identity.batch_only) request.priority = engine::Priority::kBatch;
  // Nobody else's prompts can be told from the time taken.
  request.tenant_salt = call.identity.name;
  request.model = model.id;
  request.prompt = std::move(prompt);
  if (const auto timeout = request_timeout.load(); timeout.count() > 0) {
    const auto deadline = options.clock->now() + timeout;
    request.deadline_ns = deadline.time_since_epoch().count();
  }
  return request;
}

void App::Impl::start(const Call& call, AnswerKind kind, const ServedModel& model,
                      const GenerationParams& params, Result<std::vector<engine::TokenId>> prompt) {
  if (!fits_or_refuse(call, model, prompt, "prompt")) return;
  if (!model.tokenizer) {
    return refuse(call, Error{ErrorKind::kInvalid, "no_tokenizer",
                              "this model has no tokenizer, its tokens cannot become text"});
  }
  const engine::EngineLimits& limits = model.engine->limits();
  for (const auto& [id, bias] : params.sampling.logit_bias) {
    if (id < 0 || id >= limits.vocab) {
      return refuse(call, Error{ErrorKind::kInvalid, "invalid_value", "a token id is out of range"},
                    "logit_bias");
    }
  }
  if (call.identity.batch_only && params.priority == engine::Priority::kInteractive) {
    return refuse(call,
                  Error{ErrorKind::kInvalid, "priority_not_allowed",
                        "this key's requests wait for all others: service_tier auto or flex"},
                  "service_tier");
  }
  if (params.max_tokens_given && *params.max_tokens > limits.context) {
    return refuse(call,
                  Error{ErrorKind::kInvalid, "context_length_exceeded",
                        fmt::format("the model's context has {} tokens", limits.context)},
                  "max_tokens");
  }
  const std::int64_t left = limits.context - static_cast<std::int64_t>(prompt->size());
  const std::int64_t share =
      std::max<std::int64_t>(1, options.requests.output_tokens_max / params.choices);

  engine::GenerateRequest request = request_for(call, model, *std::move(prompt));
  request.id = next_id++;
  if (params.priority) request.priority = *params.priority;
  request.max_tokens = static_cast<std::int32_t>(
      params.max_tokens ? std::min(*params.max_tokens, left) : std::min(left, share));
  request.choices = static_cast<std::int32_t>(params.choices);
  request.ignore_eos = params.ignore_eos;
  request.sampling = params.sampling;
  request.sampling.seed = params.seed ? *params.seed : random_seed();

  AnswerInfo info;
  info.kind = kind;
  info.id = (kind == AnswerKind::kChat ? "chatcmpl-" : "cmpl-") + net::random_hex(12);
  info.model = model.id;
  info.created = unix_now(*options.clock);
  info.request = call.request.name();
  info.choices = static_cast<int>(params.choices);
  info.stream = params.stream;
  info.include_usage = params.include_usage;
  info.logprobs = params.sampling.top_logprobs >= 0;

  auto answer =
      make_answer(info, call.responder, options.keep_alive_interval,
                  [counter = metrics](std::string_view code) { counter->count_error(code); });
  const auto generation = std::make_shared<Generation>(
      model.engine, model.tokenizer, output_pool, std::move(request), params.stop,
      std::move(answer), metrics->model(model.id, limits.context), *options.clock);
  net::Responder responder = call.responder;
  // Weak: the answer is a part of the generation, and the callback a part of the answer.
  responder.on_disconnect([weak = std::weak_ptr(generation)] {
    if (const auto alive = weak.lock()) alive->cancel();
  });
  generation->start();
}

App::App(std::vector<ServedModel> models, AppOptions options)
    : impl_(std::make_unique<Impl>(std::move(models), std::move(options))) {}

App::~App() = default;

net::Handler App::handler() {
  return [impl = impl_.get()](net::HttpRequest request, net::Responder responder) {
    impl->routes.dispatch(std::move(request), std::move(responder));
  };
}

std::function<void(int status, std::string_view code)> App::on_refusal() {
  return [metrics = impl_->metrics](int status, std::string_view code) {
    metrics->count_request("refused", "other", status);
    metrics->count_error(code);
  };
}

void App::watch_server(std::function<net::ServerStats()> stats) {
  const std::lock_guard lock(impl_->server_mutex);
  impl_->server_stats = std::move(stats);
}

const RouteTable& App::routes() const { return impl_->routes; }

ModelSet& App::models() { return impl_->models; }

void App::set_identities(std::shared_ptr<const security::Identities> identities) {
  impl_->routes.set_identities(std::move(identities));
}

void App::set_request_timeout(std::chrono::milliseconds timeout) {
  impl_->request_timeout = timeout;
}

void App::count_config_reload(bool taken) { impl_->metrics->count_config_reload(taken); }

void App::stop_taking_requests() { impl_->stopping = true; }

}  // namespace hearth::api

#include "apps/serving.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include "base/log.h"
#include "base/task_pool.h"
#include "engine/engine_reaper.h"
#include "store/store.h"

namespace hearth::apps {
namespace {

// Two of them are the same model if they would be written the same way.
std::string as_text(const ServedOptions& model) {
  ServedOptions copy = model;
  return print_settings([&](Settings& in) { describe(in, copy); });
}

std::string as_text(const net::ServerOptions& server) {
  return fmt::format("{}:{} {} {}", server.host, server.port, server.io_threads,
                     fmt::join(server.allowed_hosts, ","));
}

class Serving {
 public:
  explicit Serving(ServeConfig config) : config_(std::move(config)) {}

  Status run(const std::function<Result<ServeConfig>()>& read_again);

 private:
  Result<api::ServedModel> load(const ServedOptions& options);
  Result<api::ServedModel> load_from_store(const api::LoadRequest& request);
  void on_engine_failure();
  void reload(const std::function<Result<ServeConfig>()>& read_again);
  void apply_models(std::vector<ServedOptions> wanted);
  Status apply_keys(const std::vector<security::KeyEntry>& keys);

  ServeConfig config_;
  std::map<std::string, std::string> configured_;  // id of a served model -> its entry as text
  std::mutex load_mutex_;  // one at a time: each looks at the memory that is left
  std::mutex failure_mutex_;
  bool failed_ = false;
  net::Server* stop_on_failure_ = nullptr;
  engine::EngineReaper engines_;  // outlives the app, whose requests hold engines
  std::unique_ptr<api::App> app_;
  std::unique_ptr<net::Server> server_;
};

Result<api::ServedModel> Serving::load(const ServedOptions& options) {
  const std::lock_guard lock(load_mutex_);
  return load_served(options, engines_, [this] { on_engine_failure(); });
}

Result<api::ServedModel> Serving::load_from_store(const api::LoadRequest& request) {
  // A name, never a path: whoever may load models may not look at other files.
  HEARTH_TRY(const store::Store store, store::Store::open_default());
  HEARTH_TRY(const std::string path, store.resolve(request.model));
  ServedOptions options;
  options.model = path;
  options.id = request.id;
  options.context = request.context;
  options.kv_type = request.kv_type;
  return load(options);
}

// On the engine's thread. All its requests have had their error; the others get the time that
// draining gives them, and whoever started this process will start it again.
void Serving::on_engine_failure() {
  const std::lock_guard lock(failure_mutex_);
  failed_ = true;
  if (stop_on_failure_ != nullptr) stop_on_failure_->stop();
}

Status Serving::apply_keys(const std::vector<security::KeyEntry>& keys) {
  HEARTH_TRY(auto identities, security::Identities::create(keys));
  app_->set_identities(std::make_shared<const security::Identities>(std::move(identities)));
  return {};
}

void Serving::apply_models(std::vector<ServedOptions> wanted) {
  // An administrator may have unloaded what the configuration had loaded.
  std::erase_if(configured_, [&](const auto& entry) { return !app_->models().find(entry.first); });
  std::map<std::string, std::string> kept;  // entry as text -> id
  for (const auto& [id, text] : configured_) kept[text] = id;
  const std::string first = wanted.empty() ? std::string() : as_text(wanted.front());
  std::vector<ServedOptions> fresh;
  for (ServedOptions& model : wanted)
    if (kept.erase(as_text(model)) == 0) fresh.push_back(std::move(model));
  // First those that go, so that there is room for those that come.
  for (const auto& [text, id] : kept) {
    app_->models().remove(id);
    configured_.erase(id);
    log::info("{} unloaded", id);
  }
  for (const ServedOptions& options : fresh) {
    auto model = load(options);
    if (!model) {
      log::error("{} is not served: {}", options.model, model.error().message);
      continue;
    }
    const std::string id = model->id;
    if (app_->models().add(*std::move(model))) {
      configured_[id] = as_text(options);
    } else {
      log::error("{} is not served: another model is called {} already", options.model, id);
    }
  }
  for (const auto& [id, text] : configured_)
    if (text == first) app_->models().make_default(id);
}

void Serving::reload(const std::function<Result<ServeConfig>()>& read_again) {
  auto read = read_again();
  Status keys;
  if (read) keys = apply_keys(read->keys);
  if (!read || !keys) {
    log::error("the configuration stays as it was: {}",
               read ? keys.error().message : read.error().message);
    return;
  }
  if (as_text(read->server) != as_text(config_.server) ||
      read->app.text_threads != config_.app.text_threads ||
      read->app.text_queue_max != config_.app.text_queue_max)
    log::warn("[server], [requests] and text_queue_max are read at the start only");
  log::set_level(read->log_level.c_str());
  server_->set_limits(read->server);
  app_->set_request_timeout(read->app.request_timeout);
  apply_models(read->models);
  config_ = *std::move(read);
  log::info("configuration read again");
}

Status Serving::run(const std::function<Result<ServeConfig>()>& read_again) {
  config_.app.load_model = [this](const api::LoadRequest& request) {
    return load_from_store(request);
  };
  std::vector<api::ServedModel> models;
  for (const ServedOptions& options : config_.models) {
    HEARTH_TRY(api::ServedModel model, load(options));
    const auto same = [&](const api::ServedModel& other) { return other.id == model.id; };
    if (std::any_of(models.begin(), models.end(), same))
      return invalid("invalid_config", "two models are called {}; give one of them an id",
                     model.id);
    configured_[model.id] = as_text(options);
    models.push_back(std::move(model));
  }
  app_ = std::make_unique<api::App>(std::move(models), config_.app);
  HEARTH_TRY_VOID(apply_keys(config_.keys));

  TaskPool reloads(1, 1);  // a hang-up that comes while another is waiting asks for the same
  net::ServerOptions options = config_.server;
  options.on_stop = [this] { app_->stop_taking_requests(); };
  if (read_again) {
    options.on_hangup = [&] { reloads.post([&] { reload(read_again); }); };
  }
  options.on_refusal = app_->on_refusal();
  server_ = std::make_unique<net::Server>(options, app_->handler());
  app_->watch_server([this] { return server_->stats(); });
  HEARTH_TRY_VOID(server_->listen());
  {
    const std::lock_guard lock(failure_mutex_);
    stop_on_failure_ = server_.get();
    if (failed_) server_->stop();
  }
  log::info("ready: http://{}:{}", config_.server.host, server_->port());
  server_->run();
  reloads.stop();
  const std::lock_guard lock(failure_mutex_);
  stop_on_failure_ = nullptr;
  if (failed_) return fail(ErrorKind::kInternal, "engine_failed", "an engine failed, see the log");
  log::info("stopped");
  return {};
}

}  // namespace

Status serve(ServeConfig config, const std::function<Result<ServeConfig>()>& read_again) {
  Serving serving(std::move(config));
  return serving.run(read_again);
}

}  // namespace hearth::apps

#include "apps/serving.h"

#include <memory>
#include <mutex>
#include <utility>

#include "apps/configured_models.h"
#include "base/log.h"
#include "base/task_pool.h"
#include "engine/engine_reaper.h"
#include "store/store.h"

namespace hearth::apps {
namespace {

// The settings that hold until the next start, as text.
std::string at_start_only(ServeConfig config) {
  const ServeConfig other;
  static_cast<net::ServerLimits&>(config.server) = other.server;
  config.app.request_timeout = other.app.request_timeout;
  config.log_level = other.log_level;
  config.models.clear();
  config.keys.clear();
  return print_settings([&](Settings& in) { describe(in, config); });
}

class Serving {
 public:
  explicit Serving(ServeConfig config) : config_(std::move(config)) {}

  Status run(const std::function<Result<ServeConfig>()>& read_again);

 private:
  Result<api::ServedModel> load_from_store(const api::LoadRequest& request);
  void on_engine_failure();
  void reload(const std::function<Result<ServeConfig>()>& read_again);
  Status change_to(const Result<ServeConfig>& read);

  ServeConfig config_;
  std::mutex failure_mutex_;
  bool failed_ = false;
  net::Server* stop_on_failure_ = nullptr;
  engine::EngineReaper engines_;              // outlives the app, whose requests hold engines
  std::unique_ptr<ConfiguredModels> models_;  // outlives the app, which may be loading one
  std::unique_ptr<api::App> app_;
  std::unique_ptr<net::Server> server_;
};

Result<api::ServedModel> Serving::load_from_store(const api::LoadRequest& request) {
  // A name, never a path: whoever may load models may not look at other files.
  HEARTH_TRY(const store::Store store, store::Store::open_default());
  HEARTH_TRY(const std::string path, store.resolve(request.model));
  ServedOptions options;
  options.model = path;
  options.id = request.id;
  options.context = request.context;
  options.kv_type = request.kv_type;
  return models_->load(options);
}

// On the engine's thread. All its requests have had their error; the others get the time that
// draining gives them, and whoever started this process will start it again.
void Serving::on_engine_failure() {
  const std::lock_guard lock(failure_mutex_);
  failed_ = true;
  if (stop_on_failure_ != nullptr) stop_on_failure_->stop();
}

Result<std::shared_ptr<const security::Identities>> identities_of(const ServeConfig& config) {
  HEARTH_TRY(auto identities, security::Identities::create(config.keys));
  return std::make_shared<const security::Identities>(std::move(identities));
}

// All of it or nothing.
Status Serving::change_to(const Result<ServeConfig>& read) {
  if (!read) return tl::unexpected<Error>(read.error());
  HEARTH_TRY(auto identities, identities_of(*read));
  HEARTH_TRY(auto change, models_->check(read->models));
  HEARTH_TRY_VOID(models_->apply(std::move(change)));
  app_->set_identities(std::move(identities));
  if (at_start_only(*read) != at_start_only(config_))
    log::warn("[server], [requests] and text_queue_max are read at the start only");
  log::set_level(read->log_level.c_str());
  server_->set_limits(read->server);
  app_->set_request_timeout(read->app.request_timeout);
  return {};
}

void Serving::reload(const std::function<Result<ServeConfig>()>& read_again) {
  const Result<ServeConfig> read = read_again();
  const Status changed = change_to(read);
  app_->count_config_reload(changed.has_value());
  if (!changed) {
    log::error("the configuration stays as it was: {}", changed.error().message);
    return;
  }
  log::info("configuration read again");
}

Status Serving::run(const std::function<Result<ServeConfig>()>& read_again) {
  config_.app.load_model = [this](const api::LoadRequest& request) {
    return load_from_store(request);
  };
  app_ = std::make_unique<api::App>(std::vector<api::ServedModel>(), config_.app);
  models_ =
      std::make_unique<ConfiguredModels>(app_->models(), engines_, [this] { on_engine_failure(); });
  HEARTH_TRY(auto change, models_->check(config_.models));
  HEARTH_TRY_VOID(models_->apply(std::move(change)));
  HEARTH_TRY(auto identities, identities_of(config_));
  app_->set_identities(std::move(identities));

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

#include "apps/serving.h"

#include <memory>
#include <mutex>
#include <utility>

#include "apps/configured_models.h"
#include "base/log.h"
#include "base/log_filter.h"
#include "base/task_pool.h"
#include "engine/engine_reaper.h"
#include "net/url.h"
#include "security/redactor.h"
#include "security/site_secret.h"
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
  config.identities = {};
  config.site_secret.clear();
  config.redaction = other.redaction;
  return print_settings([&](Settings& in) { describe(in, config); });
}

class Serving {
 public:
  Serving(ServeConfig config, std::unique_ptr<net::TlsWatch> tls)
      : config_(std::move(config)), tls_(std::move(tls)) {}

  Status run(std::optional<crypto::Ed25519Key> audit_signer,
             const std::function<Result<ServeConfig>()>& read_again);

 private:
  Status open_audit(crypto::Ed25519Key signer);
  Result<api::ServedModel> load_from_store(const api::LoadRequest& request);
  void on_engine_failure();
  net::ServerStats server_stats() const;
  void hang_up(const std::function<Result<ServeConfig>()>& read_again);
  void reload(const std::function<Result<ServeConfig>()>& read_again);
  void set_redaction(const std::shared_ptr<const security::RedactionPolicy>& policy);
  Status change_to(const Result<ServeConfig>& read);

  ServeConfig config_;
  std::shared_ptr<security::AuditLog> audit_;  // null: none
  std::mutex failure_mutex_;
  bool failed_ = false;
  net::Server* stop_on_failure_ = nullptr;
  engine::EngineReaper engines_;              // outlives the app, whose requests hold engines
  std::unique_ptr<ConfiguredModels> models_;  // outlives the app, which may be loading one
  std::unique_ptr<api::App> app_;
  std::unique_ptr<net::Server> server_;
  std::unique_ptr<net::TlsWatch> tls_;  // null: plain HTTP
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

Result<std::shared_ptr<const security::Identities>> identities_of(
    const ServeConfig& config, const security::Identities* before = nullptr) {
  std::vector<std::byte> secret;
  if (!config.identities.keys.empty()) {
    const std::string& given = config.site_secret;
    HEARTH_TRY(const std::string source, given.empty() ? default_site_secret() : given);
    HEARTH_TRY(secret, security::read_site_secret(source));
  }
  HEARTH_TRY(auto identities, security::Identities::create(config.identities, secret, before));
  return std::make_shared<const security::Identities>(std::move(identities));
}

void Serving::set_redaction(const std::shared_ptr<const security::RedactionPolicy>& policy) {
  app_->set_redaction(policy);
  log::set_filter([policy](std::string_view message) { return security::redact(policy, message); });
}

// All of it or nothing.
Status Serving::change_to(const Result<ServeConfig>& read) {
  if (!read) return tl::unexpected<Error>(read.error());
  if (server_->is_beyond_loopback() && read->identities.keys.empty() &&
      config_.tls.client_ca.empty())
    return invalid("key_required", "beyond loopback the server needs at least one key");
  HEARTH_TRY(auto identities, identities_of(*read, app_->routes().identities().get()));
  HEARTH_TRY(const auto redaction, security::RedactionPolicy::create(read->redaction));
  HEARTH_TRY(auto change, models_->check(read->models));
  HEARTH_TRY_VOID(models_->apply(std::move(change)));
  set_redaction(redaction);
  app_->set_identities(std::move(identities));
  if (at_start_only(*read) != at_start_only(config_))
    log::warn("[server], [requests], [audit] and text_queue_max are read at the start only");
  log::set_level(read->log_level.c_str());
  server_->set_limits(read->server);
  app_->set_request_timeout(read->app.request_timeout);
  return {};
}

void Serving::reload(const std::function<Result<ServeConfig>()>& read_again) {
  const Result<ServeConfig> read = read_again();
  const Status changed = change_to(read);
  app_->count_config_reload(changed.has_value());
  if (audit_)
    audit_->append({"act",
                    {{"act", "reload_config"},
                     {"identity", "local system"},
                     {"result", changed ? std::string("ok") : changed.error().code}}});
  if (!changed) {
    log::error("the configuration stays as it was: {}", changed.error().message);
    return;
  }
  log::info("configuration read again");
}

// Certificates change at other times than the configuration: neither waits for the other to be
// right.
void Serving::hang_up(const std::function<Result<ServeConfig>()>& read_again) {
  if (tls_) tls_->check();
  if (read_again) reload(read_again);
}

net::ServerStats Serving::server_stats() const {
  net::ServerStats stats = server_->stats();
  if (tls_) stats.certificate = tls_->stats();
  return stats;
}

Status Serving::open_audit(crypto::Ed25519Key signer) {
  const AuditConfig& config = config_.audit;
  security::AuditOptions options;
  options.folders = config.folders();
  options.file_bytes_max = static_cast<std::uint64_t>(config.file_bytes_max);
  options.keep = std::chrono::days(config.keep_days);
  options.deadline = std::chrono::milliseconds(config.deadline_ms);
  options.program = "hearth " HEARTH_VERSION;
  auto opened = security::AuditLog::open(FileSystem::real(), Clock::system(), std::move(options),
                                         std::move(signer));
  if (!opened) return prefixed("audit log", opened.error());
  audit_ = *std::move(opened);
  config_.app.audit = audit_;
  log::info("audit log of the instance {} in {}", audit_->instance(), config.folder);
  return {};
}

Status Serving::run(std::optional<crypto::Ed25519Key> audit_signer,
                    const std::function<Result<ServeConfig>()>& read_again) {
  if (audit_signer) HEARTH_TRY_VOID(open_audit(*std::move(audit_signer)));
  config_.app.load_model = [this](const api::LoadRequest& request) {
    return load_from_store(request);
  };
  app_ = std::make_unique<api::App>(std::vector<api::ServedModel>(), config_.app);
  models_ =
      std::make_unique<ConfiguredModels>(app_->models(), engines_, [this] { on_engine_failure(); });
  HEARTH_TRY(const auto redaction, security::RedactionPolicy::create(config_.redaction));
  set_redaction(redaction);
  HEARTH_TRY(auto change, models_->check(config_.models));
  HEARTH_TRY_VOID(models_->apply(std::move(change)));
  HEARTH_TRY(auto identities, identities_of(config_));
  if (!audit_ && !(identities->empty() && net::is_loopback_host(config_.server.host)))
    log::warn("nothing is recorded of who asks what: the configuration has no [audit] folder");
  app_->set_identities(std::move(identities));

  TaskPool reloads(1, 1);  // a hang-up that comes while another is waiting asks for the same
  net::ServerOptions options = config_.server;
  options.on_stop = [this] { app_->stop_taking_requests(); };
  if (read_again || tls_) {
    options.on_hangup = [&] { reloads.post([&] { hang_up(read_again); }); };
  }
  options.tls = tls_ ? tls_->current() : nullptr;
  options.has_keys = !config_.identities.keys.empty();
  options.on_refusal = app_->on_refusal();
  server_ = std::make_unique<net::Server>(options, app_->handler());
  app_->watch_server([this] { return server_stats(); });
  HEARTH_TRY_VOID(server_->listen());
  if (tls_) {
    tls_->start([this](auto context) { server_->set_tls(std::move(context)); });
    log::info("TLS certificate, SHA-256 {}", tls_->current()->fingerprint());
  }
  {
    const std::lock_guard lock(failure_mutex_);
    stop_on_failure_ = server_.get();
    if (failed_) server_->stop();
  }
  log::info("ready: {}://{}:{}", tls_ ? "https" : "http", config_.server.host, server_->port());
  server_->run();
  reloads.stop();
  if (tls_) tls_->stop();
  if (audit_) audit_->stop();
  const std::lock_guard lock(failure_mutex_);
  stop_on_failure_ = nullptr;
  if (failed_) return fail(ErrorKind::kInternal, "engine_failed", "an engine failed, see the log");
  log::info("stopped");
  return {};
}

}  // namespace

Status serve(ServeConfig config, std::unique_ptr<net::TlsWatch> tls,
             std::optional<crypto::Ed25519Key> audit_signer,
             const std::function<Result<ServeConfig>()>& read_again) {
  Serving serving(std::move(config), std::move(tls));
  return serving.run(std::move(audit_signer), read_again);
}

}  // namespace hearth::apps

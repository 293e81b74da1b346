// The HTTP API as one handler for net::Server: routes, schemas, generation.
//
//   api::App app(std::move(models), {});
//   net::Server server(options, app.handler());
//   HEARTH_TRY_VOID(server.listen());
//   server.run();
//
// The app must outlive the server. Its destructor waits for no engine: what engines still send
// afterwards is dropped. Engines must not be destroyed on their own threads (engine_reaper.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "api/admin.h"
#include "api/model_set.h"
#include "api/request_limits.h"
#include "api/served_model.h"
#include "base/clock.h"
#include "net/server.h"

namespace hearth::api {

class RouteTable;

struct AppOptions {
  RequestLimits requests = {};
  int text_threads = 2;  // parse JSON, render templates, tokenize
  // Requests waiting for them; more: 503 "overloaded". As many as a server lets in at once.
  std::size_t text_queue_max = 1024;
  std::chrono::milliseconds request_timeout{0};  // per request, until its last token; 0: none
  // Of a stream's silence before its first comment, and between two of them: shorter than the
  // timeouts that proxies usually have.
  std::chrono::milliseconds keep_alive_interval{15'000};
  ModelLoader load_model = nullptr;  // for POST /admin/models
  const Clock* clock = &Clock::system();
};

class App {
 public:
  App(std::vector<ServedModel> models, AppOptions options);  // ids differ
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  net::Handler handler();
  const RouteTable& routes() const;
  ModelSet& models();

  // Thread-safe, for requests that come from now on.
  void set_identities(std::shared_ptr<const security::Identities> identities);
  void set_request_timeout(std::chrono::milliseconds timeout);

  // Thread-safe. From now on /ready says no, and requests for text are refused ("shutting_down");
  // those that are open go on.
  void stop_taking_requests();

  // Thread-safe, for /metrics: whether a configuration that was read again has been taken.
  void count_config_reload(bool taken);

  // For /metrics. The server exists after the app: give on_refusal() to its options, and say where
  // its figures come from once it is there; they are asked for until the app ends.
  std::function<void(int status, std::string_view code)> on_refusal();
  void watch_server(std::function<net::ServerStats()> stats);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::api

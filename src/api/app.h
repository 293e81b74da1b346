// The HTTP API as one handler for net::Server: routes, schemas, generation.
//
//   api::App app(std::move(models), {});
//   net::Server server(options, app.handler());
//   HEARTH_TRY_VOID(server.listen());
//   server.run();
//
// The app must outlive the server. Its destructor waits for no engine: what engines still send
// afterwards is dropped.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "api/served_model.h"
#include "net/server.h"

namespace hearth::api {

class RouteTable;

struct AppOptions {
  int text_threads = 2;  // parse JSON, render templates, tokenize
  // Requests waiting for them; more: 503 "overloaded". As many as a server lets in at once.
  std::size_t text_queue_max = 1024;
  std::chrono::milliseconds request_timeout{0};  // per request, until its last token; 0: none
};

class App {
 public:
  App(std::vector<ServedModel> models, AppOptions options);  // at least one model, ids differ
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  net::Handler handler();
  const RouteTable& routes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::api

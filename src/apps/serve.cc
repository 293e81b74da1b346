// hearth serve: models behind HTTP.
#include <CLI/CLI.hpp>
#include <memory>

#include "api/app.h"
#include "apps/commands.h"
#include "apps/served.h"
#include "base/log.h"
#include "net/server.h"

namespace hearth::apps {
namespace {

struct Options : ModelOptions {
  std::string host = "127.0.0.1";
  int port = 8080;
  std::string chat_template;
};

Status serve(const Options& options) {
  net::ServerOptions server_options;
  server_options.host = options.host;
  server_options.port = static_cast<std::uint16_t>(options.port);
  // The names of local addresses are looked up after this.
  HEARTH_TRY_VOID(lock_in(options.model,
                          {options.chat_template, "/etc/hosts", "/etc/nsswitch.conf",
                           "/etc/host.conf", "/etc/gai.conf"},
                          Network::kListens));
  HEARTH_TRY(api::ServedModel model, load_served(options, options.chat_template));
  std::vector<api::ServedModel> models;
  models.push_back(std::move(model));
  api::App app(std::move(models), {});
  server_options.on_refusal = app.on_refusal();
  net::Server server(server_options, app.handler());
  app.watch_server([&server] { return server.stats(); });
  HEARTH_TRY_VOID(server.listen());
  log::info("ready: http://{}:{}", options.host, server.port());
  server.run();
  log::info("stopped");
  return {};
}

}  // namespace

void add_serve(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand("serve", "Serve models over HTTP");
  command->add_option("MODEL", options->model, "A .gguf file, a Hugging Face folder or a name")
      ->default_val("smollm2");
  add_model_options(*command, *options, false);
  command->add_option("--host", options->host, "Address to listen on");
  command->add_option("--port", options->port, "Port to listen on; 0: any")
      ->check(CLI::Range(0, 65535));
  command->add_option("--chat-template", options->chat_template,
                      "A Jinja file instead of the model's own template");
  command->callback([options] { finish_command(serve(*options)); });
}

}  // namespace hearth::apps

// hearth serve: models behind HTTP.
#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

#include "api/app.h"
#include "apps/commands.h"
#include "apps/model_options.h"
#include "base/log.h"
#include "net/server.h"

namespace hearth::apps {
namespace {

struct Options : ModelOptions {
  std::string host = "127.0.0.1";
  int port = 8080;
  std::string chat_template;
};

std::string token_text(const text::Tokenizer& tokenizer, std::optional<text::TokenId> id) {
  return id ? tokenizer.data().tokens[static_cast<std::size_t>(*id)] : std::string();
}

Result<api::ServedModel> load_served(const Options& options) {
  const auto begun = std::chrono::steady_clock::now();
  api::ServedModel served;
  HEARTH_TRY(model::ModelSource source, open_model(options.model));
  served.id = source.name;
  HEARTH_TRY(served.chat_template, chat_template(source, options.chat_template));
  if (source.tokenizer) {
    HEARTH_TRY(served.tokenizer, make_model_tokenizer(source));
    served.bos_token = token_text(*served.tokenizer, served.tokenizer->data().bos);
    served.eos_token = token_text(*served.tokenizer, served.tokenizer->data().eos);
  }
  served.created = std::chrono::duration_cast<std::chrono::seconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  HEARTH_TRY(auto model, load_model(std::move(source), options));
  const std::string device = model->backend().describe();
  const std::int64_t weights = model->backend().weight_bytes();
  HEARTH_TRY(auto engine, start_engine(std::move(model), options));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  log::info("{} on {}: {} MiB of weights, context {}, {} MiB for keys and values, loaded in {:.2f} s",
            served.id, device, weights >> 20, engine->limits().context, engine->cache_bytes() >> 20,
            took.count());
  served.engine = std::move(engine);
  return served;
}

Status serve(const Options& options) {
  net::ServerOptions server_options;
  server_options.host = options.host;
  server_options.port = static_cast<std::uint16_t>(options.port);
  HEARTH_TRY(api::ServedModel model, load_served(options));
  std::vector<api::ServedModel> models;
  models.push_back(std::move(model));
  api::App app(std::move(models), {});
  net::Server server(server_options, app.handler());
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

// hearth serve: models behind HTTP.
#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "apps/commands.h"
#include "apps/serving.h"
#include "base/log.h"

namespace hearth::apps {
namespace {

struct Options : ServedOptions {
  std::string config;
  std::string host;
  int port = 0;
  bool print = false;
  // What stands on the command line, to be put over what the file says.
  std::vector<std::function<void(ServeConfig&)>> given;
};

// The file, if there is one, and over it the command line.
Result<ServeConfig> configuration(const Options& options) {
  ServeConfig config;
  if (!options.config.empty()) {
    HEARTH_TRY(config, read_config(options.config));
  }
  if (!options.model.empty()) {
    config.models.resize(1);
    config.models.front() = ServedOptions();
    config.models.front().model = options.model;
  } else if (config.models.empty()) {
    config.models.resize(1);
    config.models.front().model = "smollm2";
  }
  for (const auto& put : options.given) put(config);
  return config;
}

Status start(const Options& options) {
  HEARTH_TRY(ServeConfig config, configuration(options));
  if (options.print) {
    print("# Configuration of `hearth serve`: hearth serve --config FILE\n" +
          print_settings([&](Settings& in) { describe(in, config); }));
    return {};
  }
  log::set_level(config.log_level.c_str());
  // The names of local addresses are looked up after this, and the configuration is read again:
  // editors and Kubernetes put a new file into its place, so its folder is what must be readable.
  std::vector<std::string> readable = {"/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf",
                                       "/etc/gai.conf"};
  if (!options.config.empty())
    readable.push_back(std::filesystem::absolute(options.config).parent_path().string());
  std::vector<std::string> models;
  for (const ServedOptions& model : config.models) {
    models.push_back(model.model);
    if (!model.draft_model.empty()) models.push_back(model.draft_model);
    readable.push_back(model.chat_template);
  }
  HEARTH_TRY_VOID(lock_in(models, std::move(readable), Network::kListens));
  std::function<Result<ServeConfig>()> read_again;
  if (!options.config.empty()) {
    std::signal(SIGHUP, SIG_IGN);  // until the server listens to it: models may take long to load
    read_again = [&] { return configuration(options); };
  }
  return serve(std::move(config), read_again);
}

}  // namespace

void add_serve(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand("serve", "Serve models over HTTP");
  command->add_option("MODEL", options->model,
                      "A .gguf file, a Hugging Face folder or a name [smollm2]");
  add_model_options(*command, *options, false);
  add_speculation_options(*command, *options);
  command->add_option("--config", options->config, "A TOML file; SIGHUP reads it again");
  command->add_flag("--print-config", options->print, "Print the whole configuration and end");
  command->add_option("--host", options->host, "Address to listen on [127.0.0.1]");
  command->add_option("--port", options->port, "Port to listen on; 0: any [8080]")
      ->check(CLI::Range(0, 65535));
  command->add_option("--chat-template", options->chat_template,
                      "A Jinja file instead of the model's own template");
  command
      ->add_option("--admission", options->admission,
                   "Who comes next of those that wait: fair, shortest [fair]")
      ->check(CLI::IsMember({"fair", "shortest"}));
  command
      ->add_option("--tuner", options->tuner,
                   "Who moves the limits of the batch: slo, rule, off [slo]")
      ->check(CLI::IsMember({"slo", "rule", "off"}));
  command
      ->add_option("--target-tpot-ms", options->target_tpot_ms,
                   "Milliseconds a token that 95 of 100 are to keep within [250]")
      ->check(CLI::Range(0.01, 1e6));
  command
      ->add_option("--target-ttft-ms", options->target_ttft_ms,
                   "Milliseconds to the first token that 95 of 100 are to keep within [5000]")
      ->check(CLI::Range(0.01, 1e8));
  for (const char* target : {"--target-tpot-ms", "--target-ttft-ms"})
    command->get_option(target)->check([](const std::string& text) {  // Range lets nan pass
      return text.find_first_of("nN") == std::string::npos ? "" : text + " is not a number";
    });
  command->callback([options, command] {
    const auto given = [&](const char* name, std::function<void(ServeConfig&)> put) {
      if (command->count(name) > 0) options->given.push_back(std::move(put));
    };
    // Where one command line serves several models, it holds for all of them.
    const auto each = [options](auto member) {
      return [options, member](ServeConfig& config) {
        for (ServedOptions& model : config.models) model.*member = (*options).*member;
      };
    };
    Options& o = *options;
    given("--host", [&o](ServeConfig& config) { config.server.host = o.host; });
    given("--port",
          [&o](ServeConfig& config) { config.server.port = static_cast<std::uint16_t>(o.port); });
    given("--chat-template", each(&ServedOptions::chat_template));
    given("--threads", each(&ModelOptions::threads));
    given("--precision", each(&ModelOptions::precision));
    given("--ctx", each(&ModelOptions::context));
    given("--kv-type", each(&ModelOptions::kv_type));
    given("--max-batch-tokens", each(&ModelOptions::batch_tokens_max));
    given("--admission", each(&ModelOptions::admission));
    given("--tuner", each(&ModelOptions::tuner));
    given("--target-tpot-ms", each(&ModelOptions::target_tpot_ms));
    given("--target-ttft-ms", each(&ModelOptions::target_ttft_ms));
    given("--speculation", each(&ModelOptions::speculation));
    given("--draft-model", each(&ModelOptions::draft_model));
    finish_command(start(o));
  });
}

}  // namespace hearth::apps

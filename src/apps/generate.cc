// hearth generate: greedy tokens after given tokens, through the engine.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/commands.h"
#include "apps/model_options.h"
#include "base/json.h"
#include "base/log.h"

namespace hearth::apps {
namespace {

struct Options : ModelOptions {
  std::string tokens;
  std::int32_t max_tokens = 128;
  bool ignore_eos = false;
  bool json = false;
};

Status generate(const Options& options) {
  HEARTH_TRY_VOID(lock_in({options.model, options.draft_model}, {options.tokens}, Network::kNone));
  log::set_level("off");  // one line tells what went wrong
  engine::GenerateRequest request;
  HEARTH_TRY(request.prompt, read_tokens(options.tokens));
  request.id = 1;
  request.max_tokens = options.max_tokens;
  request.ignore_eos = options.ignore_eos;
  HEARTH_TRY(auto model, load_model(options));
  engine::EngineOptions engine_options = apps::engine_options(options);
  HEARTH_TRY(engine_options.draft, load_draft(options, *model));
  HEARTH_TRY(const auto engine, engine::LocalEngine::create(std::move(model), engine_options));
  std::vector<engine::TokenId> tokens;
  HEARTH_TRY_VOID(generate_and_wait(*engine, std::move(request), [&](const engine::Event& event) {
    if (event.token) tokens.push_back(event.token->id);
  }));
  print(options.json ? dump_json(Json{{"tokens", tokens}}) + "\n"
                     : fmt::format("{}\n", fmt::join(tokens, " ")));
  return {};
}

}  // namespace

void add_generate(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand("generate", "Greedy tokens after given tokens");
  add_model_options(*command, *options);
  add_speculation_options(*command, *options);
  command->add_option("--tokens", options->tokens, "A JSON array of token ids")->required();
  command->add_option("--max-tokens", options->max_tokens, "How many at most")
      ->check(CLI::Range(1, 1 << 24));
  command->add_flag("--ignore-eos", options->ignore_eos, "Go on after an end-of-text token");
  command->add_flag("--json", options->json, "One JSON document");
  command->callback([options] { finish_command(generate(*options)); });
}

}  // namespace hearth::apps

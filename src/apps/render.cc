// hearth render: the prompt that a chat template makes of messages.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/commands.h"
#include "apps/model_options.h"
#include "base/json.h"

namespace hearth::apps {
namespace {

struct Options {
  std::string model, messages, tools, chat_template, bos, eos;
  bool no_generation_prompt = false;
};

Result<OrderedJson> read_json(const std::string& path) {
  HEARTH_TRY(const std::string text, read_input_file(path, 16 << 20));
  auto json = parse_json_ordered(text, {text.size() + 1, 64});
  if (!json) return prefixed(path, json.error());
  return json;
}

Status render(const Options& options, bool bos_given, bool eos_given) {
  HEARTH_TRY_VOID(lock_in(options.model, {options.messages, options.tools, options.chat_template}));
  const bool bare = options.model.ends_with(".jinja");
  std::shared_ptr<const text::jinja::Template> parsed;
  OrderedJson variables = OrderedJson::object();
  variables["bos_token"] = options.bos;
  variables["eos_token"] = options.eos;
  if (bare) {
    HEARTH_TRY(parsed, chat_template({}, options.model));
  } else {
    HEARTH_TRY(const model::ModelSource source, open_model(options.model));
    HEARTH_TRY(parsed, chat_template(source, options.chat_template));
    if (source.tokenizer) {
      // make_tokenizer checks that the ids are in range.
      HEARTH_TRY(const auto tokenizer, make_model_tokenizer(source));
      const text::TokenizerData& data = tokenizer->data();
      if (!bos_given) variables["bos_token"] = data.text_of(data.bos);
      if (!eos_given) variables["eos_token"] = data.text_of(data.eos);
    }
  }
  if (!parsed)
    return fail(ErrorKind::kInvalid, "no_chat_template",
                "{} has no chat template; give one with --chat-template FILE", options.model);
  HEARTH_TRY(OrderedJson messages, read_json(options.messages));
  if (messages.is_object() && messages.contains("messages")) {
    OrderedJson inner = messages["messages"];
    messages = std::move(inner);
  }
  if (!messages.is_array())
    return invalid("invalid_messages", "{}: expected an array of messages", options.messages);
  variables["messages"] = std::move(messages);
  variables["add_generation_prompt"] = !options.no_generation_prompt;
  if (!options.tools.empty()) {
    HEARTH_TRY(variables["tools"], read_json(options.tools));
  }
  HEARTH_TRY(const auto pieces, parsed->render(variables, {"bos_token", "eos_token"}));
  std::string prompt;
  for (const text::TextPiece& piece : pieces) prompt += piece.text;
  print(prompt);
  return {};
}

}  // namespace

void add_render(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand("render", "The prompt that a chat template makes");
  command->add_option("MODEL", options->model, "A model, or a template in a .jinja file")
      ->required();
  command->add_option("--messages", options->messages, "A JSON array of messages")->required();
  command->add_option("--tools", options->tools, "A JSON array of tools");
  command->add_option("--chat-template", options->chat_template, "Instead of the model's own");
  command->add_flag("--no-generation-prompt", options->no_generation_prompt,
                    "Do not open the assistant's turn");
  CLI::Option* bos = command->add_option("--bos", options->bos, "Text of the BOS token");
  CLI::Option* eos = command->add_option("--eos", options->eos, "Text of the EOS token");
  command->callback([options, bos, eos] {
    finish_command(render(*options, bos->count() > 0, eos->count() > 0));
  });
}

}  // namespace hearth::apps

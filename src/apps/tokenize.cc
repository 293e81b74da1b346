// hearth tokenize: text to token ids.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/commands.h"
#include "apps/model_options.h"
#include "base/json.h"

namespace hearth::apps {
namespace {

struct Options {
  std::string model, text, file;
  bool no_bos = false;
  bool no_parse_special = false;
  bool json = false;
};

Status tokenize(const Options& options) {
  HEARTH_TRY_VOID(lock_in(options.model, {options.file}));
  HEARTH_TRY(const model::ModelSource source, open_model(options.model));
  HEARTH_TRY(const auto tokenizer, make_model_tokenizer(source));
  text::TextPiece piece;
  piece.text = options.text;
  if (!options.file.empty()) {
    HEARTH_TRY(piece.text, read_input_file(options.file));
  }
  piece.trusted = !options.no_parse_special;
  const auto ids = tokenizer->encode({&piece, 1}, !options.no_bos);
  if (options.json) {
    print(dump_json(Json{{"tokens", ids}}) + "\n");
    return {};
  }
  std::string table;
  for (text::TokenId id : ids) {
    std::string bytes;
    tokenizer->append_bytes(id, bytes, true);
    table += fmt::format("{:>8}  {}\n", id, dump_json(Json(bytes)));
  }
  print(table);
  return {};
}

}  // namespace

void add_tokenize(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand("tokenize", "Text to token ids");
  command->add_option("MODEL", options->model, "A .gguf file, a Hugging Face folder or a name")
      ->required();
  CLI::Option* text = command->add_option("--text", options->text, "The text");
  CLI::Option* file = command->add_option("--file", options->file, "A file with the text");
  text->excludes(file);
  command->add_flag("--no-bos", options->no_bos, "Add nothing to the text");
  command->add_flag("--no-parse-special", options->no_parse_special,
                    "Text of special tokens stays plain text");
  command->add_flag("--json", options->json, "One JSON document");
  command->callback([options, text, file] {
    if (text->count() + file->count() != 1)
      throw CLI::RequiredError("exactly one of --text and --file");
    finish_command(tokenize(*options));
  });
}

}  // namespace hearth::apps

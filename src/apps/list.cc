// hearth list: what the local store holds.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "apps/commands.h"
#include "base/json.h"
#include "store/part_file.h"
#include "store/store.h"

namespace hearth::apps {
namespace {

std::string as_json(const std::vector<store::StoredModel>& models) {
  OrderedJson list = OrderedJson::array();
  for (const store::StoredModel& model : models) {
    const store::Manifest& manifest = model.manifest;
    OrderedJson files = OrderedJson::array();
    for (const store::ManifestFile& file : manifest.files) {
      files.push_back({{"name", file.name}, {"size", file.size}, {"sha256", file.sha256}});
    }
    list.push_back({{"name", manifest.name},
                    {"version", manifest.version},
                    {"current", model.current},
                    {"bytes", manifest.size()},
                    {"source", manifest.source},
                    {"licence", manifest.licence},
                    {"pulled_at", manifest.pulled_at},
                    {"path", model.path()},
                    {"files", std::move(files)}});
  }
  return dump_json(OrderedJson{{"models", std::move(list)}}) + "\n";
}

std::string as_table(const std::vector<store::StoredModel>& models) {
  std::size_t width = 4;
  for (const auto& model : models) width = std::max(width, model.manifest.name.size());
  std::string table = fmt::format("  {:{}}  {:12}  {:>8}  {:10}  {}\n", "NAME", width, "VERSION",
                                  "SIZE", "PULLED", "SOURCE");
  for (const store::StoredModel& model : models) {
    const store::Manifest& manifest = model.manifest;
    table +=
        fmt::format("{} {:{}}  {:12}  {:>8}  {:10}  {}\n", model.current ? '*' : ' ', manifest.name,
                    width, manifest.version, store::format_bytes(manifest.size()),
                    manifest.pulled_at.substr(0, 10), manifest.source);
  }
  return table;
}

Status list(bool json) {
  HEARTH_TRY(const store::Store store, store::Store::open_default());
  HEARTH_TRY(const auto models, store.list());
  if (json) {
    print(as_json(models));
  } else if (models.empty()) {
    print(fmt::format("No models in {} yet; try: hearth pull smollm2\n", store.root()));
  } else {
    print(as_table(models));
  }
  return {};
}

}  // namespace

void add_list(CLI::App& root) {
  const auto json = std::make_shared<bool>(false);
  CLI::App* command = root.add_subcommand("list", "List the models in the local store");
  command->add_flag("--json", *json, "Print one JSON document");
  command->callback([json] {
    if (const Status status = list(*json); !status) report(status.error());
  });
}

}  // namespace hearth::apps

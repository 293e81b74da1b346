#include "store/store.h"

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "store/names.h"

namespace hearth::store {
namespace {

std::optional<std::string> process_variable(const char* name) {
  // Nothing in this program changes the environment.
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

std::string without_newline(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

}  // namespace

SourceSettings SourceSettings::from_environment() {
  return from_environment(process_variable, FileSystem::real());
}

Store::Store(FileSystem& fs, std::string root, const Clock& clock)
    : fs_(fs), root_(std::move(root)), clock_(clock) {
  while (root_.size() > 1 && root_.back() == '/') root_.pop_back();
}

Result<std::string> Store::default_root(const SourceSettings::Lookup& lookup) {
  if (const auto home = lookup("HEARTH_HOME")) return *home;
  if (const auto data = lookup("XDG_DATA_HOME")) return *data + "/hearth";
  if (const auto home = lookup("HOME")) return *home + "/.local/share/hearth";
  return invalid("no_home", "neither HEARTH_HOME nor HOME is set: where are the models?");
}

Result<Store> Store::open_default() {
  HEARTH_TRY(std::string root, default_root(process_variable));
  return Store(FileSystem::real(), std::move(root));
}

Result<StoredModel> Store::load(const std::string& name, const std::string& version) const {
  StoredModel model;
  model.folder = model_folder(name) + "/" + version;
  const auto damaged = [&](std::string_view why) {
    return fail(ErrorKind::kIo, "model_damaged", "model '{}' is damaged ({}); pull it again", name,
                why);
  };
  // A symlink inside the store could lead out of it.
  for (const std::string& folder : {model_folder(name), model.folder}) {
    const auto info = fs_.info(folder);
    if (!info && info.error().kind == ErrorKind::kNotFound) {
      return fail(ErrorKind::kNotFound, "model_not_found", "no version '{}' of model '{}'", version,
                  name);
    }
    if (!info) return tl::unexpected(info.error());
    if (info->kind != FileKind::kFolder) return damaged("not a folder");
  }
  auto text = read_small_file(fs_, model.folder + "/manifest.json");
  if (!text && text.error().kind == ErrorKind::kNotFound) {
    return fail(ErrorKind::kNotFound, "model_not_found", "model '{}' was pulled only in part",
                name);
  }
  if (!text) return tl::unexpected(std::move(text).error());
  auto manifest = manifest_from_json(*text);
  if (!manifest) return damaged(manifest.error().message);
  if (manifest->name != name || manifest->version != version) return damaged("moved by hand");
  model.manifest = *std::move(manifest);
  for (const ManifestFile& file : model.manifest.files) {
    const auto info = fs_.info(model.folder + "/" + file.name);
    if (!info || info->kind != FileKind::kFile) return damaged(file.name + " is missing");
    if (info->size != file.size) return damaged(file.name + " has another size");
  }
  return model;
}

Result<std::string> Store::current_version(const std::string& name) const {
  const auto info = fs_.info(model_folder(name));
  if (!info || info->kind != FileKind::kFolder) {
    return fail(ErrorKind::kNotFound, "model_not_found", "no model '{}' in the store", name);
  }
  auto text = read_small_file(fs_, model_folder(name) + "/current", 200);
  if (!text && text.error().kind == ErrorKind::kNotFound) {
    return fail(ErrorKind::kNotFound, "model_not_found", "model '{}' was pulled only in part",
                name);
  }
  if (!text) return tl::unexpected(std::move(text).error());
  return normalize_name(without_newline(*std::move(text)));
}

Result<StoredModel> Store::find(std::string_view text) const {
  HEARTH_TRY(NameAndVersion reference, parse_reference(text));
  const auto current = current_version(reference.name);
  if (reference.version.empty()) {
    if (!current) return tl::unexpected(current.error());
    reference.version = *current;
  }
  HEARTH_TRY(StoredModel model, load(reference.name, reference.version));
  model.current = current && *current == reference.version;
  return model;
}

Result<std::string> Store::resolve(std::string_view reference) const {
  HEARTH_TRY(const StoredModel model, find(reference));
  return model.path();
}

Result<std::string> Store::resolve_model(const std::string& model) const {
  if (model.find('\0') == std::string::npos && fs_.info(model)) return model;
  if (model.find('/') != std::string::npos) {
    return fail(ErrorKind::kNotFound, "model_not_found", "no such file or folder: {}", model);
  }
  auto path = resolve(model);
  if (!path && path.error().code == "model_not_found") {
    return fail(ErrorKind::kNotFound, "model_not_found",
                "there is no file '{0}' here and no model '{0}' in the store; try: hearth pull {0}",
                model);
  }
  return path;
}

Result<std::vector<StoredModel>> Store::list() const {
  std::vector<StoredModel> models;
  const auto names = fs_.list(root_ + "/models");
  if (!names && names.error().kind == ErrorKind::kNotFound) return models;  // nothing pulled yet
  if (!names) return tl::unexpected(names.error());
  for (const FileInfo& name : *names) {
    if (name.kind != FileKind::kFolder || normalize_name(name.name) != name.name) continue;
    const auto current = current_version(name.name);
    HEARTH_TRY(const auto versions, fs_.list(model_folder(name.name)));
    const auto first = models.end() - models.begin();
    for (const FileInfo& version : versions) {
      if (version.kind != FileKind::kFolder) continue;
      auto model = load(name.name, version.name);
      if (!model) {
        if (model.error().code == "model_damaged") log::warn("{}", model.error().message);
        continue;  // or a pull that has not finished
      }
      model->current = current && *current == version.name;
      models.push_back(*std::move(model));
    }
    const auto begin = models.begin() + first;
    const auto found =
        std::find_if(begin, models.end(), [](const StoredModel& model) { return model.current; });
    if (found != models.end()) std::rotate(begin, found, found + 1);
  }
  return models;
}

}  // namespace hearth::store

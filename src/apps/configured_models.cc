#include "apps/configured_models.h"

#include <algorithm>
#include <set>
#include <utility>

#include "apps/serve_config.h"
#include "base/cpu.h"
#include "base/log.h"

namespace hearth::apps {
namespace {

// Two of them are the same model if they would be written the same way.
std::string as_text(const ServedOptions& model) {
  ServedOptions copy = model;
  return print_settings([&](Settings& in) { describe(in, copy); });
}

}  // namespace

Result<ConfiguredModels::Change> ConfiguredModels::check(const std::vector<ServedOptions>& wanted) {
  // An administrator may have unloaded what the configuration had loaded.
  std::erase_if(configured_, [&](const auto& entry) { return !models_.find(entry.first); });
  std::map<std::string, std::string> kept;  // entry as text -> id
  for (const auto& [id, options] : configured_) kept[as_text(options)] = id;
  Change change;
  std::vector<const ServedOptions*> unknown;
  std::set<std::string> staying;
  for (const ServedOptions& options : wanted) {
    const auto found = kept.find(as_text(options));
    if (found == kept.end()) {
      unknown.push_back(&options);
      continue;
    }
    if (&options == &wanted.front()) change.first = found->second;
    staying.insert(found->second);
    kept.erase(found);
  }
  std::int64_t room = available_memory();
  for (const auto& [text, id] : kept) change.gone.push_back(id);
  for (const auto& model : models_.list()) {
    const auto& gone = change.gone;
    if (std::find(gone.begin(), gone.end(), model->id) == gone.end()) {
      staying.insert(model->id);
    } else {
      // All of its cache, though what was never filled takes no memory: then loading still tells.
      room += model->weight_bytes + model->cache_bytes;
    }
  }
  for (const ServedOptions* options : unknown) {
    HEARTH_TRY(OpenedModel opened, open_served(*options));
    const std::string id = opened.served.id;
    if (!staying.insert(id).second)
      return invalid("invalid_config", "two models are called {}; give one of them an id", id);
    HEARTH_TRY_VOID(check_room(opened.source.name, opened.need, room));
    room -= opened.need.total();
    if (options == &wanted.front()) change.first = id;
    change.fresh.push_back(std::move(opened));
  }
  return change;
}

Status ConfiguredModels::apply(Change change) {
  std::string first_before;
  if (const auto first = models_.find("default")) first_before = first->id;
  // First those that go, so that there is room for those that come.
  std::vector<Unloaded> gone;
  for (const std::string& id : change.gone) gone.push_back(unload(id));
  engines_.settle();
  std::vector<std::string> come;
  for (OpenedModel& opened : change.fresh) {
    const std::string id = opened.served.id;
    Status served = serve(std::move(opened));
    if (served) {
      come.push_back(id);
      continue;
    }
    for (const std::string& other : come) unload(other);
    engines_.settle();
    for (Unloaded& old : gone) {
      const std::string old_id = old.model.id;
      if (const Status back = serve_again(std::move(old)); !back)
        log::error("{} is no longer served: {}", old_id, back.error().message);
    }
    models_.make_default(first_before);
    return served;
  }
  models_.make_default(change.first);
  return {};
}

Result<api::ServedModel> ConfiguredModels::load(const ServedOptions& options) {
  const std::lock_guard lock(load_mutex_);
  return load_served(options, engines_, on_failure_);
}

Status ConfiguredModels::serve(OpenedModel opened) {
  const std::string id = opened.served.id;
  const ServedOptions options = opened.options;
  const std::lock_guard lock(load_mutex_);
  HEARTH_TRY(api::ServedModel model, load_served(std::move(opened), engines_, on_failure_));
  if (!models_.add(std::move(model)))
    return invalid("model_exists", "a model is served as {} already", id);
  configured_[id] = options;
  return {};
}

Status ConfiguredModels::serve_again(Unloaded old) {
  old.model.engine = old.engine.lock();
  if (!old.model.engine) {  // else its last requests still have it in memory
    HEARTH_TRY(OpenedModel opened, open_served(old.options));
    return serve(std::move(opened));
  }
  const std::string id = old.model.id;
  if (!models_.add(std::move(old.model)))
    return invalid("model_exists", "a model is served as {} already", id);
  configured_[id] = std::move(old.options);
  return {};
}

ConfiguredModels::Unloaded ConfiguredModels::unload(const std::string& id) {
  Unloaded out;
  out.options = configured_.at(id);
  configured_.erase(id);
  out.model.id = id;
  if (const auto removed = models_.remove(id)) {
    out.model = *removed;
    out.engine = out.model.engine;
    out.model.engine.reset();
  }
  log::info("{} unloaded", id);
  return out;
}

}  // namespace hearth::apps

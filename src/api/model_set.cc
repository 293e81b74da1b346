#include "api/model_set.h"

#include <algorithm>
#include <utility>

namespace hearth::api {
namespace {

auto named(const std::string& id) {
  return [&id](const ModelSet::Entry& model) { return model->id == id; };
}

}  // namespace

ModelSet::Entry ModelSet::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  if (name.empty() || name == "default") return models_.empty() ? nullptr : models_.front();
  const auto found = std::find_if(models_.begin(), models_.end(), named(name));
  return found == models_.end() ? nullptr : *found;
}

std::vector<ModelSet::Entry> ModelSet::list() const {
  const std::lock_guard lock(mutex_);
  return models_;
}

bool ModelSet::add(ServedModel model) {
  const std::lock_guard lock(mutex_);
  if (std::any_of(models_.begin(), models_.end(), named(model.id))) return false;
  models_.push_back(std::make_shared<const ServedModel>(std::move(model)));
  return true;
}

void ModelSet::make_default(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(models_.begin(), models_.end(), named(id));
  if (found != models_.end()) std::rotate(models_.begin(), found, found + 1);
}

ModelSet::Entry ModelSet::remove(const std::string& id) {
  Entry removed;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(models_.begin(), models_.end(), named(id));
    if (found == models_.end()) return nullptr;
    removed = std::move(*found);
    models_.erase(found);
  }
  on_removed_(id);
  return removed;
}

}  // namespace hearth::api

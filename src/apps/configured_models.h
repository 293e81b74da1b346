// The models that a configuration asks for, among those that are served.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "api/model_set.h"
#include "apps/served.h"
#include "base/result.h"
#include "engine/engine_reaper.h"

namespace hearth::apps {

class ConfiguredModels {
 public:
  // `engines` outlives it, and `models` all calls but load(). `on_failure`: see
  // engine::EngineOptions.
  ConfiguredModels(api::ModelSet& models, engine::EngineReaper& engines,
                   std::function<void()> on_failure)
      : models_(models), engines_(engines), on_failure_(std::move(on_failure)) {}

  // What has to be done so that just these of the configuration are served, the first as the
  // default. All that is new has been opened, has a name of its own and finds room, as if what goes
  // had gone; nothing has been loaded or unloaded. What a request for administrators loaded stays.
  struct Change {
    std::vector<std::string> gone;  // ids
    std::vector<OpenedModel> fresh;
    std::string first;  // an id; empty: none
  };
  Result<Change> check(const std::vector<ServedOptions>& wanted);

  // Should one of them not load after all, what has come goes, and what has gone is loaded again.
  Status apply(Change change);

  // A model that no configuration knows. Thread-safe; of the two above one caller at a time makes
  // use.
  Result<api::ServedModel> load(const ServedOptions& options);

 private:
  struct Unloaded {
    ServedOptions options;
    api::ServedModel model;  // without its engine, whose memory is to become free
    std::weak_ptr<engine::Engine> engine;
  };
  Status serve(OpenedModel opened);
  Status serve_again(Unloaded old);
  Unloaded unload(const std::string& id);

  api::ModelSet& models_;
  engine::EngineReaper& engines_;
  const std::function<void()> on_failure_;
  std::mutex load_mutex_;  // one at a time: each looks at the memory that is left
  std::map<std::string, ServedOptions> configured_;  // by the id under which it is served
};

}  // namespace hearth::apps

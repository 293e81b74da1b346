// A model loaded for serving: engine, tokenizer and template together.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "api/served_model.h"
#include "apps/model_options.h"
#include "base/result.h"
#include "engine/engine_reaper.h"

namespace hearth::apps {

struct ServedOptions : ModelOptions {
  std::string id;             // empty: as the file is called
  std::string chat_template;  // a file, instead of the model's own; empty: none
};

// Bytes that a model will take, about.
struct MemoryNeed {
  std::int64_t weights = 0;
  std::int64_t besides = 0;  // the cache, where its size is told; activations, tokenizer, threads

  std::int64_t total() const { return weights + besides; }
};

// A model whose files have been opened, read and found to be in order; nothing is loaded yet.
struct OpenedModel {
  ServedOptions options;
  model::ModelSource source;
  api::ServedModel served;  // without an engine
  MemoryNeed need;
};
Result<OpenedModel> open_served(const ServedOptions& options);

// "out_of_memory", in words, unless `need` fits into `available` bytes.
Status check_room(const std::string& name, const MemoryNeed& need, std::int64_t available);

// Blocks until the model can be used. Refused before anything is read into memory that has no room
// for it ("out_of_memory"); and where memory or threads run out nevertheless ("out_of_memory",
// "no_threads") nothing of it is left. `on_failure`: see engine::EngineOptions.
Result<api::ServedModel> load_served(OpenedModel opened, engine::EngineReaper& reaper,
                                     std::function<void()> on_failure = {});
Result<api::ServedModel> load_served(const ServedOptions& options, engine::EngineReaper& reaper,
                                     std::function<void()> on_failure = {});

}  // namespace hearth::apps

// A model loaded for serving: engine, tokenizer and template together.
#pragma once

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

// "out_of_memory", in words, before anything is read into memory that has no room for it.
// `on_failure`: see engine::EngineOptions.
Result<api::ServedModel> load_served(const ServedOptions& options, engine::EngineReaper& reaper,
                                     std::function<void()> on_failure = {});

}  // namespace hearth::apps

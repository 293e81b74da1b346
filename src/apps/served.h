// A model loaded for serving: engine, tokenizer and template together.
#pragma once

#include <string>

#include "api/served_model.h"
#include "apps/model_options.h"
#include "base/result.h"

namespace hearth::apps {

// `chat_template_file`: instead of the model's own; empty: none.
Result<api::ServedModel> load_served(const ModelOptions& options,
                                     const std::string& chat_template_file);

}  // namespace hearth::apps

// A model as Hugging Face lays it out: a folder with config.json, safetensors and tokenizer files.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "formats/weights.h"

namespace hearth {

struct HfFolder {
  Json config;                                // config.json
  Json generation_config;                     // generation_config.json, or null
  std::shared_ptr<const Weights> weights;     // model.safetensors, or the index's shards
  std::optional<std::string> tokenizer_json;  // texts, not parsed here
  std::optional<std::string> tokenizer_config_json;
  std::optional<std::string> chat_template;  // chat_template.jinja
};

// config.json and the weights must be there. Each JSON or text file has a size limit (kTooLarge).
Result<HfFolder> open_hf_folder(const std::string& path);

}  // namespace hearth

// A model as the API sees it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "text/jinja/template.h"
#include "text/tokenizer.h"

namespace hearth::api {

struct ServedModel {
  std::string id;  // what clients write into "model"; "default" also means the first one
  // Kept by each of its requests too: see engine/engine_reaper.h.
  std::shared_ptr<engine::Engine> engine;
  std::shared_ptr<const text::Tokenizer> tokenizer;            // null: 400 "no_tokenizer"
  std::shared_ptr<const text::jinja::Template> chat_template;  // null: chat answers 400
  std::string bos_token;  // texts for the template; may be empty
  std::string eos_token;
  std::int64_t created = 0;       // Unix time, seconds
  std::int64_t weight_bytes = 0;  // in memory
  std::int64_t cache_bytes = 0;   // of keys and values
};

}  // namespace hearth::api

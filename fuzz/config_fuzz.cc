// config.json: the parser and the configuration made of it, which must be consistent.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "model/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto json = hearth::parse_json({reinterpret_cast<const char*>(bytes), size});
  if (!json) return 0;
  // The same text serves as generation_config.json.
  for (const hearth::Json& generation : {hearth::Json(), *json}) {
    const auto config = hearth::model::config_from_hf(*json, generation);
    if (!config) continue;
    HEARTH_CHECK(config->n_layers >= 1 && config->n_layers <= 1024);
    HEARTH_CHECK(config->layer_slides.size() == static_cast<std::size_t>(config->n_layers));
    HEARTH_CHECK(config->n_heads % config->n_kv_heads == 0);
    for (const auto id : config->eos) HEARTH_CHECK(id >= 0 && id < config->vocab);
  }
  return 0;
}

// What happens to text before merging, according to the "normalizer" and "pre_tokenizer" of a
// Hugging Face tokenizer.json. Both are open-ended there; the known ones are recognised, the rest
// refused.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/tokenizer.h"

namespace hearth::text {

// A member of a JSON object; nothing if it is absent or of another type.
std::optional<std::string_view> json_string(simdjson::dom::object object, std::string_view key);
std::optional<bool> json_bool(simdjson::dom::object object, std::string_view key);
std::optional<simdjson::dom::object> json_object(simdjson::dom::object object,
                                                 std::string_view key);
std::optional<simdjson::dom::array> json_array(simdjson::dom::object object, std::string_view key);

struct HfPipeline {
  TokenizerData::Model model = TokenizerData::Model::kByteLevelBpe;
  std::string pre;
  bool add_space_prefix = false;
  bool space_prefix_first_only = false;
};

// `root` is the whole document. kUnsupported names the part that is not known.
Result<HfPipeline> read_hf_pipeline(simdjson::dom::object root, bool byte_fallback);

}  // namespace hearth::text

// The decoder families. A new one is one file here and one line below.
#pragma once

#include "model/decoder.h"

namespace hearth::model {

Result<std::unique_ptr<Decoder>> make_llama(Loader& loader);
Result<std::unique_ptr<Decoder>> make_gemma3(Loader& loader);

struct Family {
  std::string_view name;
  DecoderFactory make;
};
inline constexpr Family kFamilies[] = {
    {"llama", make_llama},
    {"gemma3", make_gemma3},
};

}  // namespace hearth::model

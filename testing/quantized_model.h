#pragma once

#include <string>

#include "base/result.h"

namespace hearth {

// A llama of random weights whose matrices take turns in all quantised kinds, so that 8-bit
// activations and every packed form are run.
Status write_quantized_model(const std::string& path);

}  // namespace hearth

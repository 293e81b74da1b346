// A tuner for one engine: what the engine tells of a period becomes what the tuner decides from,
// and what it decides a line in the log.
#pragma once

#include <string>

#include "engine/period.h"
#include "ops/tuner.h"

namespace hearth::ops {

// For CoreOptions::tune; `model` is for the log. The limits begin as the engine was made.
engine::Tune tune_engine(Tuner tuner, std::string model);

TunerPeriod measured(const engine::Period& period);

}  // namespace hearth::ops

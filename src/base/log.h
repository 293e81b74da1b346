// Logging to standard error. Never a prompt or an answer: see docs/threat-model.md.
#pragma once

#include <spdlog/spdlog.h>

namespace hearth::log {

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

// Sends everything to standard error (standard output belongs to results). `level` is one of
// trace, debug, info, warn, error, off; HEARTH_LOG in the environment overrides it.
void init(const char* level);
// Changes the level, unless HEARTH_LOG has set it.
void set_level(const char* level);

}  // namespace hearth::log

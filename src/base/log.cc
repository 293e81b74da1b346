#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

#include <cstdlib>

namespace hearth::log {

void init(const char* level) {
  auto logger = spdlog::stderr_color_mt("hearth");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  const char* override_level = std::getenv("HEARTH_LOG");
  logger->set_level(spdlog::level::from_str(override_level ? override_level : level));
  spdlog::set_default_logger(std::move(logger));
}

void set_level(const char* level) {
  if (!std::getenv("HEARTH_LOG")) spdlog::set_level(spdlog::level::from_str(level));
}

}  // namespace hearth::log

#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <cstdlib>
#include <memory>
#include <mutex>

#include "base/log_filter.h"

namespace hearth::log {
namespace {

struct FilterHolder {
  std::mutex mutex;
  std::shared_ptr<const Filter> filter;
};
FilterHolder& holder() {
  static FilterHolder instance;
  return instance;
}

// The flag %* of the pattern: the message, filtered.
class FilteredMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    std::shared_ptr<const Filter> filter;
    {
      const std::lock_guard lock(holder().mutex);
      filter = holder().filter;
    }
    std::string_view text(message.payload.data(), message.payload.size());
    std::string filtered;
    if (filter) text = filtered = (*filter)(text);
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<FilteredMessage>();
  }
};

}  // namespace

void init(const char* level) {
  auto logger = spdlog::stderr_color_mt("hearth");
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<FilteredMessage>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %*");
  logger->set_formatter(std::move(formatter));
  const char* override_level = std::getenv("HEARTH_LOG");
  logger->set_level(spdlog::level::from_str(override_level ? override_level : level));
  spdlog::set_default_logger(std::move(logger));
}

void set_level(const char* level) {
  if (!std::getenv("HEARTH_LOG")) spdlog::set_level(spdlog::level::from_str(level));
}

void set_filter(Filter filter) {
  auto shared = filter ? std::make_shared<const Filter>(std::move(filter)) : nullptr;
  const std::lock_guard lock(holder().mutex);
  holder().filter = std::move(shared);
}

}  // namespace hearth::log

#include "base/fault_point.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hearth::fault {

std::atomic<bool> g_armed{false};

namespace {

struct Points {
  std::mutex mutex;
  std::map<std::string, int, std::less<>> calls_left;  // until the failing one, which counts
};

Points& points() {
  static Points instance;
  return instance;
}

}  // namespace

void arm(std::string_view name, int nth) {
  HEARTH_CHECK(nth >= 1);
  Points& all = points();
  const std::lock_guard lock(all.mutex);
  all.calls_left.insert_or_assign(std::string(name), nth);
  g_armed.store(true, std::memory_order_relaxed);
}

bool arm_all(std::string_view text) {
  std::vector<std::pair<std::string_view, int>> parsed;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    const std::size_t equals = item.find('=');
    if (equals == 0 || equals == std::string_view::npos) return false;
    const std::string_view count = item.substr(equals + 1);
    int nth = 0;
    const auto [end, ec] = std::from_chars(count.data(), count.data() + count.size(), nth);
    if (ec != std::errc() || end != count.data() + count.size() || nth < 1) return false;
    parsed.emplace_back(item.substr(0, equals), nth);
  }
  for (const auto& [name, nth] : parsed) arm(name, nth);
  return true;
}

void disarm_all() {
  Points& all = points();
  const std::lock_guard lock(all.mutex);
  all.calls_left.clear();
  g_armed.store(false, std::memory_order_relaxed);
}

bool hit(std::string_view name) {
  Points& all = points();
  const std::lock_guard lock(all.mutex);
  const auto it = all.calls_left.find(name);
  if (it == all.calls_left.end() || --it->second > 0) return false;
  all.calls_left.erase(it);
  g_armed.store(!all.calls_left.empty(), std::memory_order_relaxed);
  return true;
}

}  // namespace hearth::fault

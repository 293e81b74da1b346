#include "base/fault_point.h"

#include <map>
#include <mutex>
#include <string>

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

// FAULT_POINT("store.rename") marks a place where a test may make the Nth call fail.
// Costs one relaxed load while no test has armed anything. Tests of the whole program arm points by
// HEARTH_FAULT_POINTS=name=N,name=N in its environment.
#pragma once

#include <atomic>
#include <string_view>

namespace hearth::fault {

extern std::atomic<bool> g_armed;

// The nth call (1 = the next) of the point named `name` reports a failure; later calls do not.
void arm(std::string_view name, int nth);
// "name=N,name=N". False: not written like that, and nothing is armed.
bool arm_all(std::string_view text);
void disarm_all();
bool hit(std::string_view name);  // true: behave as if the operation had failed

}  // namespace hearth::fault

#define FAULT_POINT(name) \
  (::hearth::fault::g_armed.load(std::memory_order_relaxed) && ::hearth::fault::hit(name))

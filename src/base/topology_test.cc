#include "base/topology.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <thread>

#include "base/cpu.h"

namespace hearth {
namespace {

int allowed_processors() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : -1;
}

TEST(Topology, OfThisMachine) {
  const Topology topology;
  EXPECT_GE(topology.cores(), 1);
  EXPECT_LE(topology.cores(), allowed_processors());
  EXPECT_GE(topology.nodes(), 1);
  EXPECT_LE(usable_cores(), topology.cores());
}

TEST(Topology, BindsAThreadAndNoOther) {
  const Topology topology;
  const int before = allowed_processors();
  std::thread([&] {
    if (!topology.bind_thread(topology.cores() - 1)) GTEST_SKIP() << "binding is not allowed here";
    EXPECT_EQ(allowed_processors(), before / topology.cores());
  }).join();
  EXPECT_EQ(allowed_processors(), before);
  EXPECT_FALSE(topology.bind_thread(topology.cores()));
}

// A machine described in words, as none of ours is one: two sockets of eight cores with two threads
// each. Nothing can be bound there.
TEST(Topology, OfTwoSockets) {
  setenv("HWLOC_SYNTHETIC", "pack:2 numa:1 core:8 pu:2", 1);
  {
    const Topology topology;
    EXPECT_EQ(topology.cores(), 16);
    EXPECT_EQ(topology.nodes(), 2);
  }
  unsetenv("HWLOC_SYNTHETIC");
}

}  // namespace
}  // namespace hearth

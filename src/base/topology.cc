#include "base/topology.h"

#include <hwloc.h>

#include <algorithm>

namespace hearth {

struct Topology::State {
  hwloc_topology_t topology = nullptr;
  bool loaded = false;
};

Topology::Topology() : state_(std::make_unique<State>()) {
  if (hwloc_topology_init(&state_->topology) != 0) return;
  // Caches and devices are not asked for: that makes it a matter of milliseconds.
  hwloc_topology_set_all_types_filter(state_->topology, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_type_filter(state_->topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
  hwloc_topology_set_flags(state_->topology, HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING);
  state_->loaded = hwloc_topology_load(state_->topology) == 0;
}

Topology::~Topology() {
  if (state_->topology) hwloc_topology_destroy(state_->topology);
}

int Topology::cores() const {
  if (!state_->loaded) return 1;
  return std::max(1, hwloc_get_nbobjs_by_type(state_->topology, HWLOC_OBJ_CORE));
}

int Topology::nodes() const {
  if (!state_->loaded) return 1;
  return std::max(1, hwloc_get_nbobjs_by_type(state_->topology, HWLOC_OBJ_NUMANODE));
}

bool Topology::bind_thread(int core) const {
  if (!state_->loaded) return false;
  const hwloc_obj_t object =
      hwloc_get_obj_by_type(state_->topology, HWLOC_OBJ_CORE, static_cast<unsigned>(core));
  return object && hwloc_set_cpubind(state_->topology, object->cpuset, HWLOC_CPUBIND_THREAD) == 0;
}

void Topology::interleave(std::byte* data, std::int64_t bytes) const {
  if (nodes() == 1) return;
  // Where the system refuses, the pages come from the node of who touches them first.
  (void)hwloc_set_area_membind(state_->topology, data, static_cast<std::size_t>(bytes),
                               hwloc_topology_get_topology_nodeset(state_->topology),
                               HWLOC_MEMBIND_INTERLEAVE, HWLOC_MEMBIND_BYNODESET);
}

}  // namespace hearth

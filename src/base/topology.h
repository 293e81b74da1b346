// The cores and memory nodes that this process may use, as hwloc sees them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace hearth {

class Topology {
 public:
  // Of the processors that the calling thread may run on.
  Topology();
  ~Topology();
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;

  // Physical cores, at least 1: two hardware threads of a core share its multipliers, which is all
  // that arithmetic wants of it.
  int cores() const;
  // Memory nodes (sockets, or parts of one) beside these cores, at least 1.
  int nodes() const;
  // Keeps the calling thread on core `core`, counted so that neighbours share a node. False: the
  // system does not allow it, and the thread runs wherever it is put.
  bool bind_thread(int core) const;
  // The pages of [data, data + bytes) will come from all nodes in turn, so that weights which all
  // cores read take the bandwidth of all. Nothing with one node. Before they are touched.
  void interleave(std::byte* data, std::int64_t bytes) const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace hearth

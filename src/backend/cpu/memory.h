// Memory straight from the kernel: zeroed, aligned, resident only where touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/topology.h"

namespace hearth::backend {

// An anonymous mapping. `huge`: ask for huge pages (fewer TLB misses while weights stream by).
class Mapping {
 public:
  Mapping() = default;
  static Result<Mapping> reserve(std::int64_t bytes, bool huge);
  ~Mapping();
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::byte* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

// Hands out 64-byte aligned pieces of large blocks; all are freed together. Where a machine has
// several memory nodes, the blocks are spread over them.
class Arena {
 public:
  explicit Arena(const Topology& topology) : topology_(topology) {}
  Result<std::byte*> allocate(std::int64_t bytes);
  std::int64_t used() const { return used_; }

 private:
  const Topology& topology_;
  std::vector<Mapping> blocks_;
  std::int64_t block_used_ = 0;
  std::int64_t used_ = 0;
};

// A growing float (or byte) buffer that never copies: contents are scratch.
template <class T>
class Scratch {
 public:
  // At least n elements, 64-byte aligned; earlier contents are lost when it grows.
  T* ensure(std::int64_t n) {
    const std::int64_t bytes = n * static_cast<std::int64_t>(sizeof(T));
    if (bytes > mapping_.bytes()) {
      mapping_ = Mapping();  // give the old one back before asking for more
      auto grown = Mapping::reserve(bytes + bytes / 4, false);
      HEARTH_CHECK(grown.has_value());  // the address space is ours; touching is what may fail
      mapping_ = std::move(*grown);
    }
    return data();
  }
  T* data() const { return static_cast<T*>(static_cast<void*>(mapping_.data())); }

 private:
  Mapping mapping_;
};

}  // namespace hearth::backend

#include "backend/cpu/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hearth::backend {
namespace {
constexpr std::int64_t kHugePage = 2 << 20;
constexpr std::int64_t kBlockBytes = 64 << 20;
}  // namespace

Result<Mapping> Mapping::reserve(std::int64_t bytes, bool huge) {
  Mapping out;
  if (bytes <= 0) return out;
  const std::int64_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* p = mmap(nullptr, static_cast<std::size_t>(rounded), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED)
    return fail(ErrorKind::kExhausted, "out_of_memory", "cannot map {} MiB: {}", rounded >> 20,
                std::strerror(errno));
  // Advice only: without huge pages everything still works, slower.
  if (huge) madvise(p, static_cast<std::size_t>(rounded), MADV_HUGEPAGE);
  out.data_ = static_cast<std::byte*>(p);
  out.bytes_ = rounded;
  return out;
}

Mapping::~Mapping() {
  if (data_) munmap(data_, static_cast<std::size_t>(bytes_));
}
Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Result<std::byte*> Arena::allocate(std::int64_t bytes) {
  const std::int64_t rounded = (bytes + 63) / 64 * 64;
  if (blocks_.empty() || block_used_ + rounded > blocks_.back().bytes()) {
    HEARTH_TRY(Mapping block, Mapping::reserve(std::max(rounded, kBlockBytes), true));
    topology_.interleave(block.data(), block.bytes());
    blocks_.push_back(std::move(block));
    block_used_ = 0;
  }
  std::byte* piece = blocks_.back().data() + block_used_;
  block_used_ += rounded;
  used_ += rounded;
  return piece;
}

}  // namespace hearth::backend

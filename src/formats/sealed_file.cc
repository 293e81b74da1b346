#include "formats/sealed_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/fault_point.h"
#include "base/log.h"
#include "base/start_thread.h"

namespace hearth {
namespace {

constexpr std::size_t kThreads = 4;  // of need(): as many as keep a drive busy
// Chunks lie as huge pages want it.
constexpr std::size_t kPlaceAlignment = 2u << 20;

constexpr std::size_t round_up(std::size_t n, std::size_t unit) {
  return (n + unit - 1) / unit * unit;
}

// Fresh memory without access, in the place of what may be at `at` (null: anywhere).
std::byte* reserve(std::byte* at, std::size_t bytes) {
  const int fixed = at ? MAP_FIXED : 0;
  void* const memory =
      ::mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  (void)::madvise(memory, bytes, MADV_DONTDUMP);
  (void)::madvise(memory, bytes, MADV_HUGEPAGE);
  return static_cast<std::byte*>(memory);
}

// Moves pages to where nothing is mapped but our own; false where the kernel cannot (before 5.7).
// An empty mapping stays at `from`, so that nobody else's ever comes to lie there.
bool move_pages(std::span<std::byte> from, std::byte* to) {
  if (FAULT_POINT("sealed.move")) return false;
  return ::mremap(from.data(), from.size(), from.size(),
                  MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) != MAP_FAILED;
}

bool protect(std::span<std::byte> memory, int access) {
  return ::mprotect(memory.data(), memory.size(), access) == 0;
}

// The part of `mapping` that begins as huge pages want it.
std::span<std::byte> aligned(std::span<std::byte> mapping, std::size_t bytes) {
  void* begin = mapping.data();
  std::size_t room = mapping.size();
  HEARTH_CHECK(std::align(kPlaceAlignment, bytes, begin, room) != nullptr);
  return {static_cast<std::byte*>(begin), bytes};
}

}  // namespace

Result<std::shared_ptr<const SealedFile>> SealedFile::open(const std::string& path,
                                                           const sealed::Unsealing& unsealing) {
  auto reader = sealed::SealedReader::open(path, unsealing);
  if (!reader) return prefixed(path, std::move(reader).error());
  const sealed::Layout& layout = reader->layout();
  if (layout.plaintext_bytes == 0) return invalid("empty_file", "{}: the file is empty", path);
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (layout.chunk_bytes % page != 0)
    return fail(ErrorKind::kUnsupported, "sealed_unsupported",
                "{}: chunks of {} bytes are no whole pages of this system", path,
                layout.chunk_bytes);
  // The file on the disk is as large, so this cannot overflow.
  const std::size_t text = round_up(static_cast<std::size_t>(layout.plaintext_bytes), page);
  std::byte* const memory = reserve(nullptr, text + kPlaceAlignment);
  if (memory == nullptr)
    return fail(ErrorKind::kExhausted, "out_of_memory", "{}: cannot map {} MiB: {}", path,
                text >> 20, std::strerror(errno));
  const std::span reserved(memory, text + kPlaceAlignment);
  return std::shared_ptr<const SealedFile>(
      new SealedFile(path, *std::move(reader), reserved, aligned(reserved, text)));
}

SealedFile::SealedFile(std::string path, sealed::SealedReader reader, std::span<std::byte> reserved,
                       std::span<std::byte> text)
    : ModelFile(text.first(static_cast<std::size_t>(reader.layout().plaintext_bytes))),
      path_(std::move(path)),
      reader_(std::move(reader)),
      reserved_(reserved),
      text_(text),
      chunks_(static_cast<std::size_t>(reader_.layout().chunks)) {}

SealedFile::~SealedFile() {
  ::munmap(reserved_.data(), reserved_.size());
  for (const Workplace& workplace : workplaces_)
    ::munmap(workplace.mapping.data(), workplace.mapping.size());
}

std::span<std::byte> SealedFile::memory_of(std::size_t chunk) const {
  const std::size_t at = chunk * chunk_bytes();
  return text_.subspan(at, std::min(chunk_bytes(), text_.size() - at));
}

Result<std::size_t> SealedFile::take_workplace() const {
  const std::lock_guard lock(mutex_);
  if (!free_workplaces_.empty()) {
    const std::size_t index = free_workplaces_.back();
    free_workplaces_.pop_back();
    return index;
  }
  const std::size_t bytes = chunk_bytes() + kPlaceAlignment;
  std::byte* const memory = reserve(nullptr, bytes);
  if (memory == nullptr || !protect({memory, bytes}, PROT_READ | PROT_WRITE))
    return fail(ErrorKind::kExhausted, "out_of_memory", "{}: {}", path_, std::strerror(errno));
  const std::span mapping(memory, bytes);
  workplaces_.push_back({mapping, aligned(mapping, chunk_bytes())});
  return workplaces_.size() - 1;
}

void SealedFile::give_workplace(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  free_workplaces_.push_back(index);
}

Status SealedFile::fill(std::size_t chunk, std::size_t& workplace) const {
  HEARTH_TRY(const std::size_t index, take_workplace());
  const auto work = [&] {
    const std::lock_guard lock(mutex_);
    return workplaces_[index].memory;
  }();
  auto read = reader_.read_chunk(chunk, work);
  if (!read) {
    give_workplace(index);
    return prefixed(path_, std::move(read).error());
  }
  const auto place = memory_of(chunk);
  const auto pages = work.first(place.size());
  if (protect(pages, PROT_READ) && move_pages(pages, place.data())) {
    workplace = index;
    return {};
  }
  bool copied = protect(pages, PROT_READ | PROT_WRITE) && protect(place, PROT_READ | PROT_WRITE);
  if (copied) {
    std::ranges::copy(pages, place.begin());
    copied = protect(place, PROT_READ);
  }
  give_workplace(index);
  if (copied) return {};
  return fail(ErrorKind::kExhausted, "out_of_memory", "{}: {}", path_, std::strerror(errno));
}

Status SealedFile::acquire(std::size_t index) const {
  std::unique_lock lock(mutex_);
  Chunk& chunk = chunks_[index];
  came_.wait(lock, [&] { return chunk.state != Chunk::kComing; });
  if (chunk.state == Chunk::kAbsent) {
    chunk.state = Chunk::kComing;
    lock.unlock();
    std::size_t workplace = kNowhere;
    Status filled = fill(index, workplace);
    lock.lock();
    chunk.workplace = workplace;
    chunk.state = filled ? Chunk::kReadable : Chunk::kAbsent;
    came_.notify_all();
    if (!filled) return filled;
  }
  ++chunk.users;
  return {};
}

void SealedFile::release(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  Chunk& chunk = chunks_[index];
  HEARTH_CHECK(chunk.state == Chunk::kReadable && chunk.users > 0);
  if (--chunk.users > 0) return;
  chunk.state = Chunk::kAbsent;
  const auto place = memory_of(index);
  if (chunk.workplace != kNowhere) {
    const auto work = workplaces_[chunk.workplace].memory.first(place.size());
    if (move_pages(place, work.data()) && protect(work, PROT_READ | PROT_WRITE))
      free_workplaces_.push_back(chunk.workplace);
    chunk.workplace = kNowhere;
  }
  HEARTH_CHECK(reserve(place.data(), place.size()) != nullptr);
}

Status SealedFile::need(std::span<const std::byte> range) const {
  if (range.empty()) return {};
  const std::size_t first = chunk_of(range.data());
  const std::size_t last = chunk_of(&range.back());
  std::atomic<std::size_t> next = first;
  std::mutex mutex;
  Status status;
  const auto work = [&] {
    for (std::size_t i = next++; i <= last; i = next++) {
      Status acquired = acquire(i);
      if (acquired) continue;
      const std::lock_guard lock(mutex);
      status = std::move(acquired);
      next = last + 1;
    }
  };
  std::vector<std::thread> helpers;
  helpers.reserve(kThreads);
  try {
    while (helpers.size() < std::min(kThreads - 1, last - first))
      helpers.push_back(start_thread(work, "sealed.thread"));
  } catch (const std::system_error&) {
    log::debug("{}: {} threads decrypt: no more can be had", path_, helpers.size() + 1);
  }
  work();
  for (std::thread& helper : helpers) helper.join();
  return status;
}

}  // namespace hearth

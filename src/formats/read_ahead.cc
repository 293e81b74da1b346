#include "formats/read_ahead.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "base/private_memory.h"
#include "base/start_thread.h"
#include "formats/unseal_ahead.h"

namespace hearth {
namespace {

constexpr std::size_t kReaders = 4;  // requests at once: what keeps a drive busy
constexpr std::size_t kBlockBytes = 4 << 20;
// Memory for what was read ahead: two or three of the largest steps of a layer, each of which is
// about 1/80 of a model.
constexpr std::size_t kRingBytesMin = 64 << 20;
constexpr std::size_t kRingBytesMax = 1 << 30;
constexpr std::size_t kRingShare = 32;    // of the file
constexpr std::size_t kLargestShare = 4;  // of the file: larger steps stay in the mapping

constexpr std::size_t round_down(std::size_t n) {
  return n / MappedFile::kDirectBytes * MappedFile::kDirectBytes;
}
constexpr std::size_t round_up(std::size_t n) {
  return round_down(n + MappedFile::kDirectBytes - 1);
}

}  // namespace

ReadAhead::ReadAhead(const Weights& weights, std::vector<Ranges> steps, Choice choice)
    : unseal_(std::make_unique<UnsealAhead>(weights, steps)) {
  for (Ranges& ranges : steps) steps_.emplace_back().wanted = std::move(ranges);
  plan(weights, choice);
  if (blocks_.empty() || start()) return;
  blocks_.clear();
  for (Step& step : steps_) step.bytes = 0;
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  room_.notify_all();
  for (std::thread& reader : readers_) reader.join();
  if (!memory_.empty()) ::munmap(memory_.data(), memory_.size());
}

// Which steps are read, in which blocks.
void ReadAhead::plan(const Weights& weights, Choice choice) {
  const auto file_bytes = static_cast<std::size_t>(weights.file_bytes());
  ring_bytes_ = round_down(std::clamp(file_bytes / kRingShare, kRingBytesMin, kRingBytesMax));
  const std::size_t largest = std::max(ring_bytes_, file_bytes / kLargestShare);
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    Step& step = steps_[s];
    const std::size_t first_block = blocks_.size();
    std::size_t bytes = 0;
    bool cached = true;
    bool in_files = true;
    for (const auto& range : step.wanted) {
      const ModelFile* const holder = weights.file_of(range);
      const MappedFile* const file = holder ? holder->as_mapped() : nullptr;
      if (!file || range.empty()) {
        in_files = false;
        break;
      }
      cached = cached && file->in_page_cache(range);
      const auto begin = static_cast<std::size_t>(range.data() - file->bytes().data());
      const std::size_t end = round_up(begin + range.size());
      step.at.push_back(bytes + begin % MappedFile::kDirectBytes);
      for (std::size_t offset = round_down(begin); offset < end;) {
        const std::size_t n = std::min(kBlockBytes, end - offset);
        blocks_.push_back({s, file, offset, bytes, n});
        offset += n;
        bytes += n;
      }
    }
    if (in_files && bytes <= largest && (choice == Choice::kEverything || !cached)) {
      step.bytes = bytes;
      step.open_blocks = blocks_.size() - first_block;
    } else {
      blocks_.resize(first_block);
    }
  }
}

// False: no memory or no thread.
bool ReadAhead::start() {
  const std::size_t wanted = std::min(kReaders, blocks_.size());
  readers_.reserve(wanted);
  std::size_t bytes = ring_bytes_;
  for (const Step& step : steps_) bytes = std::max(bytes, step.bytes);
  void* const address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return false;
  memory_ = {static_cast<std::byte*>(address), bytes};
  // Only advice: with small pages each read has more of them to hold.
  (void)::madvise(address, bytes, MADV_HUGEPAGE);
  // At the limit of threads, those that are there do the work.
  while (readers_.size() < wanted && add_reader()) continue;
  return !readers_.empty();
}

bool ReadAhead::add_reader() {
  try {
    readers_.push_back(start_thread([this] { read_blocks(); }, "read_ahead.thread"));
    return true;
  } catch (const std::system_error&) {
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void ReadAhead::read_blocks() {
  std::unique_lock lock(mutex_);
  for (;;) {
    while (!stop_ && next_block_ < blocks_.size() && !place(blocks_[next_block_].step))
      room_.wait(lock);
    if (stop_ || next_block_ == blocks_.size()) return;
    const Block& block = blocks_[next_block_++];
    Step& step = steps_[block.step];
    const std::span<std::byte> to = memory_.subspan(step.place + block.at, block.bytes);
    lock.unlock();
    auto read = block.file->read_direct(block.offset, to);
    lock.lock();
    if (!read) {
      step.error = std::move(read).error();
    } else if (!*read) {
      step.refused = true;
    }
    if (--step.open_blocks == 0) complete_.notify_all();
  }
}

// Finds memory for a step that has none yet. Steps are placed, and released, in their order. One
// that is larger than the ring lies alone.
bool ReadAhead::place(std::size_t index) {
  Step& step = steps_[index];
  if (step.placed) return true;
  std::size_t at = 0;
  if (!held_.empty()) {
    const std::size_t begin = steps_[held_.front()].place;
    const std::size_t end = steps_[held_.back()].place + steps_[held_.back()].bytes;
    const std::size_t limit = end > begin ? ring_bytes_ : begin;
    if (end + step.bytes <= limit) {
      at = end;
    } else if (end <= begin || step.bytes > begin) {
      return false;
    }
  }
  step.place = at;
  step.placed = true;
  held_.push_back(index);
  return true;
}

void ReadAhead::release(std::size_t index) {
  const Step& step = steps_[index];
  if (step.bytes == 0) return;
  {
    const std::lock_guard lock(mutex_);
    HEARTH_CHECK(held_.front() == index);
    // What lies beyond the ring is not used again soon, and nothing at all once the last step has
    // been read: packed weights and what waits to be packed never take much more than the former.
    const std::size_t end = step.place + step.bytes;
    const std::size_t unused =
        next_block_ == blocks_.size() ? step.place : std::max(step.place, ring_bytes_);
    if (unused < end) discard_pages(memory_.data() + unused, end - unused);
    held_.pop_front();
  }
  room_.notify_all();
}

Result<ReadAhead::Ranges> ReadAhead::next(const Ranges& wanted) {
  if (current_ > 0) release(current_ - 1);
  HEARTH_CHECK(current_ < steps_.size());
  Step& step = steps_[current_++];
  HEARTH_CHECK(std::equal(
      wanted.begin(), wanted.end(), step.wanted.begin(), step.wanted.end(),
      [](const auto& a, const auto& b) { return a.data() == b.data() && a.size() == b.size(); }));
  HEARTH_TRY_VOID(unseal_->next());
  if (step.bytes == 0) return wanted;
  std::unique_lock lock(mutex_);
  complete_.wait(lock, [&] { return step.open_blocks == 0; });
  if (step.error) return tl::unexpected<Error>(*step.error);
  if (step.refused) return wanted;
  Ranges out;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    out.push_back(memory_.subspan(step.place + step.at[i], wanted[i].size()));
    direct_bytes_ += static_cast<std::int64_t>(wanted[i].size());
  }
  return out;
}

}  // namespace hearth

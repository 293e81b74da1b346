#include "formats/read_ahead.h"

#include <algorithm>
#include <utility>

#include "base/start_thread.h"

namespace hearth {

ReadAhead::ReadAhead(std::shared_ptr<const Weights> weights)
    : weights_(std::move(weights)), thread_(start_thread([this] { loop(); })) {}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void ReadAhead::used(std::span<const std::byte> range) {
  weights_->advise(range, PageUse::kNoLonger);
  {
    const std::lock_guard lock(mutex_);
    used_ += static_cast<std::int64_t>(range.size());
  }
  wake_.notify_one();
}

void ReadAhead::loop() {
  constexpr std::size_t kPiece = 1 << 20;
  std::int64_t asked = 0;
  for (const TensorView& tensor : weights_->tensors()) {
    for (std::size_t at = 0; at < tensor.data.size(); at += kPiece) {
      const auto piece = tensor.data.subspan(at, std::min(kPiece, tensor.data.size() - at));
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || asked - used_ < kAheadBytes; });
        if (stopping_) return;
      }
      weights_->advise(piece, PageUse::kSoon);
      asked += static_cast<std::int64_t>(piece.size());
    }
  }
}

}  // namespace hearth

#include "formats/read_ahead.h"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

namespace hearth {
namespace {

// Tensors of a made-up file; writes down what is asked for.
class Recorded final : public Weights {
 public:
  explicit Recorded(const std::vector<std::size_t>& sizes) {
    std::size_t total = 0;
    for (std::size_t n : sizes) total += n;
    bytes_.resize(total);
    std::size_t at = 0;
    for (std::size_t n : sizes) {
      tensors_.emplace_back().data = std::span<const std::byte>(bytes_).subspan(at, n);
      at += n;
    }
  }
  const TensorView* find(std::string_view) const override { return nullptr; }
  std::span<const TensorView> tensors() const override { return tensors_; }
  std::int64_t file_bytes() const override { return static_cast<std::int64_t>(bytes_.size()); }
  void advise(std::span<const std::byte> range, PageUse use) const override {
    const std::lock_guard lock(mutex_);
    if (use == PageUse::kNoLonger) {
      dropped_ += range.size();
      return;
    }
    in_order_ = in_order_ && range.data() == bytes_.data() + asked_;
    asked_ += range.size();
  }
  std::size_t asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  // What has been asked for once nothing more comes for a while.
  std::size_t asked_in_the_end(std::size_t expected) const {
    for (int i = 0; i < 2000 && asked() < expected; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return asked();
  }
  bool in_order() const { return in_order_; }
  std::size_t dropped() const { return dropped_; }

 private:
  std::vector<std::byte> bytes_;
  std::vector<TensorView> tensors_;
  mutable std::mutex mutex_;
  mutable std::size_t asked_ = 0, dropped_ = 0;
  mutable bool in_order_ = true;
};

TEST(ReadAhead, ReadsInOrderAndNoFurtherThanItMay) {
  constexpr std::size_t kMiB = 1 << 20;
  constexpr auto kAhead = static_cast<std::size_t>(ReadAhead::kAheadBytes);
  const auto weights = std::make_shared<Recorded>(
      std::vector<std::size_t>{3 * kMiB + 7, 60 * kMiB, 1, 50 * kMiB, 20 * kMiB});
  {
    ReadAhead ahead(weights);
    const std::size_t first = weights->asked_in_the_end(kAhead);
    EXPECT_GE(first, kAhead);
    EXPECT_LT(first, kAhead + kMiB);
    ahead.used(weights->tensors()[0].data);
    EXPECT_GE(weights->asked_in_the_end(kAhead + 3 * kMiB + 7), kAhead + 3 * kMiB + 7);
    // Used out of order, as an output matrix behind the layers is.
    ahead.used(weights->tensors()[4].data);
    ahead.used(weights->tensors()[1].data);
    EXPECT_EQ(weights->asked_in_the_end(static_cast<std::size_t>(weights->file_bytes())),
              static_cast<std::size_t>(weights->file_bytes()));
    EXPECT_EQ(weights->dropped(), 83 * kMiB + 7);
  }
  EXPECT_TRUE(weights->in_order());
}

TEST(ReadAhead, StopsWhenNobodyWantsMore) {
  const auto weights = std::make_shared<Recorded>(std::vector<std::size_t>{200u << 20});
  {
    const ReadAhead ahead(weights);
  }
  EXPECT_LE(weights->asked(), static_cast<std::size_t>(ReadAhead::kAheadBytes) + (1u << 20));
}

}  // namespace
}  // namespace hearth

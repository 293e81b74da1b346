// Memory for keys and passphrases (libsodium's guarded heap): locked where the system allows that,
// in no core file, wiped before it is given back, between pages that nobody may touch.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace hearth::crypto {

class Secret {
 public:
  Secret() = default;                 // of no bytes
  explicit Secret(std::size_t size);  // of zeros
  explicit Secret(std::span<const std::byte> copied);

  std::span<std::byte> bytes() { return {data_.get(), size_}; }
  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const;
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_ = 0;
};

// Zeros that no optimiser leaves out.
void wipe(std::span<std::byte> bytes);

// In a time that tells nothing but the sizes.
bool equal(std::span<const std::byte> a, std::span<const std::byte> b);

// From the system's generator.
void fill_random(std::span<std::byte> bytes);

}  // namespace hearth::crypto

#include "crypto/secret.h"

#include <sodium.h>

#include <algorithm>

#include "base/result.h"

namespace hearth::crypto {
namespace {

// Fails only where the system has no source of randomness.
void start_library() {
  static const int started = sodium_init();
  HEARTH_CHECK(started >= 0);
}

}  // namespace

Secret::Secret(std::size_t size) : size_(size) {
  start_library();
  data_.reset(static_cast<std::byte*>(sodium_malloc(size)));
  HEARTH_CHECK(data_ != nullptr);  // some pages; there is no going on without
  wipe(bytes());
}

Secret::Secret(std::span<const std::byte> copied) : Secret(copied.size()) {
  std::copy(copied.begin(), copied.end(), data_.get());
}

void Secret::Free::operator()(std::byte* bytes) const { sodium_free(bytes); }

void wipe(std::span<std::byte> bytes) { sodium_memzero(bytes.data(), bytes.size()); }

bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

void fill_random(std::span<std::byte> bytes) {
  start_library();
  randombytes_buf(bytes.data(), bytes.size());
}

}  // namespace hearth::crypto

// Keys out of passphrases: Argon2id, version 1.3, one lane (RFC 9106).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "crypto/secret.h"

namespace hearth::crypto {

// What one guess costs. Whoever reads these from a file holds them against the limits: a file must
// not be able to ask for all memory or for hours.
struct Argon2Cost {
  std::uint32_t memory_kib = 256 << 10;
  std::uint32_t passes = 3;

  static constexpr std::uint32_t kMemoryKibMin = 8, kMemoryKibMax = 1 << 20;
  static constexpr std::uint32_t kPassesMin = 1, kPassesMax = 16;
  bool within_limits() const {
    return memory_kib >= kMemoryKibMin && memory_kib <= kMemoryKibMax && passes >= kPassesMin &&
           passes <= kPassesMax;
  }
};

inline constexpr std::size_t kArgon2SaltBytes = 16;

// 32 bytes. `cost` is within its limits. Error: "out_of_memory".
Result<Secret> argon2id(const Secret& passphrase, std::span<const std::byte, kArgon2SaltBytes> salt,
                        Argon2Cost cost);

}  // namespace hearth::crypto

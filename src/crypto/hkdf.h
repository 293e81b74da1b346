// Keys out of a key: HKDF-SHA256 (RFC 5869), HMAC-SHA256 (RFC 2104).
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "crypto/secret.h"

namespace hearth::crypto {

// 1 to 8160 bytes. `info` keeps keys for different ends apart.
Secret hkdf_sha256(const Secret& key, std::span<const std::byte> salt, std::string_view info,
                   std::size_t bytes);

std::array<std::byte, 32> hmac_sha256(const Secret& key, std::span<const std::byte> message);

}  // namespace hearth::crypto

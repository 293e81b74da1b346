// HMAC-SHA-256 (RFC 2104) and comparison in constant time.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "crypto/secret.h"  // fill_random

namespace hearth::crypto {

using Digest = std::array<std::byte, 32>;

Digest hmac_sha256(std::span<const std::byte> key, std::string_view text);

// How long it takes tells nothing but the sizes.
bool equal_in_constant_time(std::span<const std::byte> a, std::span<const std::byte> b);

std::string hex(std::span<const std::byte> bytes);  // lower case

}  // namespace hearth::crypto

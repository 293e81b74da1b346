// HMAC-SHA-256 (RFC 2104), comparison in constant time, and random numbers.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace hearth::crypto {

using Digest = std::array<std::byte, 32>;

Digest hmac_sha256(std::span<const std::byte> key, std::string_view text);

// How long it takes tells nothing but the sizes.
bool equal_in_constant_time(std::span<const std::byte> a, std::span<const std::byte> b);

// From the operating system's generator, fit for keys.
void fill_random(std::span<std::byte> out);

std::string hex(std::span<const std::byte> bytes);  // lower case

}  // namespace hearth::crypto

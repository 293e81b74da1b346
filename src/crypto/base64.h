// Base64 (RFC 4648, with padding, in one line).
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace hearth::crypto {

std::string base64(std::span<const std::byte> bytes);

}  // namespace hearth::crypto

// Keys of 32 bytes as people keep them in files and variables.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "crypto/secret.h"

namespace hearth::crypto {

inline constexpr std::size_t kKeyTextBytesMax = 256;

// 64 hex digits or 44 characters of base64, white space behind them apart; with `raw` also 32 bytes
// as they are, which come first. None: it is neither.
std::optional<Secret> decode_key(std::span<const std::byte> text, bool raw);

}  // namespace hearth::crypto

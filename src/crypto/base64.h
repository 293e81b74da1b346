// Base64 (RFC 4648, with padding, in one line).
#pragma once

#include <string>
#include <string_view>

namespace hearth::crypto {

std::string base64(std::string_view bytes);

}  // namespace hearth::crypto

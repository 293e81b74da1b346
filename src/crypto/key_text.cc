#include "crypto/key_text.h"

#include <sodium.h>

#include <string_view>

namespace hearth::crypto {
namespace {

constexpr std::size_t kBytes = 32;
constexpr std::size_t kHexDigits = 2 * kBytes;
constexpr std::size_t kBase64Characters = 44;

bool is_space(std::byte b) {
  constexpr std::string_view kSpace = " \t\r\n";
  return kSpace.find(static_cast<char>(b)) != std::string_view::npos;
}

}  // namespace

std::optional<Secret> decode_key(std::span<const std::byte> text, bool raw) {
  if (raw && text.size() == kBytes) return Secret(text);
  while (!text.empty() && is_space(text.back())) text = text.first(text.size() - 1);
  Secret key(kBytes);
  auto* const out = static_cast<unsigned char*>(static_cast<void*>(key.bytes().data()));
  const auto* const in = static_cast<const char*>(static_cast<const void*>(text.data()));
  std::size_t written = 0;
  // In constant time, as libsodium decodes.
  if (text.size() == kHexDigits &&
      sodium_hex2bin(out, kBytes, in, text.size(), nullptr, &written, nullptr) == 0 &&
      written == kBytes)
    return key;
  if (text.size() == kBase64Characters &&
      sodium_base642bin(out, kBytes, in, text.size(), nullptr, &written, nullptr,
                        sodium_base64_VARIANT_ORIGINAL) == 0 &&
      written == kBytes)
    return key;
  return std::nullopt;
}

}  // namespace hearth::crypto

#include "security/api_key.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hearth::security {
namespace {

constexpr std::string_view kPrefix = "hk_";
constexpr std::size_t kIdSize = 16;      // hex digits
constexpr std::size_t kSecretSize = 64;  // hex digits, 256 bits

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_lower_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return hex_digit(c) >= 0 && !(c >= 'A' && c <= 'F'); });
}

template <std::size_t N>
std::string random_hex() {
  std::array<std::byte, N / 2> bytes;
  crypto::fill_random(bytes);
  return crypto::hex(bytes);
}

}  // namespace

NewApiKey make_api_key() {
  NewApiKey key;
  key.id = random_hex<kIdSize>();
  key.text = fmt::format("{}{}_{}", kPrefix, key.id, random_hex<kSecretSize>());
  return key;
}

std::optional<std::string_view> id_of_api_key(std::string_view text) {
  if (text.size() != kPrefix.size() + kIdSize + 1 + kSecretSize || !text.starts_with(kPrefix) ||
      text[kPrefix.size() + kIdSize] != '_')
    return std::nullopt;
  const std::string_view id = text.substr(kPrefix.size(), kIdSize);
  if (!is_lower_hex(id) || !is_lower_hex(text.substr(kPrefix.size() + kIdSize + 1)))
    return std::nullopt;
  return id;
}

crypto::Digest hash_api_key(std::span<const std::byte> site_secret, std::string_view text) {
  return crypto::hmac_sha256(site_secret, text);
}

std::optional<crypto::Digest> parse_digest(std::string_view hex) {
  crypto::Digest out;
  if (hex.size() != 2 * out.size()) return std::nullopt;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = hex_digit(hex[2 * i]);
    const int low = hex_digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out[i] = static_cast<std::byte>(high * 16 + low);
  }
  return out;
}

}  // namespace hearth::security

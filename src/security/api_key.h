// API keys: hk_<id>_<secret>. The id finds the key and may be told to anybody; the secret is 256
// random bits. Kept is only HMAC-SHA-256 of the whole, under a secret of the site that stands
// elsewhere: who has read the one knows nothing without the other.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "crypto/hmac.h"

namespace hearth::security {

struct NewApiKey {
  std::string id;    // 16 hex digits
  std::string text;  // to be shown once
};
NewApiKey make_api_key();

// The id of a key of that form; nothing for any other text.
std::optional<std::string_view> id_of_api_key(std::string_view text);

// What is kept of a key.
crypto::Digest hash_api_key(std::span<const std::byte> site_secret, std::string_view text);

// 64 hex digits of either case.
std::optional<crypto::Digest> parse_digest(std::string_view hex);

}  // namespace hearth::security

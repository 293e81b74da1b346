// Ed25519 signatures (RFC 8032, without a context).
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "base/result.h"
#include "crypto/secret.h"

namespace hearth::crypto {

using Ed25519Public = std::array<std::byte, 32>;
using Ed25519Signature = std::array<std::byte, 64>;

class Ed25519Key {
 public:
  // What `openssl genpkey -algorithm ed25519` writes. Anything else, also a key under a passphrase:
  // "invalid_key".
  static Result<Ed25519Key> from_pem(std::string_view pem);
  static Ed25519Key from_seed(const Secret& seed);  // 32 bytes
  Ed25519Key(Ed25519Key&& other) noexcept;
  Ed25519Key& operator=(Ed25519Key&& other) noexcept;
  ~Ed25519Key();

  Ed25519Public public_key() const;
  Ed25519Signature sign(std::span<const std::byte> message) const;

 private:
  struct State;
  explicit Ed25519Key(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What `openssl pkey -in KEY -pubout` writes; else "invalid_key".
Result<Ed25519Public> ed25519_public_from_pem(std::string_view pem);

bool ed25519_verify(const Ed25519Public& key, std::span<const std::byte> message,
                    const Ed25519Signature& signature);

}  // namespace hearth::crypto

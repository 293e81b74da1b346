// AES-256-GCM (NIST SP 800-38D) with the tag apart from the text, which is worked on in place.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "crypto/secret.h"

namespace hearth::crypto {

class Aes256Gcm {
 public:
  static constexpr std::size_t kKeyBytes = 32;
  static constexpr std::size_t kNonceBytes = 12;
  static constexpr std::size_t kTagBytes = 16;
  static constexpr std::size_t kTextBytesMax = std::size_t{1} << 30;  // of one call

  using Nonce = std::span<const std::byte, kNonceBytes>;  // never twice under one key
  using Bytes = std::span<const std::byte>;

  // `key` has kKeyBytes.
  explicit Aes256Gcm(Secret key);

  // Both may be called by several threads at once.
  void seal(Nonce nonce, Bytes associated, std::span<std::byte> text,
            std::span<std::byte, kTagBytes> tag) const;
  // False: not what was sealed with this key, nonce and associated data; the text is wiped.
  [[nodiscard]] bool open(Nonce nonce, Bytes associated, std::span<std::byte> text,
                          std::span<const std::byte, kTagBytes> tag) const;

 private:
  friend class Aes256GcmOpening;
  Secret key_;
};

// open() for a text that comes in pieces, in order. What update() has decrypted is nobody's to look
// at before finish() has said that it is right; if it is not, whoever holds the pieces wipes them.
class Aes256GcmOpening {
 public:
  Aes256GcmOpening(const Aes256Gcm& aead, Aes256Gcm::Nonce nonce, Aes256Gcm::Bytes associated);
  ~Aes256GcmOpening();
  Aes256GcmOpening(const Aes256GcmOpening&) = delete;
  Aes256GcmOpening& operator=(const Aes256GcmOpening&) = delete;

  void update(std::span<std::byte> text);
  [[nodiscard]] bool finish(std::span<const std::byte, Aes256Gcm::kTagBytes> tag);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth::crypto

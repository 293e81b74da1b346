#include "crypto/argon2id.h"

#include <sodium.h>

namespace hearth::crypto {

Result<Secret> argon2id(const Secret& passphrase, std::span<const std::byte, kArgon2SaltBytes> salt,
                        Argon2Cost cost) {
  static_assert(kArgon2SaltBytes == crypto_pwhash_argon2id_SALTBYTES);
  HEARTH_CHECK(cost.within_limits());
  Secret out(32);
  const void* const salt_bytes = salt.data();
  const void* const text = passphrase.bytes().data();
  if (crypto_pwhash_argon2id(static_cast<unsigned char*>(static_cast<void*>(out.bytes().data())),
                             out.size(), static_cast<const char*>(text), passphrase.size(),
                             static_cast<const unsigned char*>(salt_bytes), cost.passes,
                             std::size_t{cost.memory_kib} << 10,
                             crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
    return fail(ErrorKind::kExhausted, "out_of_memory",
                "no memory for the key of a passphrase: {} MiB are needed", cost.memory_kib >> 10);
  return out;
}

}  // namespace hearth::crypto

#include "crypto/hkdf.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace hearth::crypto {
namespace {

struct Free {
  void operator()(EVP_KDF* p) const { EVP_KDF_free(p); }
  void operator()(EVP_KDF_CTX* p) const { EVP_KDF_CTX_free(p); }
};

// OpenSSL's parameters are pointers to what it only reads.
void* unconst(const void* bytes) { return const_cast<void*>(bytes); }

unsigned char* raw(std::byte* bytes) {
  return static_cast<unsigned char*>(static_cast<void*>(bytes));
}

}  // namespace

Secret hkdf_sha256(const Secret& key, std::span<const std::byte> salt, std::string_view info,
                   std::size_t bytes) {
  const std::unique_ptr<EVP_KDF, Free> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  HEARTH_CHECK(kdf != nullptr);
  const std::unique_ptr<EVP_KDF_CTX, Free> context(EVP_KDF_CTX_new(kdf.get()));
  HEARTH_CHECK(context != nullptr);
  std::string digest = "SHA256";
  // None is the same as an empty one, which may not be null.
  const void* const salt_bytes = salt.empty() ? static_cast<const void*>("") : salt.data();
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, unconst(key.bytes().data()),
                                        key.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, unconst(salt_bytes), salt.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, unconst(info.data()), info.size()),
      OSSL_PARAM_construct_end()};
  Secret out(bytes);
  HEARTH_CHECK(EVP_KDF_derive(context.get(), raw(out.bytes().data()), bytes, params) == 1);
  return out;
}

std::array<std::byte, 32> hmac_sha256(const Secret& key, std::span<const std::byte> message) {
  std::array<std::byte, 32> out{};
  const void* const bytes = message.data();
  HEARTH_CHECK(HMAC(EVP_sha256(), key.bytes().data(), static_cast<int>(key.size()),
                    static_cast<const unsigned char*>(bytes), message.size(), raw(out.data()),
                    nullptr) != nullptr);
  return out;
}

}  // namespace hearth::crypto

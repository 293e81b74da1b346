#include "crypto/ed25519.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <utility>

namespace hearth::crypto {
namespace {

struct Free {
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;

unsigned char* raw(std::byte* bytes) {
  return static_cast<unsigned char*>(static_cast<void*>(bytes));
}
const unsigned char* raw(const std::byte* bytes) {
  return static_cast<const unsigned char*>(static_cast<const void*>(bytes));
}

// Nobody is asked for a passphrase.
int no_passphrase(char*, int, int, void*) { return 0; }

std::unique_ptr<BIO, Free> reading(std::string_view text) {
  return std::unique_ptr<BIO, Free>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Ed25519Public public_of(const EVP_PKEY* key) {
  Ed25519Public out{};
  std::size_t size = out.size();
  HEARTH_CHECK(EVP_PKEY_get_raw_public_key(key, raw(out.data()), &size) == 1);
  HEARTH_CHECK(size == out.size());
  return out;
}

constexpr std::size_t kPemBytesMax = 1 << 16;

}  // namespace

struct Ed25519Key::State {
  Key key;
};

Ed25519Key::Ed25519Key(std::unique_ptr<State> state) : state_(std::move(state)) {}
Ed25519Key::Ed25519Key(Ed25519Key&& other) noexcept = default;
Ed25519Key& Ed25519Key::operator=(Ed25519Key&& other) noexcept = default;
Ed25519Key::~Ed25519Key() = default;

Result<Ed25519Key> Ed25519Key::from_pem(std::string_view pem) {
  Key key;
  if (pem.size() <= kPemBytesMax)
    key.reset(PEM_read_bio_PrivateKey(reading(pem).get(), nullptr, no_passphrase, nullptr));
  if (!key || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519)
    return invalid("invalid_key",
                   "not an Ed25519 private key in PEM, as `openssl genpkey -algorithm ed25519` "
                   "writes it");
  return Ed25519Key(std::make_unique<State>(State{std::move(key)}));
}

Ed25519Key Ed25519Key::from_seed(const Secret& seed) {
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw(seed.bytes().data()),
                                       seed.size()));
  HEARTH_CHECK(key != nullptr);
  return Ed25519Key(std::make_unique<State>(State{std::move(key)}));
}

Ed25519Public Ed25519Key::public_key() const { return public_of(state_->key.get()); }

Ed25519Signature Ed25519Key::sign(std::span<const std::byte> message) const {
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  Ed25519Signature out{};
  std::size_t size = out.size();
  HEARTH_CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, state_->key.get()) ==
               1);
  HEARTH_CHECK(EVP_DigestSign(context.get(), raw(out.data()), &size, raw(message.data()),
                              message.size()) == 1);
  HEARTH_CHECK(size == out.size());
  return out;
}

Result<Ed25519Public> ed25519_public_from_pem(std::string_view pem) {
  Key key;
  if (pem.size() <= kPemBytesMax)
    key.reset(PEM_read_bio_PUBKEY(reading(pem).get(), nullptr, no_passphrase, nullptr));
  if (!key || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519)
    return invalid("invalid_key",
                   "not an Ed25519 public key in PEM, as `openssl pkey -in KEY -pubout` writes it");
  return public_of(key.get());
}

bool ed25519_verify(const Ed25519Public& key, std::span<const std::byte> message,
                    const Ed25519Signature& signature) {
  const Key made(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw(key.data()), key.size()));
  if (!made) return false;
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  HEARTH_CHECK(EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, made.get()) == 1);
  return EVP_DigestVerify(context.get(), raw(signature.data()), signature.size(),
                          raw(message.data()), message.size()) == 1;
}

}  // namespace hearth::crypto

#include "crypto/aead.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "base/result.h"

namespace hearth::crypto {
namespace {

struct Free {
  void operator()(EVP_CIPHER_CTX* p) const { EVP_CIPHER_CTX_free(p); }  // wipes the key in it
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, Free>;

unsigned char* raw(std::byte* bytes) {
  return static_cast<unsigned char*>(static_cast<void*>(bytes));
}
const unsigned char* raw(const std::byte* bytes) {
  return static_cast<const unsigned char*>(static_cast<const void*>(bytes));
}

// One for each call: setting up a key takes a microsecond, a chunk of a model takes a thousand.
// What is checked here fails only when the library has no memory or no AES.
Context context(bool seals, const Secret& key, Aes256Gcm::Nonce nonce,
                Aes256Gcm::Bytes associated) {
  Context out(EVP_CIPHER_CTX_new());
  HEARTH_CHECK(EVP_CipherInit_ex(out.get(), EVP_aes_256_gcm(), nullptr, raw(key.bytes().data()),
                                 raw(nonce.data()), seals ? 1 : 0) == 1);
  int written = 0;
  HEARTH_CHECK(EVP_CipherUpdate(out.get(), nullptr, &written, raw(associated.data()),
                                static_cast<int>(associated.size())) == 1);
  return out;
}

void transform(EVP_CIPHER_CTX* context, std::span<std::byte> text) {
  HEARTH_CHECK(text.size() <= Aes256Gcm::kTextBytesMax);
  int written = 0;
  if (!text.empty())
    HEARTH_CHECK(EVP_CipherUpdate(context, raw(text.data()), &written, raw(text.data()),
                                  static_cast<int>(text.size())) == 1);
}

}  // namespace

Aes256Gcm::Aes256Gcm(Secret key) : key_(std::move(key)) { HEARTH_CHECK(key_.size() == kKeyBytes); }

void Aes256Gcm::seal(Nonce nonce, Bytes associated, std::span<std::byte> text,
                     std::span<std::byte, kTagBytes> tag) const {
  const Context c = context(true, key_, nonce, associated);
  transform(c.get(), text);
  int written = 0;
  HEARTH_CHECK(EVP_CipherFinal_ex(c.get(), raw(tag.data()), &written) == 1);  // writes nothing
  HEARTH_CHECK(EVP_CIPHER_CTX_ctrl(c.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, tag.data()) == 1);
}

bool Aes256Gcm::open(Nonce nonce, Bytes associated, std::span<std::byte> text,
                     std::span<const std::byte, kTagBytes> tag) const {
  Aes256GcmOpening opening(*this, nonce, associated);
  opening.update(text);
  if (opening.finish(tag)) return true;
  wipe(text);
  return false;
}

struct Aes256GcmOpening::State {
  Context context;
};

Aes256GcmOpening::Aes256GcmOpening(const Aes256Gcm& aead, Aes256Gcm::Nonce nonce,
                                   Aes256Gcm::Bytes associated)
    : state_(std::make_unique<State>(State{context(false, aead.key_, nonce, associated)})) {}
Aes256GcmOpening::~Aes256GcmOpening() = default;

void Aes256GcmOpening::update(std::span<std::byte> text) { transform(state_->context.get(), text); }

bool Aes256GcmOpening::finish(std::span<const std::byte, Aes256Gcm::kTagBytes> tag) {
  std::array<std::byte, Aes256Gcm::kTagBytes> wanted{};
  std::copy(tag.begin(), tag.end(), wanted.begin());
  HEARTH_CHECK(EVP_CIPHER_CTX_ctrl(state_->context.get(), EVP_CTRL_GCM_SET_TAG,
                                   Aes256Gcm::kTagBytes, wanted.data()) == 1);
  int written = 0;
  return EVP_CipherFinal_ex(state_->context.get(), raw(wanted.data()), &written) == 1;
}

}  // namespace hearth::crypto

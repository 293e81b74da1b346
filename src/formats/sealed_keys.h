// Who can open a sealed file: a key, a passphrase, later a key service. Each has a slot in the
// file, in which the file's data key is wrapped for it; slots can be rewritten without touching the
// rest.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "crypto/argon2id.h"
#include "crypto/ed25519.h"
#include "crypto/secret.h"
#include "formats/sealed_layout.h"

namespace hearth::sealed {

// One key, wherever it lives. Both calls may be made by several threads.
class KeyProvider {
 public:
  virtual ~KeyProvider() = default;
  // A slot that holds `data_key`, bound to this file.
  virtual Result<Slot> wrap(const FileId& file, const crypto::Secret& data_key) const = 0;
  // Nothing: the slot is not for this key, or not of this file. Errors: the key cannot be had now.
  virtual Result<std::optional<crypto::Secret>> unwrap(const FileId& file,
                                                       const Slot& slot) const = 0;
};
using KeyRef = std::shared_ptr<const KeyProvider>;

inline constexpr std::size_t kKeyBytes = 32;

KeyRef make_key(crypto::Secret key);  // of kKeyBytes random bytes
// `cost`: of the slots that it writes. What a passphrase costs is paid once for all files whose
// slots have the same salt, and those that one provider writes have.
KeyRef make_passphrase_key(crypto::Secret passphrase, crypto::Argon2Cost cost = {});

// How to open what is sealed.
struct Unsealing {
  KeyRef key;                                   // null: nothing can be opened
  std::optional<crypto::Ed25519Public> signer;  // who must have signed it; none: not asked
  bool plain_too = false;                       // with a key, take a model that is not sealed
};

// The keys that a file's data key leads to.
crypto::Secret content_key(const crypto::Secret& data_key, const Header& header);
crypto::Secret table_key(const crypto::Secret& data_key, const Header& header);

// At most kSlots keys, at least one.
Result<SlotArea> write_slots(const Header& header, const crypto::Secret& data_key,
                             std::span<const KeyRef> keys);
// Puts slots for `added` in the place of those that `old` opens; the others stay.
Result<SlotArea> replace_slots(const Header& header, const SlotArea& area, const KeyProvider& old,
                               std::span<const KeyRef> added);

// The data key. Errors: "sealed_wrong_key", "sealed_damaged" (a slot against the rules, or the
// slots' MAC), those of the provider.
Result<crypto::Secret> open_slots(const Header& header, const SlotArea& area,
                                  const KeyProvider& key);

}  // namespace hearth::sealed

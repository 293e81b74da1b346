#include "formats/sealed_keys.h"

#include <algorithm>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "crypto/aead.h"
#include "crypto/hkdf.h"

namespace hearth::sealed {
namespace {

using crypto::Aes256Gcm;
using crypto::Secret;

// A slot, by offset; the rest is zero.
enum class SlotKind : std::uint32_t { kFree = 0, kKey = 1, kPassphrase = 2 };
constexpr std::size_t kKindAt = 0;
constexpr std::size_t kMemoryKibAt = 4;  // of Argon2id, as the next; zero for keys
constexpr std::size_t kPassesAt = 8;
constexpr std::size_t kSlotSaltAt = 16;
constexpr std::size_t kNonceAt = 32;
constexpr std::size_t kWrappedAt = 44;
constexpr std::size_t kWrapTagAt = kWrappedAt + kKeyBytes;
constexpr std::size_t kSlotEnd = kWrapTagAt + kTagBytes;  // 92

using SlotSalt = std::array<std::byte, crypto::kArgon2SaltBytes>;

SlotKind kind_of(const Slot& slot) { return static_cast<SlotKind>(load_u32(&slot[kKindAt])); }
crypto::Argon2Cost cost_of(const Slot& slot) {
  return {load_u32(&slot[kMemoryKibAt]), load_u32(&slot[kPassesAt])};
}

SlotSalt salt_of(const Slot& slot) {
  SlotSalt salt{};
  std::copy_n(&slot[kSlotSaltAt], salt.size(), salt.begin());
  return salt;
}

// The file's id and what the slot says in the open: a slot of another file, or one whose costs were
// changed, does not open.
std::vector<std::byte> associated(const FileId& file, const Slot& slot) {
  std::vector<std::byte> out(file.begin(), file.end());
  out.insert(out.end(), slot.begin(), slot.begin() + kNonceAt);
  return out;
}

void wrap_into(Slot& slot, const FileId& file, Secret wrapping, const Secret& data_key) {
  HEARTH_CHECK(data_key.size() == kKeyBytes);
  const std::span bytes(slot);
  crypto::fill_random(bytes.subspan<kNonceAt, Aes256Gcm::kNonceBytes>());
  // In a slot there is never an unwrapped key, not even in passing.
  Secret wrapped(data_key.bytes());
  Aes256Gcm(std::move(wrapping))
      .seal(bytes.subspan<kNonceAt, Aes256Gcm::kNonceBytes>(), associated(file, slot),
            wrapped.bytes(), bytes.subspan<kWrapTagAt, kTagBytes>());
  std::ranges::copy(wrapped.bytes(), &slot[kWrappedAt]);
}

std::optional<Secret> unwrap_from(const Slot& slot, const FileId& file, Secret wrapping) {
  const std::span bytes(slot);
  Secret data_key(bytes.subspan<kWrappedAt, kKeyBytes>());
  if (!Aes256Gcm(std::move(wrapping))
           .open(bytes.subspan<kNonceAt, Aes256Gcm::kNonceBytes>(), associated(file, slot),
                 data_key.bytes(), bytes.subspan<kWrapTagAt, kTagBytes>()))
    return std::nullopt;
  return data_key;
}

class PlainKey final : public KeyProvider {
 public:
  explicit PlainKey(Secret key) : key_(std::move(key)) { HEARTH_CHECK(key_.size() == kKeyBytes); }

  Result<Slot> wrap(const FileId& file, const Secret& data_key) const override {
    Slot slot{};
    store_u32(&slot[kKindAt], static_cast<std::uint32_t>(SlotKind::kKey));
    crypto::fill_random(std::span(slot).subspan<kSlotSaltAt, sizeof(SlotSalt)>());
    wrap_into(slot, file, wrapping(slot), data_key);
    return slot;
  }

  Result<std::optional<Secret>> unwrap(const FileId& file, const Slot& slot) const override {
    if (kind_of(slot) != SlotKind::kKey) return std::nullopt;
    return unwrap_from(slot, file, wrapping(slot));
  }

 private:
  Secret wrapping(const Slot& slot) const {
    return crypto::hkdf_sha256(key_, salt_of(slot), "hearth sealed slot", kKeyBytes);
  }
  const Secret key_;
};

class PassphraseKey final : public KeyProvider {
 public:
  PassphraseKey(Secret passphrase, crypto::Argon2Cost cost)
      : passphrase_(std::move(passphrase)), cost_(cost) {
    crypto::fill_random(salt_);
  }

  Result<Slot> wrap(const FileId& file, const Secret& data_key) const override {
    Slot slot{};
    store_u32(&slot[kKindAt], static_cast<std::uint32_t>(SlotKind::kPassphrase));
    store_u32(&slot[kMemoryKibAt], cost_.memory_kib);
    store_u32(&slot[kPassesAt], cost_.passes);
    std::ranges::copy(salt_, &slot[kSlotSaltAt]);
    HEARTH_TRY(Secret wrapping, wrapping_key(salt_, cost_));
    wrap_into(slot, file, std::move(wrapping), data_key);
    return slot;
  }

  Result<std::optional<Secret>> unwrap(const FileId& file, const Slot& slot) const override {
    if (kind_of(slot) != SlotKind::kPassphrase) return std::nullopt;
    HEARTH_TRY(Secret wrapping, wrapping_key(salt_of(slot), cost_of(slot)));
    return unwrap_from(slot, file, std::move(wrapping));
  }

 private:
  // The last one is kept: a folder's files have the same salt.
  Result<Secret> wrapping_key(const SlotSalt& salt, crypto::Argon2Cost cost) const {
    const std::lock_guard lock(mutex_);
    if (last_.size() == 0 || salt != last_salt_ || cost.memory_kib != last_cost_.memory_kib ||
        cost.passes != last_cost_.passes) {
      HEARTH_TRY(last_, crypto::argon2id(passphrase_, salt, cost));
      last_salt_ = salt;
      last_cost_ = cost;
    }
    return Secret(last_.bytes());
  }

  const Secret passphrase_;
  const crypto::Argon2Cost cost_;
  SlotSalt salt_{};
  mutable std::mutex mutex_;
  mutable Secret last_;
  mutable SlotSalt last_salt_{};
  mutable crypto::Argon2Cost last_cost_;
};

// Whatever a slot may ask for is within bounds, and what means nothing is zero.
Status check_slot(const Slot& slot) {
  const auto zero = [&](std::size_t begin, std::size_t end) {
    return std::all_of(slot.begin() + static_cast<std::ptrdiff_t>(begin),
                       slot.begin() + static_cast<std::ptrdiff_t>(end),
                       [](std::byte b) { return b == std::byte{0}; });
  };
  bool good = false;
  switch (kind_of(slot)) {
    case SlotKind::kFree:
      good = zero(0, kSlotBytes);
      break;
    case SlotKind::kKey:
      good = zero(kMemoryKibAt, kSlotSaltAt) && zero(kSlotEnd, kSlotBytes);
      break;
    case SlotKind::kPassphrase:
      good = cost_of(slot).within_limits() && zero(kPassesAt + 4, kSlotSaltAt) &&
             zero(kSlotEnd, kSlotBytes);
      break;
  }
  if (!good) return invalid("sealed_damaged", "a key slot is not well-formed");
  return {};
}

Slot slot_at(const SlotArea& area, std::size_t index) {
  Slot slot{};
  std::copy_n(&area[index * kSlotBytes], kSlotBytes, slot.begin());
  return slot;
}

// Over all slots: nobody without the data key adds, changes or takes away one. It also ties the
// file to one data key, which GCM alone does not.
std::array<std::byte, kMacBytes> mac_of(const Header& header, const SlotArea& area,
                                        const Secret& data_key) {
  const Secret key = crypto::hkdf_sha256(data_key, header.salt, "hearth sealed slots", 32);
  std::vector<std::byte> message(header.file_id.begin(), header.file_id.end());
  message.insert(message.end(), area.begin(), area.end() - kMacBytes);
  return crypto::hmac_sha256(key, message);
}

Result<SlotArea> assemble(const Header& header, const Secret& data_key,
                          std::span<const Slot> slots) {
  if (slots.empty() || slots.size() > kSlots)
    return invalid("too_many_keys", "a sealed file has 1 to {} keys, not {}", kSlots, slots.size());
  SlotArea area{};
  for (std::size_t i = 0; i < slots.size(); ++i) std::ranges::copy(slots[i], &area[i * kSlotBytes]);
  std::ranges::copy(mac_of(header, area, data_key), &area[kSlots * kSlotBytes]);
  return area;
}

}  // namespace

KeyRef make_key(Secret key) { return std::make_shared<const PlainKey>(std::move(key)); }

KeyRef make_passphrase_key(Secret passphrase, crypto::Argon2Cost cost) {
  return std::make_shared<const PassphraseKey>(std::move(passphrase), cost);
}

Secret content_key(const Secret& data_key, const Header& header) {
  return crypto::hkdf_sha256(data_key, header.salt, "hearth sealed content", kKeyBytes);
}

Secret table_key(const Secret& data_key, const Header& header) {
  return crypto::hkdf_sha256(data_key, header.salt, "hearth sealed table", 32);
}

Result<SlotArea> write_slots(const Header& header, const Secret& data_key,
                             std::span<const KeyRef> keys) {
  std::vector<Slot> slots;
  for (const KeyRef& key : keys) {
    HEARTH_TRY(slots.emplace_back(), key->wrap(header.file_id, data_key));
  }
  return assemble(header, data_key, slots);
}

Result<SlotArea> replace_slots(const Header& header, const SlotArea& area, const KeyProvider& old,
                               std::span<const KeyRef> added) {
  HEARTH_TRY(const Secret data_key, open_slots(header, area, old));
  std::vector<Slot> slots;
  for (std::size_t i = 0; i < kSlots; ++i) {
    const Slot slot = slot_at(area, i);
    if (kind_of(slot) == SlotKind::kFree) continue;
    HEARTH_TRY(const auto opened, old.unwrap(header.file_id, slot));
    if (!opened) slots.push_back(slot);
  }
  for (const KeyRef& key : added) {
    HEARTH_TRY(slots.emplace_back(), key->wrap(header.file_id, data_key));
  }
  return assemble(header, data_key, slots);
}

Result<Secret> open_slots(const Header& header, const SlotArea& area, const KeyProvider& key) {
  for (std::size_t i = 0; i < kSlots; ++i) HEARTH_TRY_VOID(check_slot(slot_at(area, i)));
  for (std::size_t i = 0; i < kSlots; ++i) {
    const Slot slot = slot_at(area, i);
    if (kind_of(slot) == SlotKind::kFree) continue;
    HEARTH_TRY(auto data_key, key.unwrap(header.file_id, slot));
    if (!data_key) continue;
    const std::span mac = std::span(area).subspan<kSlots * kSlotBytes, kMacBytes>();
    if (!crypto::equal(mac_of(header, area, *data_key), mac))
      return invalid("sealed_damaged", "the key slots were changed");
    return *std::move(data_key);
  }
  return invalid("sealed_wrong_key", "the key given does not open it");
}

}  // namespace hearth::sealed

#include "formats/sealed_keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace hearth::sealed {
namespace {

using crypto::Secret;

KeyRef key_of(char c) {
  const std::vector<std::byte> bytes(kKeyBytes, static_cast<std::byte>(c));
  return make_key(Secret(bytes));
}
KeyRef passphrase(std::string_view text) {
  return make_passphrase_key(Secret(std::as_bytes(std::span(text))), {8, 1});
}

// "" if the key opens one of these slots, else why not.
std::string open(const Header& header, const SlotArea& area, const KeyRef& key) {
  const auto opened = open_slots(header, area, *key);
  return opened ? "" : opened.error().code;
}

struct File {
  Header header;
  Secret data_key{kKeyBytes};
  SlotArea area{};

  explicit File(const std::vector<KeyRef>& keys) {
    crypto::fill_random(header.file_id);
    crypto::fill_random(header.salt);
    crypto::fill_random(data_key.bytes());
    area = *write_slots(header, data_key, keys);
  }
  std::string open(const KeyRef& key) const { return sealed::open(header, area, key); }
};

TEST(SealedKeys, EachKeyOpensAndNoOther) {
  const File file({key_of('a'), passphrase("secret"), key_of('b')});
  EXPECT_EQ(file.open(key_of('a')), "");
  EXPECT_EQ(file.open(key_of('b')), "");
  EXPECT_EQ(file.open(passphrase("secret")), "");
  EXPECT_EQ(file.open(key_of('c')), "sealed_wrong_key");
  EXPECT_EQ(file.open(passphrase("Secret")), "sealed_wrong_key");
}

TEST(SealedKeys, TheDataKeyComesBack) {
  const File file({key_of('a')});
  const auto opened = open_slots(file.header, file.area, *key_of('a'));
  ASSERT_TRUE(opened);
  EXPECT_TRUE(crypto::equal(opened->bytes(), file.data_key.bytes()));
}

TEST(SealedKeys, OneToEightKeys) {
  const std::vector<KeyRef> nine(9, key_of('a'));
  Header header;
  EXPECT_EQ(write_slots(header, Secret(kKeyBytes), {}).error().code, "too_many_keys");
  EXPECT_EQ(write_slots(header, Secret(kKeyBytes), nine).error().code, "too_many_keys");
  EXPECT_TRUE(write_slots(header, Secret(kKeyBytes), std::span(nine).first(8)));
}

TEST(SealedKeys, NothingRepeats) {
  const KeyRef key = key_of('a');
  const File one({key}), other({key});
  EXPECT_FALSE(std::ranges::equal(one.area, other.area));
  const SlotArea again = *write_slots(one.header, one.data_key, std::vector<KeyRef>{key});
  EXPECT_FALSE(std::ranges::equal(one.area, again));
}

TEST(SealedKeys, ASlotOfAnotherFileDoesNotOpen) {
  const KeyRef key = key_of('a');
  File one({key});
  const File other({key});
  one.area = other.area;
  EXPECT_EQ(one.open(key), "sealed_wrong_key");
  File phrase({passphrase("x")});
  phrase.area = File({passphrase("x")}).area;
  EXPECT_EQ(phrase.open(passphrase("x")), "sealed_wrong_key");
}

TEST(SealedKeys, EveryByteCounts) {
  const KeyRef key = key_of('a');
  const File whole({key, passphrase("x")});
  ASSERT_EQ(whole.open(key), "");
  for (std::size_t at = 0; at < kSlotAreaBytes; ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      SlotArea area = whole.area;
      area[at] ^= static_cast<std::byte>(flip);
      EXPECT_NE(open(whole.header, area, key), "") << at << " " << flip;
    }
  }
}

TEST(SealedKeys, NobodyTakesASlotAway) {
  const KeyRef key = key_of('a');
  File file({key, key_of('b')});
  std::fill_n(file.area.begin() + kSlotBytes, kSlotBytes, std::byte{0});
  EXPECT_EQ(file.open(key), "sealed_damaged");
}

// What a hostile file may ask Argon2id for.
TEST(SealedKeys, CostsAreBounded) {
  const KeyRef key = passphrase("x");
  const File whole({key});
  const auto with = [&](std::uint32_t memory, std::uint32_t passes) {
    SlotArea area = whole.area;
    store_u32(&area[4], memory);
    store_u32(&area[8], passes);
    return open(whole.header, area, key);
  };
  EXPECT_EQ(with(8, 1), "");                   // as it was
  EXPECT_EQ(with(16, 1), "sealed_wrong_key");  // cheaper or dearer: another key
  for (const auto& [memory, passes] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{
           {0, 1}, {8, 0}, {(1 << 20) + 1, 1}, {1u << 30, 1}, {8, 17}, {8, UINT32_MAX}})
    EXPECT_EQ(with(memory, passes), "sealed_damaged") << memory << " " << passes;
}

TEST(SealedKeys, ReplacingTakesThePlaceOfTheOldOnesOnly) {
  File file({key_of('a'), key_of('b')});
  const std::vector<KeyRef> added = {key_of('c'), key_of('d')};
  file.area = *replace_slots(file.header, file.area, *key_of('a'), added);
  EXPECT_EQ(file.open(key_of('a')), "sealed_wrong_key");
  for (const char c : {'b', 'c', 'd'}) EXPECT_EQ(file.open(key_of(c)), "") << c;
  EXPECT_EQ(replace_slots(file.header, file.area, *key_of('a'), added).error().code,
            "sealed_wrong_key");
  // Nobody locks everybody out.
  file.area = *replace_slots(file.header, file.area, *key_of('b'), {});
  file.area = *replace_slots(file.header, file.area, *key_of('c'), {});
  EXPECT_EQ(replace_slots(file.header, file.area, *key_of('d'), {}).error().code, "too_many_keys");
}

}  // namespace
}  // namespace hearth::sealed

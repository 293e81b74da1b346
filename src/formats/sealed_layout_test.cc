#include "formats/sealed_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "testing/hex.h"

namespace hearth::sealed {
namespace {

Header some_header() {
  Header h;
  h.chunk_bytes = 1 << 16;
  h.plaintext_bytes = 0x0102030405;
  std::ranges::fill(h.file_id, std::byte{0x11});
  std::ranges::fill(h.salt, std::byte{0x22});
  std::ranges::fill(h.nonce_prefix, std::byte{0x33});
  std::ranges::fill(h.signer, std::byte{0x44});
  return h;
}

TEST(SealedLayout, TheHeaderAsDocumented) {
  EXPECT_EQ(testing::to_hex(encode(some_header())),
            std::string("89485254480d0a1a"     // magic
                        "01000000"             // version
                        "01000000"             // suite
                        "00000100"             // chunk_bytes
                        "00000000"             //
                        "0504030201000000") +  // plaintext_bytes
                std::string(32, '1') +
                std::string(64, '2') + std::string(14, '3') + "00" + std::string(64, '4') +
                std::string(16, '0'));
}

TEST(SealedLayout, ReadsWhatItWrites) {
  const auto read = decode(encode(some_header()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(encode(*read), encode(some_header()));
  EXPECT_TRUE(read->is_signed());
  EXPECT_FALSE(Header{}.is_signed());
}

TEST(SealedLayout, RefusesWhatItDoesNotKnow) {
  const auto code = [](std::size_t at, int value) {
    HeaderBytes bytes = encode(some_header());
    bytes[at] = static_cast<std::byte>(value);
    const auto read = decode(bytes);
    return read ? std::string() : read.error().code;
  };
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(code(i, 0), "sealed_damaged") << i;
  EXPECT_EQ(code(8, 2), "sealed_unsupported");
  EXPECT_EQ(code(11, 1), "sealed_unsupported");
  EXPECT_EQ(code(12, 2), "sealed_unsupported");  // a suite to come
  for (const std::size_t i : {20, 23, 87, 120, 127}) EXPECT_EQ(code(i, 1), "sealed_damaged") << i;
  EXPECT_EQ(code(33, 0), "");
}

TEST(SealedLayout, PlacesFollowFromTheHeader) {
  const auto layout = layout_of(3 * 4096 + 5, 4096);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->chunks, 4u);
  EXPECT_EQ(layout->chunk_at(0), 4096u);
  EXPECT_EQ(layout->chunk_at(3), 4u * 4096);
  EXPECT_EQ(layout->chunk_size(2), 4096u);
  EXPECT_EQ(layout->chunk_size(3), 5u);
  EXPECT_EQ(layout->table_at(), 4096u + 3 * 4096 + 5);
  EXPECT_EQ(layout->file_bytes(), layout->table_at() + 4 * 48 + 32 + 64);
  const auto whole = layout_of(2 * 4096, 4096);
  EXPECT_EQ(whole->chunks, 2u);
  EXPECT_EQ(whole->chunk_size(1), 4096u);
  const auto nothing = layout_of(0, 4096);
  EXPECT_EQ(nothing->chunks, 1u);
  EXPECT_EQ(nothing->chunk_size(0), 0u);
}

TEST(SealedLayout, AtMostAsManyChunksAsTheNonceCounts) {
  constexpr std::uint64_t kMax = std::uint64_t{1} << 32;
  EXPECT_EQ(layout_of(kMax * 4096, 4096)->chunks, kMax);
  EXPECT_EQ(layout_of(kMax * 4096 + 1, 4096).error().code, "sealed_too_large");
  EXPECT_EQ(layout_of(kMax * kChunkBytes, kChunkBytes)->chunks, kMax);
  EXPECT_EQ(layout_of(kMax * kChunkBytes + 1, kChunkBytes).error().code, "sealed_too_large");
  EXPECT_EQ(layout_of(UINT64_MAX, kChunkBytesMax).error().code, "sealed_too_large");
  for (const std::uint32_t bytes : {0u, 1u, 2048u, 4097u, 12288u, 32u << 20, UINT32_MAX})
    EXPECT_EQ(layout_of(1, bytes).error().code, "sealed_damaged") << bytes;
}

TEST(SealedLayout, NoTwoChunksShareANonce) {
  const Header h = some_header();
  EXPECT_EQ(testing::to_hex(nonce_of(h, 0x01020304, true)), "333333333333330102030401");
  EXPECT_EQ(testing::to_hex(nonce_of(h, kChunksMax - 1, false)), "33333333333333ffffffff00");
  std::set<std::string> seen;
  for (std::uint64_t i = 0; i < 1000; ++i)
    for (const bool last : {false, true})
      EXPECT_TRUE(seen.insert(testing::to_hex(nonce_of(h, i, last))).second);
}

}  // namespace
}  // namespace hearth::sealed

// Sealed files that were changed in any way: refused, and not a byte of what was changed is given.
#include "formats/sealed_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/fs.h"
#include "testing/sealed_sample.h"
#include "testing/temp_folder.h"

namespace hearth::sealed {
namespace {

using testing::sample_key;
using testing::sample_signer;
using testing::sample_text;

constexpr std::size_t kChunk = kChunkBytesMin;

class SealedReaderTest : public ::testing::Test {
 protected:
  // The sealed form of `text`, as bytes.
  std::string seal(const std::string& text, const crypto::Ed25519Key* signer = nullptr) {
    const std::string out = folder_.file("sealed");
    (void)FileSystem::real().remove(out);
    const Status sealed =
        testing::seal_sample(FileSystem::real(), folder_.write("plain", text), out, signer);
    EXPECT_TRUE(sealed) << sealed.error().message;
    return *read_small_file(FileSystem::real(), out, 1 << 24);
  }

  struct Outcome {
    std::string code;  // of the first error; "" if there was none
    std::string text;  // of the chunks before it
  };
  Outcome read(const std::string& bytes, const Unsealing& unsealing = {sample_key(), {}}) {
    const auto reader = SealedReader::open(folder_.write("changed", bytes), unsealing);
    if (!reader) return {reader.error().code, ""};
    Outcome out;
    alignas(SealedReader::kAlignment) std::byte chunk[kChunk];
    for (std::uint64_t i = 0; i < reader->layout().chunks; ++i) {
      std::ranges::fill(chunk, std::byte{0xee});
      const Status status = reader->read_chunk(i, chunk);
      if (!status) {
        const bool wiped =
            std::ranges::all_of(chunk, [](std::byte b) { return b == std::byte{0}; });
        EXPECT_TRUE(wiped) << "of a refused chunk something was left";
        out.code = status.error().code;
        return out;
      }
      out.text.append(reinterpret_cast<const char*>(&chunk[0]), reader->layout().chunk_size(i));
    }
    return out;
  }

  testing::TempFolder folder_;
};

std::string swapped(std::string bytes, std::size_t a, std::size_t b, std::size_t n) {
  std::swap_ranges(bytes.begin() + static_cast<std::ptrdiff_t>(a),
                   bytes.begin() + static_cast<std::ptrdiff_t>(a + n),
                   bytes.begin() + static_cast<std::ptrdiff_t>(b));
  return bytes;
}

TEST_F(SealedReaderTest, ReadsBackEverySize) {
  for (const std::size_t size :
       {0ul, 1ul, 15ul, 16ul, 17ul, kChunk - 1, kChunk, kChunk + 1, 2 * kChunk, 3 * kChunk + 777}) {
    const std::string text = sample_text(size);
    const std::string bytes = seal(text);
    EXPECT_EQ(bytes.size(), layout_of(size, kChunk)->file_bytes());
    const Outcome outcome = read(bytes);
    EXPECT_EQ(outcome.code, "") << size;
    EXPECT_EQ(outcome.text, text) << size;
    if (size > 15) EXPECT_EQ(bytes.find(text.substr(0, 16)), std::string::npos) << size;
  }
}

// Header, slots, padding, chunks, tags, digests, MAC, signature.
TEST_F(SealedReaderTest, EveryByteCounts) {
  const crypto::Ed25519Key signer = sample_signer();
  const std::string text = sample_text(kChunk + 40);
  for (const bool is_signed : {true, false}) {
    const std::string whole = seal(text, is_signed ? &signer : nullptr);
    ASSERT_EQ(read(whole).code, "");
    for (std::size_t at = 0; at < whole.size(); ++at) {
      // All three flips where there is structure, one in the middle of ciphertext.
      const bool dense = at < kHeaderBytes + 2 * kSlotBytes || at >= kBodyOffset + text.size();
      if (!dense && !is_signed) continue;  // the same bytes as in the other
      for (const int flip : {0x01, 0x80, 0xff}) {
        if (!dense && flip != 0x80) continue;
        std::string changed = whole;
        changed[at] = static_cast<char>(changed[at] ^ flip);
        const Outcome outcome = read(changed);
        ASSERT_NE(outcome.code, "") << at << " " << flip;
        // What comes before a changed chunk is what it was, and nothing else was given.
        ASSERT_TRUE(text.starts_with(outcome.text)) << at;
        if (at < kBodyOffset + kChunk) ASSERT_EQ(outcome.text, "") << at;
      }
    }
  }
}

TEST_F(SealedReaderTest, CutAtEachByteOrLonger) {
  const std::string text = sample_text(2 * kChunk + 10);
  const std::string whole = seal(text);
  for (std::size_t size = 0; size < whole.size(); size += size < 5000 ? 1 : 7) {
    const Outcome outcome = read(whole.substr(0, size));
    ASSERT_NE(outcome.code, "") << size;
    ASSERT_EQ(outcome.text, "") << size;
  }
  EXPECT_EQ(read(whole + '\0').code, "sealed_damaged");
}

// A file that ends earlier and says so: with fewer chunks, the last of which would be a middle one.
TEST_F(SealedReaderTest, AnEarlierEndIsNotBelieved) {
  const std::string whole = seal(sample_text(3 * kChunk));
  const auto layout = *layout_of(3 * kChunk, kChunk);
  const auto shorter = *layout_of(2 * kChunk, kChunk);
  std::string forged = whole.substr(0, shorter.table_at()) +
                       whole.substr(layout.table_at(), 2 * kEntryBytes) +
                       whole.substr(layout.mac_at());
  const std::uint64_t bytes = 2 * kChunk;
  std::memcpy(&forged[24], &bytes, sizeof bytes);
  ASSERT_EQ(forged.size(), shorter.file_bytes());
  EXPECT_EQ(read(forged).code, "sealed_damaged");
}

TEST_F(SealedReaderTest, ChunksStayWhereTheyAre) {
  const std::string whole = seal(sample_text(3 * kChunk));
  const auto layout = *layout_of(3 * kChunk, kChunk);
  // Alone, and with their entries in the table.
  for (std::size_t a = 0; a < 3; ++a) {
    for (std::size_t b = a + 1; b < 3; ++b) {
      const std::string moved = swapped(whole, layout.chunk_at(a), layout.chunk_at(b), kChunk);
      EXPECT_EQ(read(moved).code, "sealed_damaged");
      EXPECT_EQ(read(swapped(moved, layout.table_at() + a * kEntryBytes,
                             layout.table_at() + b * kEntryBytes, kEntryBytes))
                    .code,
                "sealed_damaged");
    }
  }
}

TEST_F(SealedReaderTest, PartsOfAnotherFileAreRefused) {
  const std::string text = sample_text(2 * kChunk);
  const crypto::Ed25519Key signer = sample_signer();
  const std::string one = seal(text, &signer);
  const std::string other = seal(text, &signer);  // the same text, key and signer
  const auto layout = *layout_of(text.size(), kChunk);
  ASSERT_EQ(one.size(), other.size());
  const std::vector<std::pair<std::size_t, std::size_t>> parts = {
      {0, kHeaderBytes},
      {kHeaderBytes, kSlotBytes},
      {kHeaderBytes, kSlotAreaBytes},
      {0, kBodyOffset},
      {layout.chunk_at(0), kChunk},
      {layout.chunk_at(1), kChunk},
      {layout.table_at(), kEntryBytes},
      {layout.table_at(), layout.table_bytes()},
      {layout.mac_at(), kMacBytes},
      {layout.mac_at() + kMacBytes, kSignatureBytes},
      {layout.table_at(), layout.table_bytes() + kMacBytes + kSignatureBytes}};
  for (const auto& [at, n] : parts) {
    EXPECT_NE(one.substr(at, n), other.substr(at, n)) << at;
    std::string mixed = one;
    mixed.replace(at, n, other, at, n);
    const Outcome outcome = read(mixed);
    EXPECT_NE(outcome.code, "") << at << " " << n;
    EXPECT_TRUE(text.starts_with(outcome.text));
  }
}

TEST_F(SealedReaderTest, KeysAndSigners) {
  const std::string text = sample_text(100);
  const crypto::Ed25519Key signer = sample_signer();
  const std::string bytes = seal(text, &signer);
  const std::string unsigned_bytes = seal(text);
  const auto code = [&](const std::string& file, const KeyRef& key,
                        std::optional<crypto::Ed25519Public> pinned) {
    return read(file, {key, pinned}).code;
  };
  EXPECT_EQ(code(bytes, nullptr, {}), "sealed_without_key");
  EXPECT_EQ(code(bytes, sample_key('x'), {}), "sealed_wrong_key");
  EXPECT_EQ(code(bytes, sample_key(), {}), "");
  EXPECT_EQ(code(bytes, sample_key(), signer.public_key()), "");
  EXPECT_EQ(code(bytes, sample_key(), sample_signer('t').public_key()), "sealed_wrong_signer");
  EXPECT_EQ(code(unsigned_bytes, sample_key(), {}), "");
  EXPECT_EQ(code(unsigned_bytes, sample_key(), signer.public_key()), "sealed_not_signed");
}

TEST_F(SealedReaderTest, NoTwoFilesShareAnything) {
  const std::string text = sample_text(kChunk);
  const std::string one = seal(text);
  const std::string other = seal(text);
  EXPECT_NE(one.substr(32, 16), other.substr(32, 16));  // id
  EXPECT_NE(one.substr(48, 32), other.substr(48, 32));  // salt
  EXPECT_NE(one.substr(kBodyOffset, kChunk), other.substr(kBodyOffset, kChunk));
}

TEST_F(SealedReaderTest, WhatIsNoFile) {
  const Unsealing unsealing = {sample_key(), {}};
  EXPECT_EQ(SealedReader::open(folder_.file("missing"), unsealing).error().kind,
            ErrorKind::kNotFound);
  EXPECT_EQ(SealedReader::open(folder_.path(), unsealing).error().code, "not_a_file");
  EXPECT_EQ(read("").code, "sealed_damaged");
  EXPECT_EQ(read(std::string(8192, 'x')).code, "sealed_damaged");
}

}  // namespace
}  // namespace hearth::sealed

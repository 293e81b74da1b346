#include "store/zip.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "testing/failing_fs.h"

namespace hearth::store {
namespace {

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i, value >>= 8) out += static_cast<char>(value & 0xFF);
}

std::uint32_t crc_of(const std::string& bytes) {
  const void* data = bytes.data();
  return static_cast<std::uint32_t>(
      crc32(0, static_cast<const Bytef*>(data), static_cast<uInt>(bytes.size())));
}

std::string deflated(const std::string& bytes) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string in = bytes;
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  void* from = in.data();
  void* to = out.data();
  stream.next_in = static_cast<Bytef*>(from);
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = static_cast<Bytef*>(to);
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// What a test may lie about; the rest follows from the content.
struct Member {
  std::string name;
  std::string content;
  bool deflate = false;
  std::uint64_t flags = 0;
  std::int64_t size_lie = 0;
  std::int64_t compressed_lie = 0;
  std::uint32_t crc_lie = 0;
  std::string local_name = {};  // empty: the same
  std::uint64_t method = 99;    // 99: as `deflate` says
};

std::string make_zip(const std::vector<Member>& members) {
  std::string out;
  std::string directory;
  for (const Member& m : members) {
    const std::string data = m.deflate ? deflated(m.content) : m.content;
    const std::uint64_t method = m.method != 99 ? m.method : (m.deflate ? 8u : 0u);
    const std::string& local = m.local_name.empty() ? m.name : m.local_name;
    const std::uint64_t offset = out.size();
    std::string common;
    put(common, 20, 2);
    put(common, m.flags, 2);
    put(common, method, 2);
    put(common, 0, 4);  // time and date
    put(common, crc_of(m.content) ^ m.crc_lie, 4);
    put(common, data.size() + static_cast<std::uint64_t>(m.compressed_lie), 4);
    put(common, m.content.size() + static_cast<std::uint64_t>(m.size_lie), 4);
    out += "PK\x03\x04" + common;
    put(out, local.size(), 2);
    put(out, 0, 2);
    out += local + data;
    directory += "PK\x01\x02";
    put(directory, 20, 2);
    directory += common;
    put(directory, m.name.size(), 2);
    put(directory, 0, 12);  // extra, comment, disk, attributes (2+2+2+2+4)
    put(directory, offset, 4);
    directory += m.name;
  }
  const std::uint64_t offset = out.size();
  out += directory + "PK\x05\x06";
  put(out, 0, 4);
  put(out, members.size(), 2);
  put(out, members.size(), 2);
  put(out, directory.size(), 4);
  put(out, offset, 4);
  put(out, 0, 2);
  return out;
}

Result<ZipReader> open_bytes(const std::string& bytes) {
  testing::FailingFs fs(1);
  {
    auto file = fs.open_append("/x.zip", true);
    EXPECT_TRUE(file && (*file)->append(bytes));
  }
  return ZipReader::open(fs.open_read("/x.zip").value());
}

Result<std::string> extract(const ZipReader& zip, const std::string& name) {
  const ZipEntry* entry = zip.find(name);
  if (entry == nullptr) return fail(ErrorKind::kNotFound, "no_member", "no {}", name);
  std::string out;
  HEARTH_TRY_VOID(zip.extract(*entry, [&out](std::string_view bytes) -> Status {
    out += bytes;
    return {};
  }));
  return out;
}

std::string error_of(const std::vector<Member>& members) {
  auto zip = open_bytes(make_zip(members));
  if (!zip) return zip.error().code;
  const auto out = extract(*zip, members.front().name);
  return out ? "" : out.error().code;
}

std::string long_text() {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i * 7919 % 1000) + " ";
  return text;
}

TEST(ZipTest, ReadsStoredAndDeflatedMembers) {
  const auto zip = open_bytes(make_zip(
      {{"a/stored.txt", "hello"}, {"b/deflated.bin", long_text(), true}, {"empty", "", true}}));
  ASSERT_TRUE(zip) << zip.error().message;
  ASSERT_EQ(zip->entries().size(), 3u);
  EXPECT_EQ(extract(*zip, "a/stored.txt").value(), "hello");
  EXPECT_EQ(extract(*zip, "b/deflated.bin").value(), long_text());
  EXPECT_EQ(extract(*zip, "empty").value(), "");
  EXPECT_EQ(zip->find("none"), nullptr);
}

TEST(ZipTest, AnEmptyArchiveHasNoMembers) { EXPECT_TRUE(open_bytes(make_zip({}))); }

TEST(ZipTest, HostileMembersAreRefused) {
  EXPECT_EQ(error_of({{"x", "hello"}}), "");
  EXPECT_EQ(error_of({{.name = "x", .content = "hello", .crc_lie = 1}}), "bad_zip");
  EXPECT_EQ(error_of({{.name = "x", .content = long_text(), .deflate = true, .size_lie = -1}}),
            "bad_zip");  // a bomb: more comes out than stated
  EXPECT_EQ(error_of({{.name = "x", .content = long_text(), .deflate = true, .size_lie = 1}}),
            "bad_zip");
  EXPECT_EQ(error_of({{.name = "x", .content = "hello", .size_lie = 1}}), "bad_zip");
  EXPECT_EQ(
      error_of({{.name = "x", .content = long_text(), .deflate = true, .compressed_lie = -1}}),
      "bad_zip");
  EXPECT_EQ(error_of({{.name = "x", .content = "hi", .deflate = true, .compressed_lie = 1}}),
            "bad_zip");  // into the directory
  EXPECT_EQ(error_of({{.name = "x", .content = "hello", .local_name = "y"}}), "bad_zip");
  EXPECT_EQ(error_of({{"x", "1"}, {"x", "2"}}), "bad_zip");
}

TEST(ZipTest, WhatIsNotSupportedIsNamed) {
  EXPECT_EQ(error_of({{.name = "x", .content = "hello", .flags = 1}}), "unsupported_zip");
  EXPECT_EQ(error_of({{.name = "x", .content = "hello", .method = 12}}), "unsupported_zip");
  EXPECT_EQ(error_of({{.name = "x", .content = "", .size_lie = 0xFFFFFFFF}}), "unsupported_zip");
}

TEST(ZipTest, AMemberBehindTheDirectoryIsRefused) {
  std::string bytes = make_zip({{"x", "hello"}});
  const std::size_t entry = bytes.find("PK\x01\x02");
  bytes.replace(entry + 42, 4, std::string("\xF0\xFF\xFF\x7F", 4));
  const auto zip = open_bytes(bytes);
  ASSERT_TRUE(zip);
  EXPECT_EQ(extract(*zip, "x").error().code, "bad_zip");
}

TEST(ZipTest, NoZipAtAll) {
  EXPECT_EQ(open_bytes("").error().code, "bad_zip");
  EXPECT_EQ(open_bytes("hello").error().code, "bad_zip");
  EXPECT_EQ(open_bytes(std::string(100'000, 'P')).error().code, "bad_zip");
}

// Cut at each byte and with each byte flipped: an error or the right content, never anything else.
TEST(ZipTest, CutsAndFlips) {
  const std::string good = make_zip({{"x", "hello hello hello hello", true}, {"y", "stored"}});
  for (std::size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(open_bytes(good.substr(0, n))) << n;
  int refused = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char mask : {'\x01', '\x80', '\xFF'}) {
      std::string bytes = good;
      bytes[i] = static_cast<char>(bytes[i] ^ mask);
      const auto zip = open_bytes(bytes);
      const auto x = zip ? extract(*zip, "x") : Result<std::string>(tl::unexpected(zip.error()));
      if (x) {
        EXPECT_EQ(*x, "hello hello hello hello") << i;
      } else {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace hearth::store

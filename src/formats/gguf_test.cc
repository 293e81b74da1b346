#include "formats/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "formats/gguf_writer.h"
#include "testing/small_gguf.h"
#include "testing/temp_folder.h"

namespace hearth {
namespace {

using testing::as_bytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Raw pieces of a file, for what the writer refuses to write.
class Raw {
 public:
  template <class T>
  Raw& put(T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    text_.append(bytes, sizeof value);
    return *this;
  }
  Raw& u8(unsigned v) { return put(static_cast<std::uint8_t>(v)); }
  Raw& u32(std::uint32_t v) { return put(v); }
  Raw& u64(std::uint64_t v) { return put(v); }
  Raw& str(std::string_view s) {
    u64(s.size());
    text_ += s;
    return *this;
  }
  Raw& raw(const Raw& other) {
    text_ += other.text_;
    return *this;
  }
  Raw& zeros(std::size_t n) {
    text_.append(n, '\0');
    return *this;
  }
  Raw& align() {
    text_.resize((text_.size() + 31) / 32 * 32);
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

Raw head(std::uint64_t tensors, std::uint64_t entries, std::uint32_t version = 3) {
  return Raw().u32(kGgufMagic).u32(version).u64(tensors).u64(entries);
}

Raw tensor(std::string_view name, const std::vector<std::uint64_t>& dims, std::uint32_t kind,
           std::uint64_t offset) {
  Raw raw;
  raw.str(name).u32(static_cast<std::uint32_t>(dims.size()));
  for (const auto dim : dims) raw.u64(dim);
  return raw.u32(kind).u64(offset);
}

// One tensor of these properties, with `data` bytes behind it.
std::string one_tensor(const std::vector<std::uint64_t>& dims, std::uint32_t kind,
                       std::uint64_t offset, std::size_t data) {
  return head(1, 0).raw(tensor("t", dims, kind, offset)).align().zeros(data).text();
}

// One metadata entry "k" with this type and payload.
std::string one_entry(std::uint32_t type, const Raw& payload) {
  return head(0, 1).str("k").u32(type).raw(payload).text();
}

void expect_refused(const std::string& bytes, const char* why,
                    ErrorKind kind = ErrorKind::kInvalid) {
  const auto file = GgufFile::parse(as_bytes(bytes));
  ASSERT_FALSE(file) << why;
  EXPECT_EQ(file.error().kind, kind);
  EXPECT_THAT(file.error().message, HasSubstr(why));
  EXPECT_EQ(file.error().message.find('\n'), std::string::npos);
}

constexpr std::uint32_t kF32 = 0, kQ4_0 = 2;

TEST(Gguf, ReadsWhatTheWriterWrote) {
  const std::string bytes = testing::small_gguf();
  const auto file = GgufFile::parse(as_bytes(bytes));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->file_bytes(), static_cast<std::int64_t>(bytes.size()));
  EXPECT_EQ((*file)->tensors().size(), 21u);
  EXPECT_EQ((*file)->tensors()[0].name, "token_embd.weight");
  const TensorView* down = (*file)->find("blk.1.ffn_down.weight");
  ASSERT_NE(down, nullptr);
  EXPECT_THAT(down->shape, ElementsAre(32, 64));
  EXPECT_EQ(down->dtype, DType::kQ8_0);
  EXPECT_EQ(down->data.size(), 32u * 64 / 32 * 34);
  const TensorView* norm = (*file)->find("blk.1.ffn_norm.weight");
  ASSERT_NE(norm, nullptr);
  float one = 0;
  std::memcpy(&one, norm->data.data() + 124, 4);
  EXPECT_EQ(one, 1.f);
  EXPECT_EQ((*file)->find("blk.2.ffn_norm.weight"), nullptr);
  EXPECT_EQ((*file)->find(""), nullptr);
}

TEST(Gguf, MetadataIsTyped) {
  const std::string bytes = head(0, 7)
                                .raw(Raw().str("u8").u32(0).u8(200))
                                .raw(Raw().str("i16").u32(3).put(std::int16_t{-5}))
                                .raw(Raw().str("u64").u32(10).u64(~0ull))
                                .raw(Raw().str("f64").u32(12).put(1e300))
                                .raw(Raw().str("flag").u32(7).u8(1))
                                .raw(Raw().str("text").u32(8).str(std::string_view("a\0\xff", 3)))
                                .raw(Raw().str("flags").u32(9).u32(7).u64(2).u8(0).u8(1))
                                .text();
  const auto parsed = GgufFile::parse(as_bytes(bytes));
  ASSERT_TRUE(parsed) << parsed.error().message;
  const GgufFile& file = **parsed;
  EXPECT_EQ(file.get_u64("u8").value(), 200u);
  EXPECT_EQ(file.get_i64("i16").value(), -5);
  EXPECT_EQ(file.get_f32("i16").value(), -5.f);
  EXPECT_EQ(file.get_u64("u64").value(), ~0ull);
  EXPECT_EQ(file.get_f32("f64").value(), std::numeric_limits<float>::infinity());
  EXPECT_EQ(file.get_bool("flag").value(), true);
  EXPECT_EQ(file.get_string("text").value(), std::string_view("a\0\xff", 3));
  EXPECT_THAT(*file.get_ints("flags").value(), ElementsAre(0, 1));
  // Absent: no value. There, but something else: an error.
  EXPECT_EQ(file.get_u64("none").value(), std::nullopt);
  EXPECT_EQ(file.get_strings("none").value(), std::nullopt);
  EXPECT_FALSE(file.get_u64("i16"));
  EXPECT_FALSE(file.get_i64("u64"));
  EXPECT_FALSE(file.get_u64("flag"));
  EXPECT_FALSE(file.get_u64("flags"));
  EXPECT_FALSE(file.get_bool("u8"));
  EXPECT_FALSE(file.get_string("u8"));
  EXPECT_FALSE(file.get_f32("text"));
  EXPECT_FALSE(file.get_strings("flags"));
  EXPECT_FALSE(file.get_floats("flags"));
  EXPECT_FALSE(file.get_ints("text"));
  EXPECT_THAT(file.get_strings("flags").error().message,
              HasSubstr("an array of bool, not an array of strings"));
}

TEST(Gguf, ReadsVersion2AndOwnAlignment) {
  EXPECT_TRUE(GgufFile::parse(as_bytes(head(0, 0, 2).text())));
  GgufWriter writer(128);
  writer.add_tensor("a", DType::kF32, {1});
  writer.add_tensor("b", DType::kF32, {1});
  std::string bytes = writer.header();
  EXPECT_EQ(bytes.size() % 128, 0u);
  const std::size_t start = bytes.size();
  bytes.resize(start + 128 + 4);
  bytes[start + 128] = 1;
  const auto file = GgufFile::parse(as_bytes(bytes));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->find("b")->data[0], std::byte{1});
}

TEST(Gguf, RefusesOtherFilesAndVersions) {
  expect_refused("", "ends inside the header");
  expect_refused("PK\3\4aaaaaaaaaaaaaaaaaaaaaaaaaa", "not a GGUF file");
  expect_refused(head(0, 0, 1).text(), "version 1", ErrorKind::kUnsupported);
  expect_refused(head(0, 0, 4).text(), "version 4", ErrorKind::kUnsupported);
  expect_refused(head(0, 0, 0x03000000).text(), "big-endian", ErrorKind::kUnsupported);
}

TEST(Gguf, RefusesCountsBeyondTheFile) {
  expect_refused(head(0, ~0ull).text(), "metadata entries");
  expect_refused(head(~0ull, 0).text(), "tensors cannot");
  expect_refused(head(0, 1).zeros(13).text(), "metadata entries");
  expect_refused(head(0, 1).u64(~0ull).zeros(20).text(), "ends inside a metadata key");
  expect_refused(one_entry(8, Raw().u64(~0ull - 3).zeros(8)), "ends inside a string");
  expect_refused(one_entry(9, Raw().u32(4).u64(1ull << 62).zeros(8)), "ends inside an array");
  expect_refused(one_entry(9, Raw().u32(8).u64(1ull << 61).zeros(8)), "ends inside an array");
  expect_refused(one_entry(9, Raw().u32(8).u64(1).u64(1ull << 63)), "ends inside an array");
}

TEST(Gguf, RefusesBadMetadata) {
  expect_refused(one_entry(13, Raw().u64(0)), "unknown value type 13");
  expect_refused(one_entry(~0u, Raw().u64(0)), "unknown value type");
  expect_refused(one_entry(9, Raw().u32(99).u64(0)), "unknown value type 99");
  expect_refused(one_entry(7, Raw().u8(2)), "neither 0 nor 1");
  expect_refused(one_entry(9, Raw().u32(7).u64(2).u8(1).u8(3)), "neither 0 nor 1");
  const Raw entry = Raw().str("k").u32(4).u32(1);
  expect_refused(head(0, 2).raw(entry).raw(entry).text(), "'k' appears twice");
  expect_refused(head(0, 1).str("").u32(4).u32(1).text(), "a metadata key is empty");
  expect_refused(head(0, 1).str(std::string_view("a\0b", 3)).u32(4).u32(1).text(),
                 "'a?b' holds a control character");
  expect_refused(head(0, 1).str(std::string(70000, 'a')).u32(4).u32(1).text(), "at most 65535");
}

TEST(Gguf, BoundsNestedArrays) {
  Raw nested = Raw().u32(4).u64(1).u32(7);  // the innermost: one u32
  for (int depth = 2; depth <= 4; ++depth) nested = Raw().u32(9).u64(1).raw(nested);
  EXPECT_TRUE(GgufFile::parse(as_bytes(one_entry(9, nested))));
  expect_refused(one_entry(9, Raw().u32(9).u64(1).raw(nested)), "nested deeper");
  Raw deep;
  for (int depth = 0; depth < 100000; ++depth) deep.u32(9).u64(1);
  expect_refused(one_entry(9, deep), "nested deeper");
}

TEST(Gguf, RefusesBadAlignment) {
  for (const std::uint32_t alignment : {0u, 3u, 48u, 1u << 31}) {
    expect_refused(head(0, 1).str("general.alignment").u32(4).u32(alignment).text(),
                   "power of two");
  }
  expect_refused(head(0, 1).str("general.alignment").u32(10).u64(32).text(), "not u32");
}

TEST(Gguf, RefusesBadShapes) {
  expect_refused(one_tensor({}, kF32, 0, 64), "0 dimensions");
  expect_refused(one_tensor({1, 1, 1, 1, 1}, kF32, 0, 64), "5 dimensions");
  expect_refused(one_tensor({0}, kF32, 0, 64), "out of range");
  expect_refused(one_tensor({32, ~0ull}, kF32, 0, 64), "out of range");
  expect_refused(one_tensor({1ull << 63}, kF32, 0, 64), "out of range");
  expect_refused(one_tensor({(1ull << 42) + 1, 1ull << 22}, kF32, 0, 64), "out of range");
  expect_refused(one_tensor({1ull << 62, 4}, kF32, 0, 64), "out of range");
  expect_refused(one_tensor({1ull << 62}, kF32, 0, 64), "overflows");
  expect_refused(one_tensor({(1ull << 42) + 1}, kF32, 0, 64), "past the end");
  expect_refused(one_tensor({16, 2}, kQ4_0, 0, 64), "not whole blocks of Q4_0");
  expect_refused(one_tensor({33}, kQ4_0, 0, 64), "not whole blocks");
}

TEST(Gguf, RefusesBadPlaces) {
  EXPECT_TRUE(GgufFile::parse(as_bytes(one_tensor({8}, kF32, 32, 64))));
  expect_refused(one_tensor({8}, kF32, 32, 63), "past the end");
  expect_refused(one_tensor({8}, kF32, 4, 64), "not aligned");
  expect_refused(one_tensor({8}, kF32, ~0ull - 31, 64), "past the end");
  expect_refused(one_tensor({8}, kF32, 1ull << 63, 64), "past the end");
  expect_refused(head(1, 0).raw(tensor("t", {1}, kF32, 0)).text(), "ends before the tensor data");
  const auto two = [](std::uint64_t first, std::uint64_t second) {
    return head(2, 0)
        .raw(tensor("a", {16}, kF32, first))
        .raw(tensor("b", {16}, kF32, second))
        .align()
        .zeros(256)
        .text();
  };
  EXPECT_TRUE(GgufFile::parse(as_bytes(two(0, 64))));
  EXPECT_TRUE(GgufFile::parse(as_bytes(two(128, 32))));
  expect_refused(two(0, 32), "'a' and 'b' overlap");
  expect_refused(two(64, 64), "overlap");
  expect_refused(head(2, 0)
                     .raw(tensor("a", {8}, kF32, 0))
                     .raw(tensor("a", {8}, kF32, 32))
                     .align()
                     .zeros(64)
                     .text(),
                 "'a' appears twice");
  expect_refused(
      head(1, 0).raw(tensor(std::string_view("a\0", 2), {8}, kF32, 0)).align().zeros(64).text(),
      "control character");
}

TEST(Gguf, NamesUnsupportedKinds) {
  const auto refused = [](std::uint32_t kind, const char* name) {
    expect_refused(one_tensor({256}, kind, 0, 1024), name, ErrorKind::kUnsupported);
  };
  refused(23, "IQ4_XS is not supported");
  refused(10, "Q2_K is not supported");
  refused(39, "MXFP4 is not supported");
  refused(31, "Q4_0_4_4 is not supported");
  refused(1000, "number 1000 is not supported");
  refused(~0u, "number 4294967295 is not supported");
}

TEST(Gguf, KindNumbersGoBothWays) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto type = static_cast<DType>(i);
    EXPECT_EQ(dtype_of_ggml(ggml_type_of(type)), type);
    EXPECT_EQ(ggml_type_name(ggml_type_of(type)), info(type).name);
  }
}

class GgufFiles : public ::testing::Test {
 protected:
  // A part that says it is number `no` of `count`, with tensors of these names.
  void write_part(const std::string& name, int no, int count, int tensors,
                  const std::vector<std::string>& names) {
    GgufWriter writer;
    writer.add_u32("split.no", static_cast<std::uint32_t>(no));
    writer.add_u32("split.count", static_cast<std::uint32_t>(count));
    writer.add_i32("split.tensors.count", tensors);
    for (const auto& tensor : names) writer.add_tensor(tensor, DType::kF32, {8});
    ASSERT_TRUE(writer.begin(FileSystem::real(), folder_.file(name)));
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::vector<float> values(8, static_cast<float>(10 * no) + static_cast<float>(i));
      ASSERT_TRUE(writer.append(std::as_bytes(std::span(values))));
    }
    ASSERT_TRUE(writer.finish());
  }

  void expect_refused(const std::string& name, const char* why) {
    const auto file = GgufFile::open(folder_.file(name));
    ASSERT_FALSE(file) << why;
    EXPECT_THAT(file.error().message, HasSubstr(why));
    EXPECT_THAT(file.error().message, HasSubstr(name));
  }

  testing::TempFolder folder_;
};

TEST_F(GgufFiles, OpensOneFile) {
  const auto file = GgufFile::open(folder_.write("m.gguf", testing::small_gguf()));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->tensors().size(), 21u);
  (*file)->drop_pages((*file)->tensors()[0].data);
  expect_refused("none.gguf", "no such file");
  folder_.write("short.gguf", testing::small_gguf().substr(0, 900));
  expect_refused("short.gguf", "ends inside");
}

TEST_F(GgufFiles, WriterStreamsInAnyCuts) {
  GgufWriter writer;
  writer.add_tensor("a", DType::kF32, {3});
  writer.add_tensor("b", DType::kF32, {20});
  const std::string path = folder_.file("m.gguf");
  ASSERT_TRUE(writer.begin(FileSystem::real(), path));
  EXPECT_FALSE(GgufFile::open(path)) << "nothing may be there under its name before the end";
  std::vector<float> values(23);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const auto bytes = std::as_bytes(std::span(values));
  ASSERT_TRUE(writer.append(bytes.first(5)));
  ASSERT_TRUE(writer.append(bytes.subspan(5, 20)));
  ASSERT_TRUE(writer.append(bytes.subspan(25)));
  ASSERT_TRUE(writer.finish());
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  // NOLINTBEGIN(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c): bits are meant
  EXPECT_EQ(std::memcmp((*file)->find("a")->data.data(), values.data(), 12), 0);
  EXPECT_EQ(std::memcmp((*file)->find("b")->data.data(), values.data() + 3, 80), 0);
  // NOLINTEND(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c)
}

TEST_F(GgufFiles, OpensAllParts) {
  write_part("m-00001-of-00003.gguf", 0, 3, 4, {"a", "b"});
  write_part("m-00002-of-00003.gguf", 1, 3, 4, {"c"});
  write_part("m-00003-of-00003.gguf", 2, 3, 4, {"d"});
  const auto file = GgufFile::open(folder_.file("m-00001-of-00003.gguf"));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->tensors().size(), 4u);
  float value = 0;
  std::memcpy(&value, (*file)->find("d")->data.data(), 4);
  EXPECT_EQ(value, 20.f);
  EXPECT_GT((*file)->file_bytes(), 3 * 64);
  expect_refused("m-00002-of-00003.gguf", "open ");
}

TEST_F(GgufFiles, RefusesPartsThatDoNotFit) {
  write_part("a-00001-of-00002.gguf", 0, 2, 2, {"a"});
  expect_refused("a-00001-of-00002.gguf", "no such file");
  write_part("a-00002-of-00002.gguf", 1, 2, 2, {"a"});
  expect_refused("a-00001-of-00002.gguf", "'a' is in two parts");
  write_part("a-00002-of-00002.gguf", 1, 2, 2, {"b", "c"});
  expect_refused("a-00001-of-00002.gguf", "the parts hold 3 tensors");
  write_part("a-00002-of-00002.gguf", 0, 2, 2, {"b"});
  expect_refused("a-00001-of-00002.gguf", "was expected");
  write_part("a-00002-of-00002.gguf", 1, 3, 2, {"b"});
  expect_refused("a-00001-of-00002.gguf", "was expected");
  write_part("b-00001-of-00003.gguf", 0, 2, 2, {"a"});
  expect_refused("b-00001-of-00003.gguf", "the name says 3");
  write_part("b.gguf", 0, 2, 2, {"a"});
  expect_refused("b.gguf", "the name does not end in -00001-of-00002.gguf");
}

}  // namespace
}  // namespace hearth

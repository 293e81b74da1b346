#include "formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>

#include "testing/small_gguf.h"
#include "testing/temp_folder.h"

namespace hearth {
namespace {

using testing::as_bytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string with_length(std::uint64_t length, std::string_view rest) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes.append(rest);
}

std::string file_of(std::string_view header, std::size_t data) {
  return with_length(header.size(), std::string(header) + std::string(data, 'x'));
}

void expect_refused(const std::string& bytes, const char* why,
                    ErrorKind kind = ErrorKind::kInvalid) {
  const auto file = Safetensors::parse(as_bytes(bytes));
  ASSERT_FALSE(file) << why;
  EXPECT_EQ(file.error().kind, kind);
  EXPECT_THAT(file.error().message, HasSubstr(why));
  EXPECT_EQ(file.error().message.find('\n'), std::string::npos);
}

TEST(SafetensorsFile, Reads) {
  const std::string bytes = file_of(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},)"
      R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   )",
      16);
  const auto file = Safetensors::parse(as_bytes(bytes));
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ((*file)->tensors().size(), 2u);
  EXPECT_EQ((*file)->tensors()[0].name, "a");  // in file order
  EXPECT_THAT((*file)->find("a")->shape, ElementsAre(1));
  EXPECT_THAT((*file)->find("b")->shape, ElementsAre(2, 3));
  EXPECT_EQ((*file)->find("b")->dtype, DType::kBF16);
  EXPECT_EQ((*file)->find("b")->data.size(), 12u);
  EXPECT_EQ((*file)->find("__metadata__"), nullptr);
  EXPECT_EQ((*file)->file_bytes(), static_cast<std::int64_t>(bytes.size()));
}

TEST(SafetensorsFile, RefusesLyingLengths) {
  expect_refused("", "shorter than its header");
  expect_refused("1234567", "shorter than its header");
  expect_refused(with_length(3, "{}"), "cannot be in a file");
  expect_refused(with_length(~0ull, "{}"), "cannot be in a file");
  expect_refused(with_length(0, "{}"), "invalid JSON");
  expect_refused(with_length(1, "{}"), "invalid JSON");
}

TEST(SafetensorsFile, RefusesBadHeaders) {
  const auto entry = [](std::string_view members) {
    return file_of("{\"t\":{" + std::string(members) + "}}", 8);
  };
  EXPECT_TRUE(
      Safetensors::parse(as_bytes(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"))));
  expect_refused(file_of("[]", 0), "not an object");
  expect_refused(file_of(std::string(100000, '['), 0), "nested deeper");
  expect_refused(file_of(R"({"t":3})", 0), "entry is not an object");
  expect_refused(file_of(R"({"":{}})", 0), "name is empty");
  expect_refused(file_of(R"({"a\u0000b":{}})", 0), "NUL");
  expect_refused(file_of(R"({"t":{},"t":{}})", 0), "duplicate key");
  expect_refused(entry(R"("shape":[2],"data_offsets":[0,8])"), "dtype is not a string");
  expect_refused(entry(R"("dtype":"F32","data_offsets":[0,8])"), "shape is not an array");
  expect_refused(entry(R"("dtype":"F32","shape":[2])"), "not a pair");
  expect_refused(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,9])"), "not a pair");
  expect_refused(entry(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), "outside");
  expect_refused(entry(R"("dtype":"F32","shape":[2],"data_offsets":[-1,8])"), "outside");
  expect_refused(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0.0,8.0])"), "outside");
  expect_refused(entry(R"("dtype":"F32","shape":[3],"data_offsets":[0,12])"), "outside");
  expect_refused(entry(R"("dtype":"F32","shape":[1],"data_offsets":[0,8])"), "does not fit");
  expect_refused(entry(R"("dtype":"F32","shape":[0],"data_offsets":[0,0])"), "out of range");
  expect_refused(entry(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), "out of range");
  expect_refused(entry(R"("dtype":"F32","shape":[1,1,1,1,2],"data_offsets":[0,8])"), "5 dim");
  // 2^42 + 1 times 2^22 wraps to 2^22; 2^62 elements of 4 bytes wrap to 0.
  expect_refused(entry(R"("dtype":"F32","shape":[4398046511105,4194304],"data_offsets":[0,8])"),
                 "out of range");
  expect_refused(entry(R"("dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0])"),
                 "does not fit");
}

TEST(SafetensorsFile, NamesUnsupportedKinds) {
  for (const char* kind : {"F64", "I8", "F8_E4M3", "BOOL"}) {
    expect_refused(file_of(std::string(R"({"t":{"dtype":")") + kind +
                               R"(","shape":[1],"data_offsets":[0,8]}})",
                           8),
                   kind, ErrorKind::kUnsupported);
  }
}

TEST(SafetensorsFile, RangesCoverTheDataExactly) {
  const auto two = [](const char* first, const char* second, std::size_t data) {
    return file_of(std::string(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)") + first +
                       R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":)" + second + "}}",
                   data);
  };
  EXPECT_TRUE(Safetensors::parse(as_bytes(two("[0,8]", "[8,16]", 16))));
  EXPECT_TRUE(Safetensors::parse(as_bytes(two("[8,16]", "[0,8]", 16))));
  expect_refused(two("[0,8]", "[4,12]", 12), "overlap");
  expect_refused(two("[0,8]", "[0,8]", 8), "overlap");
  expect_refused(two("[0,8]", "[12,20]", 20), "hole");
  expect_refused(two("[4,12]", "[12,20]", 20), "hole");
  expect_refused(two("[0,8]", "[8,16]", 17), "belong to none");
}

class Shards : public ::testing::Test {
 protected:
  Shards() {
    folder_.write("a.safetensors",
                  file_of(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8));
    folder_.write("b.safetensors",
                  file_of(R"({"y":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", 4));
  }
  Result<std::shared_ptr<const Safetensors>> open(std::string_view map) {
    return Safetensors::open_sharded(folder_.path(), R"({"weight_map":)" + std::string(map) + "}");
  }
  void expect_refused(std::string_view map, const char* why) {
    const auto file = open(map);
    ASSERT_FALSE(file) << why;
    EXPECT_THAT(file.error().message, HasSubstr(why));
  }
  testing::TempFolder folder_;
};

TEST_F(Shards, OpenTogether) {
  const auto file = open(R"({"x":"a.safetensors","y":"b.safetensors"})");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->tensors().size(), 2u);
  EXPECT_EQ((*file)->find("y")->dtype, DType::kF16);
  (*file)->drop_pages((*file)->find("x")->data);
}

TEST_F(Shards, RefuseIndexesThatDoNotFit) {
  expect_refused("3", "weight_map");
  expect_refused("{}", "weight_map");
  expect_refused(R"({"x":1})", "not a string");
  expect_refused(R"({"x":"c.safetensors"})", "No such file");
  expect_refused(R"({"x":"b.safetensors"})", "'x' is not in b.safetensors");
  expect_refused(R"({"z":"a.safetensors"})", "'z' is not in a.safetensors");
  expect_refused(R"({"x":"b.safetensors","y":"a.safetensors"})", "is not in");
  folder_.write("b.safetensors",
                file_of(R"({"x":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", 4));
  expect_refused(R"({"x":"a.safetensors","y":"b.safetensors"})", "in two shards");
}

TEST_F(Shards, NeverLeaveTheFolder) {
  const testing::TempFolder elsewhere;
  const std::string content =
      file_of(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  const std::string outside = elsewhere.write("x.safetensors", content);
  for (const std::string& name :
       {outside, std::string("../x.safetensors"), std::string(".."), std::string("."),
        std::string(""), std::string("sub/x.safetensors"), std::string("..\\\\x"),
        std::string("a.safetensors\\u0000"), std::string(300, 'a')}) {
    expect_refused("{\"x\":\"" + name + "\"}", "not a plain file name");
  }
  std::filesystem::create_symlink(outside, folder_.file("link"));
  expect_refused(R"({"x":"link"})", "leads out of the folder");
  std::filesystem::create_symlink("a.safetensors", folder_.file("inner"));
  EXPECT_TRUE(open(R"({"x":"inner"})"));
  // A folder whose name merely begins like this one is elsewhere, too.
  const std::string twin = folder_.path() + "2";
  std::filesystem::create_directory(twin);
  std::filesystem::copy_file(outside, twin + "/x.safetensors");
  std::filesystem::create_symlink(twin + "/x.safetensors", folder_.file("twin"));
  expect_refused(R"({"x":"twin"})", "leads out of the folder");
  std::filesystem::remove_all(twin);
}

TEST_F(Shards, MayLieInTheCacheThatASnapshotBelongsTo) {
  const std::string snapshot = folder_.file("models--o--n/snapshots/0123");
  std::filesystem::create_directories(snapshot);
  std::filesystem::create_directories(folder_.file("models--o--n/blobs"));
  std::filesystem::rename(folder_.file("a.safetensors"), folder_.file("models--o--n/blobs/ff"));
  std::filesystem::create_symlink("../../blobs/ff", snapshot + "/a.safetensors");
  std::filesystem::create_symlink(folder_.file("b.safetensors"), snapshot + "/b.safetensors");
  const auto file = Safetensors::open_sharded(snapshot, R"({"weight_map":{"x":"a.safetensors"}})");
  EXPECT_TRUE(file) << file.error().message;
  EXPECT_FALSE(Safetensors::open_sharded(snapshot, R"({"weight_map":{"y":"b.safetensors"}})"));
}

}  // namespace
}  // namespace hearth

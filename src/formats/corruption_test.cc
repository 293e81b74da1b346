// Files cut at each byte and with each byte of their header changed: a clean error or a file whose
// tensors lie inside it, never a crash. The sanitizer builds watch the accesses.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "formats/gguf.h"
#include "formats/gguf_tokenizer.h"
#include "formats/safetensors.h"
#include "testing/small_gguf.h"

namespace hearth {
namespace {

// A copy of exactly the file's size on the heap, so that reading past its end is seen.
struct Exact {
  explicit Exact(const std::string& text)
      : size(text.size()), bytes(std::make_unique<std::byte[]>(text.size())) {
    std::copy_n(reinterpret_cast<const std::byte*>(text.data()), size, bytes.get());
  }
  std::span<const std::byte> span() const { return {bytes.get(), size}; }
  std::size_t size;
  std::unique_ptr<std::byte[]> bytes;
};

void expect_inside(const Weights& weights, std::span<const std::byte> file) {
  for (const TensorView& tensor : weights.tensors()) {
    ASSERT_GE(tensor.data.data(), file.data());
    ASSERT_LE(tensor.data.data() + tensor.data.size(), file.data() + file.size());
    ASSERT_EQ(static_cast<std::int64_t>(tensor.data.size()),
              row_bytes(tensor.dtype, tensor.elems()));
  }
}

bool try_gguf(const std::string& text) {
  const Exact file(text);
  const auto parsed = GgufFile::parse(file.span());
  if (!parsed) {
    EXPECT_FALSE(parsed.error().message.empty());
    EXPECT_EQ(parsed.error().message.find('\n'), std::string::npos);
    return false;
  }
  expect_inside(**parsed, file.span());
  const auto tokenizer = tokenizer_from_gguf(**parsed);
  EXPECT_TRUE(tokenizer || !tokenizer.error().message.empty());
  return true;
}

bool try_safetensors(const std::string& text) {
  const Exact file(text);
  const auto parsed = Safetensors::parse(file.span());
  if (!parsed) return false;
  expect_inside(**parsed, file.span());
  return true;
}

TEST(Corruption, GgufCutAtEachByte) {
  const std::string whole = testing::small_gguf();
  ASSERT_TRUE(try_gguf(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ASSERT_FALSE(try_gguf(whole.substr(0, size))) << size;
  }
}

TEST(Corruption, GgufHeaderBytesChanged) {
  std::size_t header = 0;
  const std::string whole = testing::small_gguf(&header);
  int refused = 0;
  for (std::size_t at = 0; at < header; ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string broken = whole;
      broken[at] = static_cast<char>(broken[at] ^ flip);
      refused += try_gguf(broken) ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 1000);
}

std::string tiny_safetensors() {
  const char header[] =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]},)"
      R"("b":{"dtype":"BF16","shape":[8],"data_offsets":[32,48]}})";
  std::string text(8, '\0');
  text[0] = static_cast<char>(sizeof header - 1);
  return text + header + std::string(48, 'x');
}

TEST(Corruption, SafetensorsCutAtEachByte) {
  const std::string whole = tiny_safetensors();
  ASSERT_TRUE(try_safetensors(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ASSERT_FALSE(try_safetensors(whole.substr(0, size))) << size;
  }
}

TEST(Corruption, SafetensorsHeaderBytesChanged) {
  const std::string whole = tiny_safetensors();
  int refused = 0;
  for (std::size_t at = 0; at < whole.size() - 48; ++at) {
    for (int flip = 1; flip < 256; ++flip) {
      std::string broken = whole;
      broken[at] = static_cast<char>(broken[at] ^ flip);
      refused += try_safetensors(broken) ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 20000);
}

}  // namespace
}  // namespace hearth

#include "formats/hf_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "testing/temp_folder.h"

namespace hearth {
namespace {

using ::testing::HasSubstr;

const std::string kTiny = HEARTH_TEST_DATA "/tiny/llama";

class HfFolderTest : public ::testing::Test {
 protected:
  void expect_refused(ErrorKind kind, const char* why) {
    const auto folder = open_hf_folder(folder_.path());
    ASSERT_FALSE(folder) << why;
    EXPECT_EQ(folder.error().kind, kind);
    EXPECT_THAT(folder.error().message, HasSubstr(why));
  }
  void copy_weights(const std::string& name) {
    std::filesystem::copy_file(kTiny + "/model.safetensors", folder_.file(name));
  }
  testing::TempFolder folder_;
};

TEST_F(HfFolderTest, ReadsTheTinyModel) {
  const auto folder = open_hf_folder(kTiny);
  ASSERT_TRUE(folder) << folder.error().message;
  EXPECT_EQ(folder->config["model_type"], "llama");
  EXPECT_TRUE(folder->generation_config.is_null());
  EXPECT_EQ(folder->tokenizer_json, std::nullopt);
  EXPECT_EQ(folder->chat_template, std::nullopt);
  const TensorView* embedding = folder->weights->find("model.embed_tokens.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->elems(), 256 * 64);
}

TEST_F(HfFolderTest, TakesWhatIsThere) {
  folder_.write("config.json", "{}");
  folder_.write("generation_config.json", R"({"eos_token_id":[1,2]})");
  folder_.write("tokenizer.json", "not looked at");
  folder_.write("tokenizer_config.json", "neither");
  folder_.write("chat_template.jinja", "{{ x }}");
  copy_weights("shard.safetensors");
  folder_.write("model.safetensors.index.json",
                R"({"weight_map":{"model.norm.weight":"shard.safetensors"}})");
  const auto folder = open_hf_folder(folder_.path());
  ASSERT_TRUE(folder) << folder.error().message;
  EXPECT_EQ(folder->generation_config["eos_token_id"].size(), 2u);
  EXPECT_EQ(folder->tokenizer_json, "not looked at");
  EXPECT_EQ(folder->tokenizer_config_json, "neither");
  EXPECT_EQ(folder->chat_template, "{{ x }}");
  EXPECT_NE(folder->weights->find("model.norm.weight"), nullptr);
}

TEST_F(HfFolderTest, RefusesWhatIsMissingOrBroken) {
  expect_refused(ErrorKind::kNotFound, "config.json: no such file");
  folder_.write("config.json", "{");
  expect_refused(ErrorKind::kInvalid, "config.json: invalid JSON at byte 1");
  folder_.write("config.json", "{}");
  expect_refused(ErrorKind::kNotFound, "model.safetensors: no such file");
  folder_.write("model.safetensors.index.json", "{}");
  expect_refused(ErrorKind::kInvalid, "weight_map");
  copy_weights("model.safetensors");
  EXPECT_TRUE(open_hf_folder(folder_.path()));
  folder_.write("generation_config.json", "[1");
  expect_refused(ErrorKind::kInvalid, "generation_config.json: invalid JSON");
  folder_.write("generation_config.json", std::string((8u << 20) + 1, ' '));
  expect_refused(ErrorKind::kTooLarge, "generation_config.json");
}

}  // namespace
}  // namespace hearth

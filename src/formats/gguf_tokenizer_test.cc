#include "formats/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "formats/gguf_writer.h"
#include "testing/small_gguf.h"

namespace hearth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using text::TokenizerData;
using text::TokenType;

struct Made {
  Result<std::optional<TokenizerData>> tokenizer;
  Result<std::vector<text::TokenId>> ends;
};

Made made(const std::function<void(GgufWriter&)>& fill) {
  GgufWriter writer;
  fill(writer);
  const std::string bytes = writer.header();
  const auto file = GgufFile::parse(testing::as_bytes(bytes));
  EXPECT_TRUE(file);
  return {tokenizer_from_gguf(**file), end_tokens_from_gguf(**file)};
}

TEST(GgufTokenizer, ReadsEveryMember) {
  const std::string bytes = testing::small_gguf();
  const auto file = GgufFile::parse(testing::as_bytes(bytes));
  ASSERT_TRUE(file);
  const auto data = tokenizer_from_gguf(**file);
  ASSERT_TRUE(data) << data.error().message;
  ASSERT_TRUE(*data);
  EXPECT_EQ((*data)->model, TokenizerData::Model::kByteLevelBpe);
  EXPECT_EQ((*data)->pre, "gpt2");
  EXPECT_THAT((*data)->tokens, ElementsAre("a", "b", "c", "ab", "abc", "<s>", "</s>", "?"));
  EXPECT_EQ((*data)->types[5], TokenType::kControl);
  EXPECT_THAT((*data)->merges, ElementsAre("a b", "ab c"));
  EXPECT_THAT((*data)->scores, IsEmpty());
  EXPECT_TRUE((*data)->add_bos);
  EXPECT_FALSE((*data)->add_eos);
  EXPECT_FALSE((*data)->add_space_prefix);
  EXPECT_EQ((*data)->bos, 5);
  EXPECT_EQ((*data)->eos, 6);
  EXPECT_EQ((*data)->unk, std::nullopt);
  EXPECT_EQ((*data)->chat_template, "");
}

TEST(GgufTokenizer, DefaultsOfSentencePiece) {
  const auto [data, ends] = made([](GgufWriter& w) {
    w.add_string("tokenizer.ggml.model", "llama");
    w.add_strings("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "a"});
    w.add_floats("tokenizer.ggml.scores", std::vector<float>{0, 0, 0, -1.5f});
    w.add_string("tokenizer.chat_template", "{{ messages }}");
  });
  ASSERT_TRUE(data && *data);
  EXPECT_EQ((*data)->model, TokenizerData::Model::kSentencePieceBpe);
  EXPECT_TRUE((*data)->add_bos);
  EXPECT_TRUE((*data)->add_space_prefix);
  EXPECT_FALSE((*data)->add_eos);
  EXPECT_EQ((*data)->unk, 0);
  EXPECT_EQ((*data)->bos, 1);
  EXPECT_EQ((*data)->eos, 2);
  EXPECT_THAT((*data)->scores, ElementsAre(0, 0, 0, -1.5f));
  EXPECT_EQ((*data)->chat_template, "{{ messages }}");
  EXPECT_THAT(*ends, ElementsAre(2));
}

TEST(GgufTokenizer, DefaultsOfByteLevel) {
  const auto plain = made([](GgufWriter& w) {
    w.add_string("tokenizer.ggml.model", "gpt2");
    w.add_strings("tokenizer.ggml.tokens", {"a"});
  });
  ASSERT_TRUE(plain.tokenizer && *plain.tokenizer);
  EXPECT_FALSE((*plain.tokenizer)->add_bos);
  EXPECT_FALSE((*plain.tokenizer)->add_space_prefix);
  EXPECT_EQ((*plain.tokenizer)->bos, std::nullopt);
  EXPECT_THAT(*plain.ends, IsEmpty());
  const auto llama3 = made([](GgufWriter& w) {
    w.add_string("tokenizer.ggml.model", "gpt2");
    w.add_string("tokenizer.ggml.pre", "llama-bpe");
    w.add_strings("tokenizer.ggml.tokens", {"a"});
  });
  EXPECT_TRUE((*llama3.tokenizer)->add_bos);
}

TEST(GgufTokenizer, FindsTheEndsOfAText) {
  const auto vocabulary = [](GgufWriter& w) {
    w.add_string("tokenizer.ggml.model", "gpt2");
    w.add_strings("tokenizer.ggml.tokens", {"<|im_end|>", "<end_of_turn>", "</s>", "<eom>"});
    w.add_ints("tokenizer.ggml.token_type", std::vector<std::int32_t>{1, 3, 3, 3});
    w.add_u32("tokenizer.ggml.eos_token_id", 2);
  };
  // By its text, if it is a special token: id 0 is a normal one.
  const auto by_text = made(vocabulary);
  EXPECT_THAT(*by_text.ends, ElementsAre(2, 1));
  EXPECT_EQ((*by_text.tokenizer)->eot, 1);
  const auto said = made([&](GgufWriter& w) {
    vocabulary(w);
    w.add_u32("tokenizer.ggml.eot_token_id", 2);
    w.add_u32("tokenizer.ggml.eom_token_id", 3);
  });
  EXPECT_THAT(*said.ends, ElementsAre(2, 3));
}

TEST(GgufTokenizer, AbsentAndUnknown) {
  const auto absent = made([](GgufWriter&) {});
  ASSERT_TRUE(absent.tokenizer);
  EXPECT_EQ(*absent.tokenizer, std::nullopt);
  const auto unknown = made([](GgufWriter& w) { w.add_string("tokenizer.ggml.model", "rwkv"); });
  ASSERT_FALSE(unknown.tokenizer);
  EXPECT_EQ(unknown.tokenizer.error().kind, ErrorKind::kUnsupported);
  EXPECT_THAT(unknown.tokenizer.error().message, HasSubstr("'rwkv'"));
}

TEST(GgufTokenizer, RefusesWhatDoesNotFit) {
  const auto refused = [](const std::function<void(GgufWriter&)>& fill, const char* why) {
    const auto data = made([&](GgufWriter& w) {
                        w.add_string("tokenizer.ggml.model", "gpt2");
                        fill(w);
                      }).tokenizer;
    ASSERT_FALSE(data) << why;
    EXPECT_THAT(data.error().message, HasSubstr(why));
  };
  const auto with_tokens = [](const std::function<void(GgufWriter&)>& more) {
    return [more](GgufWriter& w) {
      w.add_strings("tokenizer.ggml.tokens", {"a", "b"});
      more(w);
    };
  };
  refused([](GgufWriter&) {}, "no tokens");
  refused([](GgufWriter& w) { w.add_strings("tokenizer.ggml.tokens", {}); }, "no tokens");
  refused([](GgufWriter& w) { w.add_u32("tokenizer.ggml.tokens", 3); }, "not an array of strings");
  refused(with_tokens([](GgufWriter& w) {
            w.add_ints("tokenizer.ggml.token_type", std::vector<std::int32_t>{1});
          }),
          "1 entries for 2 tokens");
  refused(with_tokens([](GgufWriter& w) {
            w.add_ints("tokenizer.ggml.token_type", std::vector<std::int32_t>{1, -1});
          }),
          "no type");
  refused(with_tokens([](GgufWriter& w) {
            w.add_floats("tokenizer.ggml.scores", std::vector<float>{1, 2, 3});
          }),
          "3 entries for 2 tokens");
  refused(with_tokens([](GgufWriter& w) { w.add_i32("tokenizer.ggml.bos_token_id", -7); }),
          "no token");
  refused(with_tokens([](GgufWriter& w) { w.add_u32("tokenizer.ggml.add_bos_token", 1); }),
          "not a bool");
}

}  // namespace
}  // namespace hearth

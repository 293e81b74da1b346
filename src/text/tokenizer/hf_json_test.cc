#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/json.h"
#include "testing/smollm2_vocab.h"
#include "text/tokenizer.h"

namespace hearth::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Model = TokenizerData::Model;

Json byte_level_step(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json split_step(const std::string& regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

Json added(TokenId id, const std::string& content, bool special) {
  return {{"id", id}, {"content", content}, {"special", special}, {"normalized", false}};
}

// SmolLM2's file, as it is published.
Json smollm2_json() {
  const TokenizerData data = hearth::testing::smollm2_vocab(HEARTH_TEST_DATA);
  Json json;
  json["added_tokens"] = Json::array();
  for (std::size_t id = 0; id < data.tokens.size(); ++id) {
    json["model"]["vocab"][data.tokens[id]] = id;
    if (data.types[id] == TokenType::kControl) {
      json["added_tokens"].push_back(added(static_cast<TokenId>(id), data.tokens[id], true));
    }
  }
  json["model"]["type"] = "BPE";
  json["model"]["byte_fallback"] = false;
  json["model"]["merges"] = data.merges;
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Digits"}, {"individual_digits", true}}, byte_level_step(true)}}};
  return json;
}

constexpr const char* kSmolLm2Config = R"({"bos_token": "<|im_start|>",
  "eos_token": {"content": "<|im_end|>", "lstrip": false}, "unk_token": "<|endoftext|>",
  "add_bos_token": false, "chat_template": "{{ messages }}"})";

TEST(TokenizerFromJson, SmolLm2) {
  const auto data = tokenizer_from_json(smollm2_json().dump(), kSmolLm2Config);
  ASSERT_TRUE(data) << data.error().message;
  const TokenizerData expected = hearth::testing::smollm2_vocab(HEARTH_TEST_DATA);
  EXPECT_EQ(data->model, Model::kByteLevelBpe);
  EXPECT_EQ(data->pre, "smollm");
  EXPECT_EQ(data->tokens, expected.tokens);
  EXPECT_EQ(data->types, expected.types);
  EXPECT_EQ(data->merges, expected.merges);
  EXPECT_EQ(data->bos, 1);
  EXPECT_EQ(data->eos, 2);
  EXPECT_EQ(data->unk, 0);
  EXPECT_FALSE(data->add_bos);
  EXPECT_EQ(data->chat_template, "{{ messages }}");
  EXPECT_TRUE(make_tokenizer(*data));
}

TEST(TokenizerFromJson, MergesAsPairs) {
  Json json = smollm2_json();
  Json pairs = Json::array();
  for (const Json& merge : json["model"]["merges"]) {
    const auto text = merge.get<std::string>();
    const auto space = text.find(' ');
    pairs.push_back({text.substr(0, space), text.substr(space + 1)});
  }
  json["model"]["merges"] = pairs;
  const auto data = tokenizer_from_json(json.dump(), "");
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->merges, hearth::testing::smollm2_vocab(HEARTH_TEST_DATA).merges);
}

// A byte-level file with two letters.
Json small_byte_level() {
  Json json;
  json["model"] = {{"type", "BPE"},
                   {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}},
                   {"merges", {"a b"}},
                   {"ignore_merges", true}};
  json["added_tokens"] = {added(3, "<bos>", true), added(4, "<eos>", true), added(6, "[x]", false)};
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {split_step("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
                   " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"),
        byte_level_step(false)}}};
  const auto special = [](const char* name) {
    return Json{{"SpecialToken", {{"id", name}, {"type_id", 0}}}};
  };
  json["post_processor"] = {
      {"type", "Sequence"},
      {"processors",
       {{{"type", "ByteLevel"}},
        {{"type", "TemplateProcessing"},
         {"single",
          {special("<bos>"), {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, special("<eos>")}}}}}};
  return json;
}

TEST(TokenizerFromJson, TemplateGivesBosAndEos) {
  const auto data = tokenizer_from_json(small_byte_level().dump(), "");
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->pre, "llama-bpe");
  EXPECT_EQ(data->ignore_merges, true);
  EXPECT_TRUE(data->add_bos);
  EXPECT_TRUE(data->add_eos);
  EXPECT_THAT(data->types, ElementsAre(TokenType::kNormal, TokenType::kNormal, TokenType::kNormal,
                                       TokenType::kControl, TokenType::kControl, TokenType::kUnused,
                                       TokenType::kUserDefined));
  const auto tokenizer = make_tokenizer(*data);
  ASSERT_TRUE(tokenizer);
  const std::vector<TextPiece> pieces{{"ab[x]b", false}};
  EXPECT_THAT((*tokenizer)->encode(pieces, true), ElementsAre(3, 2, 6, 1, 4));
}

TEST(TokenizerFromJson, ConfigOverridesTheTemplate) {
  const auto data = tokenizer_from_json(small_byte_level().dump(),
                                        R"({"add_eos_token": false, "eos_token": null,
          "chat_template": [{"name": "rag", "template": "R"}, {"name": "default", "template": "D"}]})");
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_TRUE(data->add_bos);
  EXPECT_FALSE(data->add_eos);
  EXPECT_EQ(data->eos, 4);
  EXPECT_EQ(data->chat_template, "D");
}

// As Llama 2's (with a Prepend) and Gemma's (without), with "▁▁" as a user-defined token.
Json small_sentence_piece(bool prepend) {
  Json json;
  Json vocab = {{"<unk>", 0}, {"<s>", 1}, {"▁", 2}, {"a", 3}, {"▁a", 4}, {"▁▁", 5}};
  for (int byte = 0; byte < 256; ++byte) vocab[fmt::format("<0x{:02X}>", byte)] = 6 + byte;
  json["model"] = {{"type", "BPE"},    {"unk_token", "<unk>"}, {"byte_fallback", true},
                   {"fuse_unk", true}, {"vocab", vocab},       {"merges", {"▁ ▁", "▁ a"}}};
  json["added_tokens"] = {added(1, "<s>", true), added(5, "▁▁", false)};
  const Json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};
  json["normalizer"] = replace;
  json["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"String", " "}}},
                           {"behavior", "MergedWithPrevious"},
                           {"invert", false}};
  if (prepend) {
    json["normalizer"] = {{"type", "Sequence"},
                          {"normalizers", {{{"type", "Prepend"}, {"prepend", "▁"}}, replace}}};
    json["pre_tokenizer"] = nullptr;
  }
  return json;
}

TEST(TokenizerFromJson, SentencePieceStyle) {
  for (const bool prepend : {false, true}) {
    const auto data = tokenizer_from_json(small_sentence_piece(prepend).dump(), "");
    ASSERT_TRUE(data) << data.error().message;
    EXPECT_EQ(data->model, Model::kSentencePieceBpe);
    EXPECT_EQ(data->add_space_prefix, prepend);
    EXPECT_EQ(data->types[0], TokenType::kUnknown);
    EXPECT_EQ(data->types[6], TokenType::kByte);
    EXPECT_EQ(data->tokens[5], "  ");
    const auto tokenizer = make_tokenizer(*data);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    const std::vector<TextPiece> pieces{{"a a   a\n", false}};
    const auto ids = (*tokenizer)->encode(pieces, false);
    if (prepend) {
      EXPECT_THAT(ids, ElementsAre(4, 4, 5, 2, 4, 6 + '\n'));
    } else {
      EXPECT_THAT(ids, ElementsAre(3, 4, 5, 4, 6 + '\n'));
    }
  }
}

TEST(TokenizerFromJson, Metaspace) {
  Json json = small_sentence_piece(false);
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}, {"split", false}};
  const auto data = tokenizer_from_json(json.dump(), "");
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_TRUE(data->add_space_prefix);
  EXPECT_TRUE(data->space_prefix_first_only);
}

TEST(TokenizerFromJson, UnsupportedIsNamed) {
  struct Case {
    const char* name;
    void (*change)(Json&);
  };
  const Case all[] = {
      {"Unigram", [](Json& j) { j["model"]["type"] = "Unigram"; }},
      {"WordPiece", [](Json& j) { j["model"]["type"] = "WordPiece"; }},
      {"Lowercase", [](Json& j) { j["normalizer"] = {{"type", "Lowercase"}}; }},
      {"end_of_word_suffix", [](Json& j) { j["model"]["end_of_word_suffix"] = "</w>"; }},
      {"[a-z]+",
       [](Json& j) { j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "[a-z]+"; }},
      {"MergedWithNext",
       [](Json& j) { j["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "MergedWithNext"; }},
      {"UnicodeScripts",
       [](Json& j) { j["pre_tokenizer"]["pretokenizers"][0] = {{"type", "UnicodeScripts"}}; }},
      {"add_prefix_space",
       [](Json& j) { j["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true; }},
      {"byte_fallback", [](Json& j) { j["pre_tokenizer"] = nullptr; }},
  };
  for (const Case& c : all) {
    Json json = small_byte_level();
    c.change(json);
    const auto data = tokenizer_from_json(json.dump(), "");
    ASSERT_FALSE(data) << c.name;
    EXPECT_EQ(data.error().kind, ErrorKind::kUnsupported) << c.name;
    EXPECT_THAT(data.error().message, HasSubstr(c.name));
  }
}

TEST(TokenizerFromJson, BrokenFilesAreErrors) {
  struct Case {
    const char* name;
    void (*change)(Json&);
  };
  const Case all[] = {
      {"no model", [](Json& j) { j.erase("model"); }},
      {"no vocabulary", [](Json& j) { j["model"].erase("vocab"); }},
      {"no merges", [](Json& j) { j["model"].erase("merges"); }},
      {"negative id", [](Json& j) { j["model"]["vocab"]["a"] = -1; }},
      {"huge id", [](Json& j) { j["model"]["vocab"]["a"] = 1LL << 40; }},
      {"a hole", [](Json& j) { j["model"]["vocab"]["a"] = (1 << 24) - 1; }},
      {"text id", [](Json& j) { j["model"]["vocab"]["a"] = "0"; }},
      {"same id", [](Json& j) { j["model"]["vocab"]["a"] = 1; }},
      {"added without id", [](Json& j) { j["added_tokens"][0].erase("id"); }},
      {"added without text", [](Json& j) { j["added_tokens"][0].erase("content"); }},
      {"triple", [](Json& j) { j["model"]["merges"] = {{"a", "b", "c"}}; }},
      {"number", [](Json& j) { j["model"]["merges"] = {7}; }},
  };
  for (const Case& c : all) {
    Json json = small_byte_level();
    c.change(json);
    const auto data = tokenizer_from_json(json.dump(), "");
    ASSERT_FALSE(data) << c.name;
    EXPECT_EQ(data.error().code, "bad_tokenizer_json") << c.name;
  }
}

TEST(TokenizerFromJson, DamagedTextIsAnError) {
  const std::string json = small_byte_level().dump();
  for (std::size_t size = 0; size < json.size(); ++size) {
    EXPECT_FALSE(tokenizer_from_json(json.substr(0, size), ""));
  }
  EXPECT_FALSE(tokenizer_from_json(json, "{"));
  EXPECT_FALSE(tokenizer_from_json(json, "[]"));
  EXPECT_FALSE(tokenizer_from_json("\xFF", ""));
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_FALSE(tokenizer_from_json(R"({"model":)" + deep + "}", ""));
}

}  // namespace
}  // namespace hearth::text

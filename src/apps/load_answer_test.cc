#include "apps/load_answer.h"

#include <gmock/gmock.h>

namespace hearth::apps {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::FloatEq;

const net::LoadTime kSent{std::chrono::hours(1)};

class Answer : public ::testing::Test {
 protected:
  void read(std::string_view data, int ms) { reader_.read(data, kSent + milliseconds(ms)); }
  void text(const std::string& content, int ms) {
    read(R"({"choices":[{"index":0,"delta":{"content":")" + content +
             R"("},"finish_reason":null}],"usage":null})",
         ms);
  }
  void stop(int ms) { read(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})", ms); }
  Result<LoadSample> finish(int ms) { return reader_.finish(kSent, kSent + milliseconds(ms)); }
  std::string error(int ms = 100) {
    const auto sample = finish(ms);
    return sample ? "" : sample.error().code + ": " + sample.error().message;
  }

  ChunkParser parser_;
  AnswerReader reader_{parser_};
};

TEST_F(Answer, IsTimedByItsTextAndCountedByItsUsage) {
  read(R"({"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]})", 5);
  text("a", 20);
  text("b", 30);
  text("c", 80);
  stop(81);
  read(R"({"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":4,)"
       R"("prompt_tokens_details":{"cached_tokens":8}}})",
       82);
  read("[DONE]", 82);
  const auto sample = finish(90);
  ASSERT_TRUE(sample.has_value()) << sample.error().message;
  EXPECT_DOUBLE_EQ(sample->ttft_ms, 20);
  EXPECT_DOUBLE_EQ(sample->total_ms, 90);
  EXPECT_DOUBLE_EQ(sample->tpot_ms.value_or(0), 20);  // 60 ms for 3 tokens after the first
  EXPECT_THAT(sample->gaps_ms, ElementsAre(FloatEq(10), FloatEq(50)));
  EXPECT_EQ(sample->input_tokens, 12);
  EXPECT_EQ(sample->output_tokens, 4);
  EXPECT_EQ(sample->cached_tokens, 8);
  EXPECT_TRUE(sample->has_usage);
}

TEST_F(Answer, WithoutUsageChunksAreCounted) {
  read(R"({"choices":[{"text":"a","finish_reason":null}]})", 10);
  read(R"({"choices":[{"text":"","finish_reason":null}]})", 11);
  read(R"({"choices":[{"text":"b","finish_reason":"length"}]})", 14);
  const auto sample = finish(15);
  ASSERT_TRUE(sample.has_value());
  EXPECT_EQ(sample->output_tokens, 2);
  EXPECT_DOUBLE_EQ(sample->tpot_ms.value_or(0), 4);
  EXPECT_FALSE(sample->has_usage);
  EXPECT_FALSE(sample->cached_tokens.has_value());
}

TEST_F(Answer, ThoughtsAndCallsAreTokensToo) {
  read(R"({"choices":[{"delta":{"reasoning_content":"hm"}}]})", 10);
  read(R"({"choices":[{"delta":{"tool_calls":[{"index":0}]}}]})", 20);
  stop(21);
  EXPECT_EQ(finish(22)->output_tokens, 2);
}

TEST_F(Answer, WithoutTextLastsUntilItsEnd) {
  stop(30);
  const auto sample = finish(31);
  ASSERT_TRUE(sample.has_value());
  EXPECT_DOUBLE_EQ(sample->ttft_ms, 31);
  EXPECT_FALSE(sample->tpot_ms.has_value());
  EXPECT_EQ(sample->output_tokens, 0);
}

TEST_F(Answer, WithoutAReasonToFinishIsBroken) {
  text("a", 1);
  read("[DONE]", 2);
  EXPECT_EQ(error(), "broken_stream: the stream ended without a reason to finish");
}

TEST_F(Answer, WhatIsNoChunkIsBroken) {
  text("a", 1);
  read(R"({"choices":[)", 2);
  stop(3);
  EXPECT_EQ(error(), "broken_stream: a piece of the stream is no JSON object");
}

TEST_F(Answer, TellsTheServersErrorInALine) {
  text("a", 1);
  read(R"({"error":{"message":"out of\nmemory","code":"x"}})", 2);
  stop(3);
  EXPECT_EQ(error(), "error_in_stream: out of memory");
}

TEST_F(Answer, SurvivesWhateverShapeComes) {
  for (const char* chunk :
       {"{}", R"({"choices":7})", R"({"choices":[7,null,[]]})", R"({"choices":[{"delta":7}]})",
        R"({"choices":[{"delta":{"content":7},"finish_reason":7}],"usage":[]})",
        R"({"usage":{"completion_tokens":-4}})", R"({"usage":{"completion_tokens":"x"}})"})
    read(chunk, 1);
  EXPECT_EQ(error(), "broken_stream: the stream ended without a reason to finish");
}

TEST(DescribeAnswer, SaysWhatTheServerSays) {
  const auto said = [](int status, const char* type, const char* document) {
    return describe_answer({status, type, {}}, document);
  };
  EXPECT_EQ(said(400, "application/json", R"({"error":{"message":"no such model"}})"),
            "the server answers 400: no such model");
  EXPECT_EQ(said(500, "application/json", R"({"error":"it broke"})"),
            "the server answers 500: it broke");
  EXPECT_EQ(said(500, "application/json", R"({"message":"it broke"})"),
            "the server answers 500: it broke");
  EXPECT_EQ(said(502, "text/html; charset=utf-8", "<html>"),
            "the server answers 502 with text/html");
  EXPECT_EQ(said(200, "Text/HTML", "<html>"),
            "the server answers 200 with text/html, which is not what was asked for");
  EXPECT_EQ(said(503, "", ""), "the server answers 503");
}

TEST(FirstModel, IsFoundOrMissedInWords) {
  const auto found = [](int status, const char* type, const char* document) {
    const auto model = first_model_in({status, type, {}}, document);
    return model ? *model : model.error().code;
  };
  EXPECT_EQ(found(200, "application/json", R"({"data":[{"id":"a"},{"id":"b"}]})"), "a");
  EXPECT_EQ(found(200, "application/json", R"({"data":[]})"), "no_model");
  EXPECT_EQ(found(200, "application/json", R"({"data":[7]})"), "not_openai");
  EXPECT_EQ(found(200, "application/json", R"([])"), "not_openai");
  EXPECT_EQ(found(200, "text/html", "<html>"), "not_openai");
  EXPECT_EQ(found(404, "text/html", "<html>"), "not_openai");
  EXPECT_EQ(found(401, "application/json", "{}"), "key_refused");
}

}  // namespace
}  // namespace hearth::apps

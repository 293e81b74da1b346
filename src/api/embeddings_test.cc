#include "api/embeddings.h"

#include <cmath>
#include <numeric>
#include <span>

#include "api/app_fixture.h"
#include "crypto/base64.h"

namespace hearth::api {
namespace {

std::vector<float> floats(const Json& list) { return list.get<std::vector<float>>(); }

TEST(Embeddings, OneVectorOfLengthOneForEachInput) {
  Service service;
  const Json answer =
      service.post("/v1/embeddings", R"({"input":["hi",[7,8,9]],"model":"default"})");
  EXPECT_EQ(answer["object"], "list");
  EXPECT_EQ(answer["model"], "org/first");
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 6);  // with BOS
  EXPECT_EQ(answer["usage"]["total_tokens"], 6);
  ASSERT_EQ(answer["data"].size(), 2u);
  // The simulated engine's: tokens of the prompt, the first one, 2, -1.
  const std::vector<std::vector<float>> raw = {{3, 256, 2, -1}, {3, 7, 2, -1}};
  for (std::size_t i = 0; i < 2; ++i) {
    const Json& one = answer["data"][i];
    EXPECT_EQ(one["object"], "embedding");
    EXPECT_EQ(one["index"], i);
    const std::vector<float> got = floats(one["embedding"]);
    const float length =
        std::sqrt(std::inner_product(raw[i].begin(), raw[i].end(), raw[i].begin(), 0.f));
    ASSERT_EQ(got.size(), raw[i].size());
    for (std::size_t c = 0; c < got.size(); ++c) EXPECT_FLOAT_EQ(got[c], raw[i][c] / length);
  }
  // One list of ids is one input.
  EXPECT_EQ(service.post("/v1/embeddings", R"({"input":[7,8,9]})")["data"][0]["embedding"],
            answer["data"][1]["embedding"]);
  // It needs no tokenizer for ids.
  EXPECT_EQ(service.post("/v1/embeddings", R"({"input":[7,8,9],"model":"bare"})")["data"].size(),
            1u);
}

TEST(Embeddings, InBase64) {
  Service service;
  const std::string body = R"({"input":[2,2],"encoding_format":)";
  const auto plain =
      floats(service.post("/v1/embeddings", body + R"("float"})")["data"][0]["embedding"]);
  const Json packed = service.post("/v1/embeddings", body + R"("base64"})")["data"][0]["embedding"];
  EXPECT_EQ(packed, crypto::base64(std::as_bytes(std::span(plain))));
}

TEST(Embeddings, Refusals) {
  Service service;
  const auto refusal = [&](const std::string& body) {
    return service.refusal("/v1/embeddings", body);
  };
  EXPECT_EQ(refusal("{}"), "400 missing_field");
  EXPECT_EQ(refusal(R"({"input":[]})"), "400 invalid_value");
  EXPECT_EQ(refusal(R"({"input":[[]]})"), "400 invalid_type");
  EXPECT_EQ(refusal(R"({"input":["a",1]})"), "400 invalid_type");
  EXPECT_EQ(refusal(R"({"input":[1,"a"]})"), "400 invalid_type");
  EXPECT_EQ(refusal(R"({"input":{}})"), "400 invalid_type");
  EXPECT_EQ(refusal(R"({"input":"x","dimensions":2})"), "400 unsupported_field");
  EXPECT_EQ(refusal(R"({"input":"x","encoding_format":"int8"})"), "400 invalid_value");
  EXPECT_EQ(refusal(R"({"input":"x","model":"nope"})"), "404 model_not_found");
  EXPECT_EQ(refusal(R"({"input":"x","model":"bare"})"), "400 no_tokenizer");
  EXPECT_EQ(refusal(R"({"input":[[1],[2147483647]]})"), "400 invalid_prompt");
  EXPECT_EQ(refusal(R"({"input":["a",")" + std::string(600, 'x') + R"("]})"),
            "400 context_length_exceeded");
  EXPECT_EQ(service.engine->submitted(), 0);
  service.app().stop_taking_requests();
  EXPECT_EQ(refusal(R"({"input":"x"})"), "503 shutting_down");
}

// What was accepted of a request that the queue cannot take whole is given up.
TEST(Embeddings, AFullQueueRefusesTheWhole) {
  SimulatedOptions options;
  options.limits.queue_requests = 8;
  options.step = 20ms;
  Service service(options);
  Json request = {{"input", Json::array()}};
  for (int i = 0; i < 20; ++i) request["input"].push_back("x");
  EXPECT_EQ(service.refusal("/v1/embeddings", request.dump()), "429 queue_full");
  EXPECT_TRUE(service.engine->wait_idle(5s));
}

TEST(Embeddings, AnErrorOfOneIsTheAnswer) {
  SimulatedOptions options;
  options.script = [](const engine::GenerateRequest& request, int) {
    Script script;
    if (request.prompt.front() == 9) {
      script.finish = FinishReason::kError;
      script.error = Error{ErrorKind::kTimeout, "deadline_exceeded", "too late"};
    }
    return script;
  };
  Service service(options);
  EXPECT_EQ(service.refusal("/v1/embeddings", R"({"input":[[1],[9],[2]]})"),
            "504 deadline_exceeded");
  EXPECT_EQ(service.post("/v1/embeddings", R"({"input":[[1],[2]]})")["data"].size(), 2u);
}

}  // namespace
}  // namespace hearth::api

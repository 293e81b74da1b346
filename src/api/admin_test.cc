// Models that come and go while the server runs.
#include <gtest/gtest.h>

#include <future>

#include "api/app_fixture.h"
#include "crypto/sha256.h"

namespace hearth::api {
namespace {

const std::string kAsOps = "Authorization: Bearer ops-key\r\n";

std::shared_ptr<const security::Identities> ops_only() {
  const auto identities = security::Identities::create(
      {{"ops", crypto::sha256_hex("ops-key"), {"manage-models", "use-models"}}});
  EXPECT_TRUE(identities);
  return std::make_shared<const security::Identities>(*identities);
}

class Models : public ::testing::Test {
 protected:
  Models() : service_({}, options()) { service_.app().set_identities(ops_only()); }

  AppOptions options() {
    AppOptions out;
    out.requests.json_depth_max = 8;
    out.load_model = [this](const LoadRequest& request) -> Result<ServedModel> {
      asked_ = request;
      if (request.model == "huge")
        return fail(ErrorKind::kExhausted, "out_of_memory", "huge needs 900 MiB, 5 MiB are free");
      if (request.model == "threads")
        return fail(ErrorKind::kExhausted, "no_threads", "no thread can be had for threads");
      ServedModel model;
      model.id = request.id.empty() ? request.model : request.id;
      SimulatedOptions says_so = says("from " + model.id);
      says_so.step = std::chrono::milliseconds(5);
      std::unique_ptr<SimulatedEngine> engine = std::make_unique<SimulatedEngine>(says_so);
      model.engine = engines_.adopt(std::move(engine));
      loaded_ = model.engine;
      model.tokenizer = std::make_shared<ByteTokenizer>();
      model.weight_bytes = 1000;
      model.cache_bytes = 500;
      return model;
    };
    return out;
  }
  RawResponse as_ops(const std::string& method, const std::string& path, const std::string& body) {
    return service_.send(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + kAsOps +
                         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  std::string load(const std::string& body) {
    const RawResponse response = as_ops("POST", "/admin/models", body);
    const auto document = parse_json(response.body);
    if (!document) return response.body;
    const Json& d = *document;
    return std::to_string(response.status) + " " +
           (d.contains("error") ? d["error"]["code"] : d["id"]).get<std::string>();
  }
  std::string text_of(const std::string& model, int status = 200) {
    const Json answer =
        service_.post("/generate", R"({"prompt":"x","model":")" + model + R"("})", status);
    return status == 200 ? answer["text"].get<std::string>()
                         : answer["error"]["code"].get<std::string>();
  }

  engine::EngineReaper engines_;
  std::weak_ptr<engine::Engine> loaded_;
  LoadRequest asked_;
  Service service_;
};

TEST_F(Models, AreLoadedAndUnloadedAtRunTime) {
  EXPECT_EQ(text_of("second", 404), "model_not_found");
  EXPECT_EQ(load(R"({"model":"second","ctx":64,"kv_type":"int8"})"), "200 second");
  EXPECT_EQ(asked_.context, 64);
  EXPECT_EQ(asked_.kv_type, "int8");
  EXPECT_EQ(text_of("second"), "from second");
  EXPECT_EQ(load(R"({"model":"second","id":"again"})"), "200 again");
  EXPECT_EQ(text_of("again"), "from again");
  const Json list = parse_json(as_ops("GET", "/admin/models", "").body).value();
  ASSERT_EQ(list["data"].size(), 5u);
  EXPECT_EQ(list["data"][3]["id"], "second");
  EXPECT_EQ(list["data"][3]["weight_bytes"], 1000);
  EXPECT_EQ(service_.get("/v1/models")["data"].size(), 5u);

  EXPECT_EQ(as_ops("DELETE", "/admin/models/again", "").status, 200);
  EXPECT_EQ(text_of("again", 404), "model_not_found");
  EXPECT_EQ(text_of("second"), "from second");
  EXPECT_TRUE(eventually([&] { return loaded_.expired(); }));
  EXPECT_EQ(as_ops("DELETE", "/admin/models/again", "").status, 404);
}

TEST_F(Models, UnloadingLetsOpenRequestsEnd) {
  EXPECT_EQ(load(R"({"model":"second"})"), "200 second");
  LoopbackClient client(service_.port());
  client.send(http_post("/generate", R"({"prompt":"x","model":"second","stream":true})"));
  ASSERT_TRUE(client.read_until("data: "));
  EXPECT_EQ(as_ops("DELETE", "/admin/models/second", "").status, 200);
  EXPECT_EQ(text_of("second", 404), "model_not_found");
  const RawResponse response = client.read_response();
  EXPECT_TRUE(response.complete);
  EXPECT_NE(response.body.find("data: [DONE]"), std::string::npos);
  EXPECT_TRUE(eventually([&] { return loaded_.expired(); }));
}

TEST_F(Models, AreRefusedInWords) {
  EXPECT_EQ(load(R"({"model":"huge"})"), "507 out_of_memory");
  EXPECT_EQ(load(R"({"model":"threads"})"), "503 no_threads");
  EXPECT_EQ(load(R"({"model":"x","id":"org/first"})"), "409 model_exists");
  EXPECT_EQ(load(R"({"model":"bare"})"), "409 model_exists");
  EXPECT_EQ(load(R"({"model":"x","id":"../x"})"), "400 invalid_value");
  EXPECT_EQ(load(R"({"model":"x","id":"default"})"), "400 invalid_value");
  EXPECT_EQ(load(R"({"model":"x","kv_type":"f64"})"), "400 invalid_value");
  EXPECT_EQ(load(R"({"model":"x","ctx":-1})"), "400 invalid_value");
  EXPECT_EQ(load(R"({"model":"x","colour":"red"})"), "400 unknown_field");
  EXPECT_EQ(load(R"({"id":"x"})"), "400 missing_field");
  EXPECT_EQ(load("{"), "400 invalid_json");
  EXPECT_EQ(load(R"({"model":"huge","x":[[[[[[[[1]]]]]]]]})"), "400 json_too_deep");
}

TEST_F(Models, BelongToWhoHasThatPermission) {
  const std::string body = R"({"model":"second"})";
  EXPECT_EQ(service_.refusal("/admin/models", body), "401 key_required");
  const RawResponse wrong =
      service_.send(http_post("/admin/models", body, "Authorization: Bearer other\r\n"));
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.headers.at("www-authenticate"), "Bearer");
  EXPECT_TRUE(asked_.model.empty());
}

TEST_F(Models, AnyOneCanBecomeTheDefault) {
  EXPECT_EQ(load(R"({"model":"second"})"), "200 second");
  service_.app().models().make_default("second");
  EXPECT_EQ(text_of("default"), "from second");
  service_.app().models().make_default("nothing");
  EXPECT_EQ(text_of("default"), "from second");
  EXPECT_EQ(service_.get("/v1/models")["data"][1]["id"], "org/first");
}

TEST_F(Models, TheFirstOneLeftIsTheDefault) {
  EXPECT_EQ(load(R"({"model":"second"})"), "200 second");
  for (const char* id : {"org/first", "bare", "raw"})
    EXPECT_EQ(as_ops("DELETE", std::string("/admin/models/") + id, "").status, 200);
  EXPECT_EQ(text_of("default"), "from second");
  EXPECT_EQ(as_ops("DELETE", "/admin/models/second", "").status, 200);
  EXPECT_EQ(text_of("default", 404), "model_not_found");
  EXPECT_EQ(service_.get("/ready", 503)["status"], "no_model");
  EXPECT_EQ(service_.get("/health")["status"], "ok");
}

}  // namespace
}  // namespace hearth::api

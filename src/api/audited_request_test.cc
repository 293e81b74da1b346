// What is recorded of requests, and that nobody is answered before.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "api/app_fixture.h"
#include "security/audit_fixture.h"
#include "security/site_fixture.h"
#include "testing/failing_fs.h"

namespace hearth::api {
namespace {

using security::AuditLog;

// Long enough for an answer that does not wait.
constexpr auto kAWhile = 200ms;

class Audited : public ::testing::Test {
 protected:
  explicit Audited(std::chrono::milliseconds deadline = std::chrono::minutes(1)) {
    auto options = security::test_audit_options();
    options.deadline = deadline;
    auto log = AuditLog::open(fs_, Clock::system(), options, security::test_signer());
    EXPECT_TRUE(log) << log.error().message;
    log_ = *std::move(log);
    AppOptions app;
    app.audit = log_;
    app.load_model = [this](const LoadRequest& request) -> Result<ServedModel> {
      ++loads_;
      ServedModel model;
      model.id = request.model;
      model.engine = engines_.adopt(
          std::unique_ptr<SimulatedEngine>(std::make_unique<SimulatedEngine>(says("x"))));
      return model;
    };
    SimulatedOptions slow = says("some words");
    slow.step = std::chrono::milliseconds(10);
    service_ = std::make_unique<Service>(slow, app);
    ops_ = security::bearer(site_.add("ops", {"model-admin", "user"}));
    nurse_ = security::bearer(site_.add("nurse", {"user"}));
    service_->app().set_identities(site_.shared());
  }

  void TearDown() override { fs_.open_gate(); }

  // Rows of the log, once it has so many records of requests closed and nothing is open.
  std::vector<OrderedJson> rows(const std::string& kind, std::size_t count) {
    std::vector<OrderedJson> found;
    EXPECT_TRUE(eventually([&] {
      auto all = security::query_audit(fs_, "/audit", {.kind = kind}, /*running=*/true);
      if (!all) return false;
      found = *all;
      return found.size() == count && std::none_of(found.begin(), found.end(), [](auto& row) {
               return row.contains("result") && row["result"] == "open";
             });
    })) << found.size();
    return found;
  }
  void fail_disk() {
    const auto lock = fs_.hold();
    disk_.fail_operation(1, /*and_all_after=*/true);
  }
  void mend_disk() {
    const auto lock = fs_.hold();
    disk_.never_fail();
  }
  std::string post(const std::string& path, const std::string& body) const {
    return http_post(path, body, nurse_);
  }

  testing::FailingFs disk_{1};
  security::GatedFs fs_{disk_};
  std::shared_ptr<AuditLog> log_;
  security::TestSite site_;
  std::string ops_;
  std::string nurse_;
  std::atomic<int> loads_{0};
  engine::EngineReaper engines_;
  std::unique_ptr<Service> service_;
};

TEST_F(Audited, EachRequestHasOneRecordOfEachKind) {
  const std::vector<std::pair<std::string, std::string>> requests = {
      {"/generate", R"({"prompt":"x","max_tokens":4})"},
      {"/generate", R"({"prompt":"x","max_tokens":4,"stream":true})"},
      {"/v1/completions", R"({"model":"default","prompt":"x","n":2,"max_tokens":4})"},
      {"/v1/chat/completions",
       R"({"model":"default","messages":[{"role":"user","content":"x"}],"max_tokens":4})"},
      {"/tokenize", R"({"prompt":"x"})"},
      {"/detokenize", R"({"tokens":[65]})"},
  };
  for (const auto& [path, body] : requests)
    EXPECT_EQ(service_->send(post(path, body)).status, 200) << path;
  const auto found = rows("request", requests.size());
  ASSERT_EQ(found.size(), requests.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const OrderedJson& row = found[i];
    EXPECT_EQ(row["route"], requests[i].first);
    EXPECT_EQ(row["identity"], "nurse");
    EXPECT_FALSE(row["key"].get<std::string>().empty());
    EXPECT_EQ(row["peer"], "127.0.0.1");
    EXPECT_EQ(row["model"], "org/first");
    EXPECT_EQ(row["status"], 200);
    EXPECT_EQ(row["result"], "ok");
    EXPECT_FALSE(row["request"].get<std::string>().empty());
  }
  const Json answer =
      parse_json(service_->send(post(requests[0].first, requests[0].second)).body).value();
  EXPECT_EQ(found[0]["prompt_tokens"], answer["usage"]["prompt_tokens"]);
  EXPECT_EQ(found[0]["completion_tokens"], 4);
  EXPECT_EQ(found[0]["finish"], OrderedJson({"length"}));
  EXPECT_EQ(found[2]["completion_tokens"], 8);
  EXPECT_EQ(found[2]["finish"].size(), 2u);
  // No word of what was asked or answered.
  const auto text = read_small_file(fs_, "/audit/" + security::audit_file_name(1));
  ASSERT_TRUE(text);
  EXPECT_EQ(text->find("some words"), std::string::npos);
  rows("request", requests.size() + 1);
  log_->stop();
  const auto summary = security::verify_audit(fs_, "/audit", security::test_signer().public_key());
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->requests, requests.size() + 1);
  EXPECT_EQ(summary->closed, requests.size() + 1);
  EXPECT_EQ(summary->unmatched, 0u);
}

TEST_F(Audited, RefusalsAreRecordedToo) {
  EXPECT_EQ(service_->send(http_post("/generate", "{}", "Authorization: Bearer wrong\r\n")).status,
            401);
  EXPECT_EQ(service_->send(http_get("/admin/models", nurse_)).status, 403);
  const auto refused = rows("refused", 2);
  EXPECT_EQ(refused[0]["status"], 401);
  EXPECT_EQ(refused[0]["identity"], "");
  EXPECT_EQ(refused[1]["status"], 403);
  EXPECT_EQ(refused[1]["identity"], "nurse");
  EXPECT_EQ(refused[1]["code"], "permission_denied");
  // Let in, and then refused: both records.
  EXPECT_EQ(service_->send(post("/generate", "{")).status, 400);
  EXPECT_EQ(service_->send(post("/generate", R"({"prompt":"x","model":"none"})")).status, 404);
  const auto found = rows("request", 2);
  EXPECT_EQ(found[0]["status"], 400);
  EXPECT_EQ(found[0]["result"], "refused");
  EXPECT_EQ(found[1]["status"], 404);
  EXPECT_FALSE(found[1].contains("model"));
}

TEST_F(Audited, WhatTellsNothingOfAnybodyIsNotRecorded) {
  for (const char* path : {"/health", "/ready", "/openapi.json", "/", "/v1/models", "/metrics"})
    service_->send(http_get(path, nurse_));
  EXPECT_EQ(service_->send(http_get("/nowhere", nurse_)).status, 404);
  EXPECT_EQ(log_->stats().records["opened"], 0u);
  EXPECT_EQ(log_->stats().records["refused"], 0u);
}

TEST_F(Audited, NothingIsAnsweredBeforeItIsRecorded) {
  fs_.block("/audit");
  for (const char* body : {R"({"prompt":"x","max_tokens":4})",
                           R"({"prompt":"x","max_tokens":4,"stream":true})", "{"}) {
    LoopbackClient client(service_->port());
    client.send(post("/generate", body));
    EXPECT_FALSE(client.read_until("H", kAWhile)) << client.buffered();
    fs_.open_gate();
    EXPECT_TRUE(client.read_response().complete);
    fs_.block("/audit");
  }
  LoopbackClient refused(service_->port());
  refused.send(http_post("/generate", "{}", "Authorization: Bearer wrong\r\n"));
  EXPECT_FALSE(refused.read_until("H", kAWhile));
  fs_.open_gate();
  EXPECT_EQ(refused.read_response().status, 401);
}

TEST_F(Audited, AdministrationWaitsForItsRecord) {
  fs_.block("/audit");
  LoopbackClient client(service_->port());
  client.send(http_post("/admin/models", R"({"model":"second"})", ops_));
  EXPECT_FALSE(client.read_until("H", kAWhile));
  EXPECT_EQ(loads_, 0);
  fs_.open_gate();
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(loads_, 1);
  EXPECT_EQ(
      service_->send("DELETE /admin/models/second HTTP/1.1\r\nHost: localhost\r\n" + ops_ + "\r\n")
          .status,
      200);
  const auto acts = rows("act", 2);
  EXPECT_EQ(acts[0]["act"], "load_model");
  EXPECT_EQ(acts[0]["target"], "second");
  EXPECT_EQ(acts[0]["identity"], "ops");
  EXPECT_EQ(acts[1]["act"], "unload_model");
  const auto requests = rows("request", 2);
  EXPECT_EQ(requests[1]["target"], "second");
}

TEST_F(Audited, Fault28ADiskThatFailsIs503) {
  EXPECT_EQ(service_->send(post("/generate", R"({"prompt":"x"})")).status, 200);
  rows("request", 1);
  fail_disk();
  // The first finds out; the others are turned away at the door.
  for (const char* body : {R"({"prompt":"x"})", R"({"prompt":"x","stream":true})", "{"}) {
    const RawResponse response = service_->send(post("/generate", body));
    EXPECT_EQ(response.status, 503);
    EXPECT_NE(response.body.find("audit_unavailable"), std::string::npos);
    EXPECT_EQ(response.headers.count("retry-after"), 1u);
    EXPECT_EQ(response.body.find("some words"), std::string::npos);
  }
  EXPECT_EQ(service_->send(http_post("/admin/models", R"({"model":"second"})", ops_)).status, 503);
  EXPECT_EQ(loads_, 0);
  EXPECT_EQ(service_->send(http_get("/health")).status, 200);
  EXPECT_TRUE(service_->engine->wait_idle(5s));
  mend_disk();
  EXPECT_TRUE(eventually([&] { return log_->accepting(); }));
  EXPECT_EQ(service_->send(post("/generate", R"({"prompt":"x"})")).status, 200);
  const auto found = rows("request", 3);
  EXPECT_EQ(found[1]["status"], 503);
  EXPECT_EQ(found[1]["result"], "failed");
  EXPECT_EQ(found[2]["result"], "ok");
}

TEST_F(Audited, AClientThatLeavesIsRecorded) {
  {
    LoopbackClient client(service_->port());
    client.send(
        post("/generate", R"({"prompt":"x","max_tokens":400,"stream":true,"ignore_eos":true})"));
    ASSERT_TRUE(client.read_until("data: "));
    client.reset();
  }
  EXPECT_EQ(rows("request", 1)[0]["result"], "cancelled");
}

TEST_F(Audited, MetricsSayIt) {
  service_->send(post("/generate", R"({"prompt":"x"})"));
  rows("request", 1);
  const RawResponse response = service_->send(http_get("/metrics", ops_));
  EXPECT_NE(response.body.find("hearth_audit_records_total{kind=\"opened\"} 1"), std::string::npos)
      << response.body;
  EXPECT_NE(response.body.find("hearth_audit_accepting 1"), std::string::npos);
}

class AuditedShortly : public Audited {
 protected:
  AuditedShortly() : Audited(100ms) {}
};

TEST_F(AuditedShortly, Fault28ABlockedDiskIs503) {
  fs_.block("/audit");
  for (const char* body : {R"({"prompt":"x"})", R"({"prompt":"x","stream":true})"}) {
    const RawResponse response = service_->send(post("/generate", body));
    EXPECT_EQ(response.status, 503) << response.body;
    EXPECT_NE(response.body.find("audit_unavailable"), std::string::npos);
  }
  fs_.open_gate();
  EXPECT_TRUE(eventually([&] { return log_->accepting(); }));
  EXPECT_EQ(service_->send(post("/generate", R"({"prompt":"x"})")).status, 200);
}

}  // namespace
}  // namespace hearth::api

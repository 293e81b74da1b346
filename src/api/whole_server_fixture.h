// For the fault tests: the whole server in this process (sockets, API, engine, a tiny model), and a
// stream that runs beside a fault and must not notice it.
//
//   WholeServer whole;
//   Undisturbed stream(whole);
//   ... the fault; its clients are closed by the end of it ...
//   stream.check_after({errors_of("invalid_json")});
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api/app.h"
#include "api/app_fixture.h"
#include "base/json.h"
#include "engine/engine_fixture.h"
#include "net/server_fixture.h"
#include "testing/loopback_client.h"

namespace hearth::api {

// 256 tokens, each a byte: a random model's text is broken UTF-8 of every kind.
class RawBytes final : public text::Tokenizer {
 public:
  RawBytes() {
    for (int i = 0; i < 256; ++i) data_.tokens.emplace_back(1, static_cast<char>(i));
  }
  std::vector<text::TokenId> encode(std::span<const text::TextPiece> pieces, bool) const override {
    std::vector<text::TokenId> ids;
    for (const text::TextPiece& piece : pieces) {
      for (const char c : piece.text) ids.push_back(static_cast<unsigned char>(c));
    }
    return ids;
  }
  void append_bytes(text::TokenId id, std::string& out, bool) const override {
    if (id >= 0 && id < 256) out.push_back(static_cast<char>(id));
  }
  std::size_t vocab_size() const override { return 256; }
  const text::TokenizerData& data() const override { return data_; }
  bool is_control(text::TokenId) const override { return false; }

 private:
  text::TokenizerData data_;
};

// Passes everything on, with a pause before each event: the engine's thread then takes as long as a
// larger model's would.
class PacedEngine final : public engine::Engine {
 public:
  PacedEngine(engine::Engine& engine, std::chrono::microseconds pace)
      : engine_(engine), pace_(pace) {}

  Status submit(engine::GenerateRequest request, std::shared_ptr<engine::EventSink> sink) override {
    if (pace_.count() > 0) sink = std::make_shared<PacedSink>(std::move(sink), pace_);
    return engine_.submit(std::move(request), std::move(sink));
  }
  void cancel(engine::RequestId id) override { engine_.cancel(id); }
  void cancel_choice(engine::RequestId id, std::int32_t choice) override {
    engine_.cancel_choice(id, choice);
  }
  engine::EngineStats stats() const override { return engine_.stats(); }
  const engine::EngineLimits& limits() const override { return engine_.limits(); }

 private:
  struct PacedSink final : engine::EventSink {
    PacedSink(std::shared_ptr<engine::EventSink> s, std::chrono::microseconds p)
        : sink(std::move(s)), pace(p) {}
    void on_event(engine::Event event) override {
      if (!event.finish) std::this_thread::sleep_for(pace);
      sink->on_event(std::move(event));
    }
    const std::shared_ptr<engine::EventSink> sink;
    const std::chrono::microseconds pace;
  };
  engine::Engine& engine_;
  const std::chrono::microseconds pace_;
};

struct WholeServerOptions {
  WholeServerOptions() {
    engine.context = 1024;
    engine.cache_bytes = 64 << 20;
  }
  engine::EngineOptions engine;
  net::ServerOptions server;
  AppOptions app;                                              // its clock is the engine's too
  std::chrono::microseconds pace{0};                           // before each token's event
  std::shared_ptr<const model::Model> model = nullptr;         // null: a llama of 256 tokens
  std::shared_ptr<const text::Tokenizer> tokenizer = nullptr;  // null: RawBytes
};

class WholeServer {
 public:
  explicit WholeServer(WholeServerOptions options = {})
      : engine_(engine::make_engine(options.model ? options.model : engine::tiny_model("llama"),
                                    options.engine, *options.app.clock)),
        paced_(*engine_, options.pace),
        app_(models(options.tokenizer ? options.tokenizer : std::make_shared<RawBytes>()),
             options.app),
        running_(counted(app_, options.server), app_.handler()) {
    app_.watch_server([this] { return running_.server().stats(); });
  }

  std::uint16_t port() const { return running_.port(); }
  App& app() { return app_; }
  engine::EngineStats engine_stats() const { return engine_->stats(); }
  net::ServerStats stats() { return running_.server().stats(); }

  RawResponse send(const std::string& bytes) {
    LoopbackClient client(port());
    client.send(bytes);
    return client.read_response(kPatience);
  }
  RawResponse post(const std::string& path, const std::string& body) {
    return send(http_post(path, body));
  }

  std::string metrics() { return send(http_get("/metrics")).body; }

  // For machines under load, with sanitizers.
  static constexpr std::chrono::seconds kPatience{120};

 private:
  static net::ServerOptions counted(App& app, net::ServerOptions options) {
    options.on_refusal = app.on_refusal();
    return options;
  }
  // Nothing is owned by it: what the engine still holds of requests cannot keep the engine alive.
  std::vector<ServedModel> models(std::shared_ptr<const text::Tokenizer> tokenizer) {
    ServedModel model;
    model.id = "org/tiny";
    model.engine = std::shared_ptr<engine::Engine>(std::shared_ptr<void>(), &paced_);
    model.tokenizer = std::move(tokenizer);
    model.chat_template = std::make_shared<ChatMl>();
    return {model};
  }

  std::unique_ptr<engine::LocalEngine> engine_;
  PacedEngine paced_;
  App app_;
  net::RunningServer running_;
};

// "status code" of a refusal.
inline std::string verdict(const RawResponse& response) {
  const auto document = parse_json(response.body);
  if (!document || !document->contains("error")) {
    return std::to_string(response.status) + " without an error: " + response.body.substr(0, 200);
  }
  return std::to_string(response.status) + " " + (*document)["error"]["code"].get<std::string>();
}

// The data of a stream's events, without comments; an event's name stands before it as "name|".
inline std::vector<std::string> events_of(const std::string& body) {
  std::vector<std::string> list;
  std::size_t at = 0;
  while (at < body.size()) {
    const std::size_t end = std::min(body.find("\n\n", at), body.size());
    std::string event = body.substr(at, end - at);
    at = end + 2;
    if (event.starts_with(':')) continue;
    std::string name;
    if (event.starts_with("event: ")) {
      const std::size_t newline = event.find('\n');
      name = event.substr(7, newline - 7) + "|";
      event.erase(0, newline + 1);
    }
    list.push_back(name + (event.starts_with("data: ") ? event.substr(6) : "?" + event));
  }
  return list;
}

// An answer without what differs from one run to the next.
inline std::string normalised(const RawResponse& response) {
  std::string out = std::to_string(response.status) + (response.complete ? "\n" : " cut off\n");
  const bool stream = response.headers.count("transfer-encoding") != 0;
  for (const std::string& event :
       stream ? events_of(response.body) : std::vector<std::string>{response.body}) {
    auto document = parse_json_ordered(event);
    if (document && document->is_object()) {
      for (const char* name : {"id", "created", "timings"}) document->erase(name);
      out += dump_json(*document) + "\n";
    } else {
      out += event + "\n";
    }
  }
  return out;
}

// Where two texts part, for messages.
inline std::string first_difference(const std::string& a, const std::string& b) {
  const auto parts = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
  const auto from = static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, parts - 100));
  return "..." + a.substr(from, 300) + "\nis not\n..." + b.substr(std::min(from, b.size()), 300);
}

// Of one series, as its line names it; 0 while it does not exist.
inline double value_of(const std::string& metrics, const std::string& series) {
  const std::size_t line = metrics.find("\n" + series + " ");
  if (line == std::string::npos) return 0;
  return std::strtod(metrics.c_str() + line + series.size() + 2, nullptr);
}
inline std::string errors_of(const std::string& code) {
  return "hearth_errors_total{code=\"" + code + "\"}";
}

inline std::size_t entries_of(const char* folder) {
  const std::filesystem::directory_iterator list(folder);
  return static_cast<std::size_t>(std::distance(begin(list), end(list)));
}
inline std::size_t open_descriptors() { return entries_of("/proc/self/fd"); }
inline std::size_t running_threads() { return entries_of("/proc/self/task"); }

// One client that asks for the same text again and again, over one connection, while it is there;
// each answer has to be the one it got when nobody else was there.
class Undisturbed {
 public:
  struct Options {
    int tokens = 48;    // per answer
    bool once = false;  // a single long answer; for faults that may refuse a second request
  };

  explicit Undisturbed(WholeServer& whole) : Undisturbed(whole, Options{}) {}
  Undisturbed(WholeServer& whole, Options options) : whole_(whole), options_(options) {
    RawResponse alone = whole_.send(request());
    EXPECT_EQ(alone.status, 200) << alone.body;
    EXPECT_TRUE(alone.body.ends_with("data: [DONE]\n\n"));
    expected_ = normalised(alone);
    EXPECT_TRUE(eventually([&] { return quiet(); }, WholeServer::kPatience));
    descriptors_ = open_descriptors();
    threads_ = running_threads();
    metrics_before_ = whole_.metrics();
    EXPECT_TRUE(eventually([&] { return quiet(); }, WholeServer::kPatience));
    engine_before_ = whole_.engine_stats();
    thread_ = std::thread([this] { run(); });
    EXPECT_TRUE(eventually([&] { return whole_.engine_stats().running > 0; }));
  }
  ~Undisturbed() { stop(); }

  // What must hold after any fault. `moved`: the series of GET /metrics that have to have grown.
  void check_after(const std::vector<std::string>& moved) {
    stop();
    EXPECT_GT(answers_, 0);
    EXPECT_TRUE(different_.empty()) << "answer " << answers_ << ": " << different_;
    EXPECT_TRUE(eventually([&] { return quiet(); }, kSettled))
        << whole_.engine_stats().pages_used << " pages, " << whole_.engine_stats().running
        << " running, " << whole_.engine_stats().waiting << " waiting, "
        << whole_.stats().connections << " connections";
    EXPECT_TRUE(eventually([&] { return open_descriptors() == descriptors_; }, kSettled))
        << open_descriptors() << " descriptors, before: " << descriptors_;
    EXPECT_TRUE(eventually([&] { return running_threads() == threads_; }, kSettled))
        << running_threads() << " threads, before: " << threads_;
    const std::string metrics = whole_.metrics();
    for (const std::string& series : moved) {
      EXPECT_GT(value_of(metrics, series), value_of(metrics_before_, series)) << series;
    }
    EXPECT_EQ(whole_.send(http_get("/health")).status, 200);
    EXPECT_TRUE(whole_.engine_stats().healthy);
  }

  // After check_after(): tokens that were generated for anybody else.
  std::int64_t foreign_tokens() const {
    return whole_.engine_stats().generated_tokens - engine_before_.generated_tokens -
           std::int64_t{answers_} * options_.tokens;
  }
  std::size_t threads_before() const { return threads_; }

 private:
  static constexpr std::chrono::seconds kSettled{30};
  static constexpr int kAhead = 4;  // requests on their way, so that the connection is never idle

  std::string request() const {
    // Sampled, so that every bit of the logits counts; never the poison of the NaN tests.
    return http_post("/v1/completions",
                     fmt::format(R"({{"prompt":[84,104,101,32,115,116,114,101,97,109],)"
                                 R"("max_tokens":{},"temperature":0.9,"seed":7,"logprobs":2,)"
                                 R"("logit_bias":{{"7":-100}},"ignore_eos":true,"stream":true}})",
                                 options_.tokens));
  }
  bool quiet() {
    const engine::EngineStats stats = whole_.engine_stats();
    return stats.pages_used == 0 && stats.running == 0 && stats.waiting == 0 &&
           whole_.stats().connections == 0;
  }
  void run() {
    LoopbackClient client(whole_.port());
    int asked = 0;
    const auto another = [&] {
      return asked == 0 || (!options_.once && !stopping_ && asked < answers_ + kAhead);
    };
    do {
      for (; another(); ++asked) client.send(request());
      const std::string answer = normalised(client.read_response(WholeServer::kPatience));
      ++answers_;
      if (answer != expected_) different_ = first_difference(answer, expected_);
    } while (answers_ < asked && different_.empty());
  }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

  WholeServer& whole_;
  const Options options_;
  std::string expected_;
  std::size_t descriptors_ = 0;
  std::size_t threads_ = 0;
  std::string metrics_before_;
  engine::EngineStats engine_before_;
  std::atomic<bool> stopping_{false};
  int answers_ = 0;        // of the thread, until it has ended
  std::string different_;  // likewise: an answer that was not as expected
  std::thread thread_;
};

}  // namespace hearth::api

// For the tests of api/: the API over a real socket, with an engine that has no model.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "api/app.h"
#include "base/json.h"
#include "engine/engine_reaper.h"
#include "net/server_fixture.h"
#include "testing/byte_tokenizer.h"
#include "testing/loopback_client.h"
#include "testing/simulated_engine.h"

namespace hearth::api {

using engine::FinishReason;
using net::eventually;
using testing::ByteTokenizer;
using testing::http_get;
using testing::http_post;
using testing::LoopbackClient;
using testing::RawResponse;
using testing::Script;
using testing::SimulatedEngine;
using testing::SimulatedOptions;
using namespace std::chrono_literals;

// As a ChatML template would: its own text is trusted, the messages' is not.
class ChatMl final : public text::jinja::Template {
 public:
  Result<std::vector<text::TextPiece>> render(const OrderedJson& variables,
                                              const std::vector<std::string_view>&,
                                              const text::jinja::Budget&) const override {
    std::vector<text::TextPiece> pieces;
    for (const OrderedJson& message : variables["messages"]) {
      if (message["content"] == "raise") return invalid("template_error", "no such conversation");
      pieces.push_back({"<|im_start|>" + message["role"].get<std::string>() + "\n", true});
      pieces.push_back({message["content"].get<std::string>(), false});
      pieces.push_back({"<|im_end|>\n", true});
    }
    pieces.push_back({"<|im_start|>assistant\n", true});
    return pieces;
  }
};

inline std::vector<engine::TokenId> bytes_of(std::string_view text) {
  std::vector<engine::TokenId> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

inline SimulatedOptions says(std::string text, FinishReason finish = FinishReason::kStop) {
  SimulatedOptions options;
  options.script = [=](const engine::GenerateRequest&, int) {
    return Script{bytes_of(text), finish, std::nullopt};
  };
  return options;
}

class Service {
  engine::EngineReaper reaper_;  // first: its destructor waits for the engine

 public:
  explicit Service(SimulatedOptions options = {}, AppOptions app_options = {},
                   const net::ServerOptions& net_options = {})
      : engine(std::static_pointer_cast<SimulatedEngine>(
            reaper_.adopt(std::make_unique<SimulatedEngine>(std::move(options))))),
        app_(models(engine), std::move(app_options)),
        running_(server_options(app_, net_options), app_.handler()) {
    app_.watch_server([this] { return running_.server().stats(); });
  }

  RawResponse send(const std::string& bytes) {
    LoopbackClient client(running_.port());
    client.send(bytes);
    return client.read_response();
  }
  Json get(const std::string& path, int status = 200) {
    return checked(send(http_get(path)), status);
  }
  Json post(const std::string& path, const std::string& body, int status = 200) {
    return checked(send(http_post(path, body)), status);
  }
  // "status code" of a refusal.
  std::string refusal(const std::string& path, const std::string& body) {
    const RawResponse response = send(http_post(path, body));
    const auto document = parse_json(response.body);
    if (!document || !document->contains("error")) return response.body;
    return std::to_string(response.status) + " " + (*document)["error"]["code"].get<std::string>();
  }
  // The data of the events; an event's name stands before it as "name|".
  std::vector<std::string> events(const std::string& path, const std::string& body) {
    const RawResponse response = send(http_post(path, body));
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_TRUE(response.complete);
    EXPECT_EQ(response.headers.at("content-type"), "text/event-stream; charset=utf-8");
    std::vector<std::string> list;
    std::string_view rest = response.body;
    while (!rest.empty()) {
      const std::size_t end = rest.find("\n\n");
      std::string event(rest.substr(0, end));
      rest.remove_prefix(end + 2);
      if (event.starts_with("event: ")) {
        const std::size_t newline = event.find('\n');
        event = event.substr(7, newline - 7) + "|" + event.substr(newline + 7);
      } else {
        event = event.substr(6);  // "data: "
      }
      list.push_back(event);
    }
    return list;
  }
  std::uint16_t port() const { return running_.port(); }
  App& app() { return app_; }

  std::shared_ptr<SimulatedEngine> engine;

 private:
  static net::ServerOptions server_options(App& app, net::ServerOptions options) {
    options.on_refusal = app.on_refusal();
    return options;
  }
  static std::vector<ServedModel> models(const std::shared_ptr<SimulatedEngine>& engine) {
    ServedModel first;
    first.id = "org/first";
    first.engine = engine;
    first.tokenizer = std::make_shared<ByteTokenizer>();
    first.chat_template = std::make_shared<ChatMl>();
    first.created = 1'700'000'000;
    ServedModel bare;
    bare.id = "bare";
    bare.engine = engine;
    ServedModel raw = first;
    raw.id = "raw";
    raw.chat_template = nullptr;
    return {first, bare, raw};
  }
  static Json checked(const RawResponse& response, int status) {
    EXPECT_EQ(response.status, status) << response.body;
    EXPECT_EQ(response.headers.at("content-type"), "application/json");
    auto document = parse_json(response.body);
    EXPECT_TRUE(document.has_value()) << response.body;
    return document.value_or(Json());
  }

  App app_;
  net::RunningServer running_;
};

}  // namespace hearth::api

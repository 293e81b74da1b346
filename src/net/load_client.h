// Many requests at once to one server over kept-alive connections, on the one thread that calls
// run(): for measuring servers, so it costs little and stamps what comes. Plain HTTP/1.1.
//
//   HEARTH_TRY(auto client, net::LoadClient::create(url, {}));
//   client->send({"/v1/models", ""}, exchange);  // whose on_end() calls client->stop()
//   client->run();
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"
#include "net/url.h"

namespace hearth::net {

using LoadTime = std::chrono::steady_clock::time_point;

struct LoadClientOptions {
  Headers headers = {};  // of each request, besides Host, Content-Type, Content-Length and Accept
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{600'000};  // of a whole request, connecting included
};

struct LoadRequest {
  std::string target;  // path and query
  std::string body;    // JSON to POST; empty: GET
};

struct LoadHead {
  int status = 0;
  std::string content_type;                         // as sent
  std::optional<std::chrono::seconds> retry_after;  // when it is a number
};

// One request and its answer. All calls come on the thread of run().
class LoadExchange {
 public:
  virtual ~LoadExchange() = default;
  // The request goes out: now on a kept connection, or a new one is being made.
  virtual void on_sent(LoadTime /*at*/) {}
  virtual void on_head(const LoadHead& /*head*/, LoadTime /*at*/) {}
  // A data line of an event stream; the text is valid during the call only.
  virtual void on_data(std::string_view /*data*/, LoadTime /*at*/) {}
  // Once, at last. `document`: an answer that was no event stream. Errors: kIo "network" (no
  // connection, or it ended early), kInvalid "bad_answer" (not HTTP), kTooLarge, kTimeout,
  // kExhausted "stopped".
  virtual void on_end(const Status& status, std::string_view document, LoadTime at) = 0;
};

class LoadClient {
 public:
  static constexpr std::size_t kDocumentBytesMax = 4u << 20;
  static constexpr std::size_t kHeadBytesMax = 16u << 10;

  // Looks the host up. Errors: kUnsupported "https_unsupported", kInvalid "invalid_header",
  // kIo "unknown_host".
  static Result<std::unique_ptr<LoadClient>> create(const Url& url, LoadClientOptions options);
  ~LoadClient();
  LoadClient(const LoadClient&) = delete;
  LoadClient& operator=(const LoadClient&) = delete;

  // Any time, also from callbacks and before run().
  void send(LoadRequest request, std::shared_ptr<LoadExchange> exchange);
  // Calls `work` from run() when the time has come, unless stop() came first.
  void at(LoadTime when, std::function<void()> work);
  // Called from run() for SIGINT and SIGTERM, which do nothing else while it runs.
  void on_signal(std::function<void()> work);

  // Until stop(). Can be called again; connections are kept.
  void run();
  // From a callback or before run(): breaks off what is under way, forgets what waits for its time.
  // run() returns after the last on_end().
  void stop();

 private:
  struct Impl;
  explicit LoadClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::net

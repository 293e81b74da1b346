// For the tests of net/: a server on a free port in a thread of its own.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "net/server.h"
#include "testing/loopback_client.h"

namespace hearth::net {

class RunningServer {
 public:
  explicit RunningServer(ServerOptions options, Handler handler) {
    options.port = 0;
    options.handle_signals = false;
    server_ = std::make_unique<Server>(std::move(options), std::move(handler));
    const Status listening = server_->listen();
    EXPECT_TRUE(listening.has_value()) << listening.error().message;
    thread_ = std::thread([this] { server_->run(); });
  }
  ~RunningServer() { stop(); }

  void stop() {
    if (!thread_.joinable()) return;
    server_->stop();
    server_->stop();  // without waiting for open requests
    thread_.join();
  }
  std::uint16_t port() const { return server_->port(); }
  Server& server() { return *server_; }
  void join() { thread_.join(); }

 private:
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

template <class Predicate>
bool eventually(Predicate predicate, std::chrono::milliseconds at_most = std::chrono::seconds(5)) {
  const auto deadline = std::chrono::steady_clock::now() + at_most;
  while (!predicate()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// Keeps the responders of all requests; answers come from the test's thread.
class Held {
 public:
  Handler handler() {
    return [this](HttpRequest request, Responder responder) {
      if (request.path == "/health") {
        responder.send({200, {}, "ok"});
        return;
      }
      responder.on_disconnect([this] { ++disconnects; });
      const std::lock_guard lock(mutex_);
      responders_.push_back(std::move(responder));
    };
  }
  Responder next() {
    EXPECT_TRUE(eventually([&] {
      const std::lock_guard lock(mutex_);
      return taken_ < responders_.size();
    }));
    const std::lock_guard lock(mutex_);
    return responders_.at(taken_++);
  }
  void forget() {
    std::vector<Responder> dropped;
    const std::lock_guard lock(mutex_);
    std::swap(dropped, responders_);
    taken_ = 0;
  }
  std::atomic<int> disconnects{0};

 private:
  std::mutex mutex_;
  std::vector<Responder> responders_;
  std::size_t taken_ = 0;
};

inline void echo(HttpRequest request, Responder responder) {
  HttpResponse response;
  response.headers.emplace_back("Content-Type", "text/plain");
  response.body = request.method + " " + request.path + " " + request.body;
  responder.send(std::move(response));
}

}  // namespace hearth::net

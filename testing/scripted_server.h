// An HTTP server on loopback that answers with prepared bytes, right or wrong: one answer per
// connection, in order, then it hangs up. Further connections get the last answer again.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace hearth::testing {

class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<std::string> answers);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::string url(const std::string& path) const;  // "http://127.0.0.1:PORT" + path
  std::vector<std::string> requests() const;       // the heads that came so far

  // A whole answer: status line, Content-Length, `headers` (each ending in CRLF), body.
  static std::string answer(int status, const std::string& body, const std::string& headers = "");

 private:
  void serve();

  int listener_ = -1;
  int port_ = 0;
  std::vector<std::string> answers_;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace hearth::testing

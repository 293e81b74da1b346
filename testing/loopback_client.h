// A client of raw bytes on 127.0.0.1, for tests that must send what no HTTP library would.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::testing {

struct RawResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
  bool complete = false;                       // as its framing says
};

class LoopbackClient {
 public:
  explicit LoopbackClient(std::uint16_t port, int receive_buffer = 0);
  ~LoopbackClient();
  LoopbackClient(const LoopbackClient&) = delete;
  LoopbackClient& operator=(const LoopbackClient&) = delete;

  bool send(std::string_view bytes);  // false: the other side has closed
  void close();                       // orderly
  void reset();                       // RST
  void shutdown_send();               // half close

  // Reads one response; `complete` is false if the connection ended or the time passed before.
  RawResponse read_response(std::chrono::milliseconds at_most = std::chrono::seconds(10),
                            bool head_only = false);
  // Waits until `text` has come; false if the connection ends or the time passes before.
  bool read_until(std::string_view text,
                  std::chrono::milliseconds at_most = std::chrono::seconds(10));
  // True if the other side closes in time.
  bool wait_closed(std::chrono::milliseconds at_most = std::chrono::seconds(10));
  // Waits for at most so many bytes, as a slow reader takes them; false if the connection ends.
  bool read_few(std::size_t bytes_max);
  const std::string& buffered() const { return in_; }

 private:
  // False: closed or the time has passed.
  bool fill(std::chrono::steady_clock::time_point deadline);

  int fd_ = -1;
  bool closed_ = false;
  std::string in_;
};

// "GET path" or, with a body, "POST path", to be sent as it is.
std::string http_get(std::string_view path, std::string_view more_headers = {});
std::string http_post(std::string_view path, std::string_view body,
                      std::string_view more_headers = {});

}  // namespace hearth::testing

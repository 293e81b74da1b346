// A client of raw bytes on 127.0.0.1, for tests that must send what no HTTP library would.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
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

// What stands between a test's bytes and the socket (testing/tls_wire.h).
class Wire {
 public:
  virtual ~Wire() = default;
  virtual bool open(int fd) = 0;  // after connecting; false: refused
  virtual bool send(std::string_view bytes) = 0;
  // Blocks. 0: the other side has ended, in order or not.
  virtual std::size_t receive(char* out, std::size_t bytes_max) = 0;
  virtual bool has_more() const = 0;  // to be had without waiting for the socket
  virtual void say_goodbye() = 0;     // before an orderly close, and before closing one side
};

class LoopbackClient {
 public:
  // Without a wire the bytes go as they are.
  explicit LoopbackClient(std::uint16_t port, int receive_buffer = 0,
                          std::unique_ptr<Wire> wire = nullptr);
  ~LoopbackClient();
  LoopbackClient(const LoopbackClient&) = delete;
  LoopbackClient& operator=(const LoopbackClient&) = delete;

  bool send(std::string_view bytes);       // false: the other side has closed
  void close();                            // orderly
  void reset();                            // RST
  void shutdown_send();                    // half close
  void cut_send();                         // the same without saying goodbye first
  bool opened() const { return opened_; }  // what Wire::open said

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
  std::size_t receive(char* out, std::size_t bytes_max);  // 0: closed
  // False: closed or the time has passed.
  bool fill(std::chrono::steady_clock::time_point deadline);

  int fd_ = -1;
  std::unique_ptr<Wire> wire_;
  bool opened_ = true;
  bool closed_ = false;
  std::string in_;
};

// "GET path" or, with a body, "POST path", to be sent as it is.
std::string http_get(std::string_view path, std::string_view more_headers = {});
std::string http_post(std::string_view path, std::string_view body,
                      std::string_view more_headers = {});

}  // namespace hearth::testing

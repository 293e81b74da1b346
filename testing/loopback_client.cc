#include "testing/loopback_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/result.h"

namespace hearth::testing {

using SteadyClock = std::chrono::steady_clock;

LoopbackClient::LoopbackClient(std::uint16_t port, int receive_buffer) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  HEARTH_CHECK(fd_ >= 0);
  if (receive_buffer > 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  HEARTH_CHECK(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
}

LoopbackClient::~LoopbackClient() { close(); }

bool LoopbackClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void LoopbackClient::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void LoopbackClient::reset() {
  const linger hard{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close();
}

void LoopbackClient::shutdown_send() { ::shutdown(fd_, SHUT_WR); }

bool LoopbackClient::fill(SteadyClock::time_point deadline) {
  if (closed_ || fd_ < 0) return false;
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now());
  pollfd poller{fd_, POLLIN, 0};
  if (::poll(&poller, 1, std::max(0, static_cast<int>(left.count()))) <= 0) return false;
  char chunk[65536];
  const ssize_t count = ::recv(fd_, chunk, sizeof chunk, 0);
  if (count <= 0) {
    closed_ = true;
    return false;
  }
  in_.append(chunk, static_cast<std::size_t>(count));
  return true;
}

bool LoopbackClient::read_few(std::size_t bytes_max) {
  std::string chunk(bytes_max, '\0');
  const ssize_t count = ::recv(fd_, chunk.data(), chunk.size(), 0);
  if (count <= 0) {
    closed_ = true;
    return false;
  }
  in_.append(chunk, 0, static_cast<std::size_t>(count));
  return true;
}

bool LoopbackClient::read_until(std::string_view text, std::chrono::milliseconds at_most) {
  const auto deadline = SteadyClock::now() + at_most;
  while (in_.find(text) == std::string::npos) {
    if (!fill(deadline)) return false;
  }
  return true;
}

bool LoopbackClient::wait_closed(std::chrono::milliseconds at_most) {
  const auto deadline = SteadyClock::now() + at_most;
  while (fill(deadline)) {
  }
  return closed_;
}

RawResponse LoopbackClient::read_response(std::chrono::milliseconds at_most, bool head_only) {
  const auto deadline = SteadyClock::now() + at_most;
  RawResponse response;
  std::size_t head_end = 0;
  while ((head_end = in_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill(deadline)) return response;
  }
  std::string head = in_.substr(0, head_end + 2);
  in_.erase(0, head_end + 4);
  if (head.size() < 12) return response;
  std::from_chars(head.data() + 9, head.data() + 12, response.status);
  for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
    const std::size_t end = head.find("\r\n", at);
    const std::size_t colon = head.find(':', at);
    std::string name = head.substr(at, colon - at);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    std::size_t value = colon + 1;
    while (value < end && head[value] == ' ') ++value;
    response.headers[name] = head.substr(value, end - value);
    at = end + 2;
  }
  if (head_only || response.status == 204 || response.status == 304) {
    response.complete = true;
    return response;
  }
  if (response.headers.count("transfer-encoding") != 0) {
    for (;;) {
      std::size_t eol = 0;
      while ((eol = in_.find("\r\n")) == std::string::npos) {
        if (!fill(deadline)) return response;
      }
      const std::size_t size = std::strtoul(in_.c_str(), nullptr, 16);
      while (in_.size() < eol + 2 + size + 2) {
        if (!fill(deadline)) return response;
      }
      response.body += in_.substr(eol + 2, size);
      in_.erase(0, eol + 2 + size + 2);
      if (size == 0) break;
    }
    response.complete = true;
  } else if (response.headers.count("content-length") != 0) {
    const std::size_t size = std::strtoul(response.headers["content-length"].c_str(), nullptr, 10);
    while (in_.size() < size) {
      if (!fill(deadline)) break;
    }
    response.complete = in_.size() >= size;
    response.body = in_.substr(0, size);
    in_.erase(0, response.body.size());
  } else {
    while (fill(deadline)) {
    }
    response.body = std::exchange(in_, {});
    response.complete = closed_;
  }
  return response;
}

std::string http_get(std::string_view path, std::string_view more_headers) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", path, more_headers);
}

std::string http_post(std::string_view path, std::string_view body, std::string_view more_headers) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}", path,
                     body.size(), more_headers, body);
}

}  // namespace hearth::testing

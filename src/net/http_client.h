// Downloads over HTTPS: ranges and resume, redirects, proxies, retries. One request at a time.
//
// Plain http is refused, also as the target of a redirect, but for loopback and the hosts that the
// operator named. Proxies come from the environment as libcurl reads it (https_proxy, no_proxy,
// ...) or from the options; loopback never goes through one.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hearth::net {

struct HttpClientOptions {
  std::string proxy;    // empty: from the environment
  std::string ca_file;  // certificates in PEM; empty: the first of the variables CURL_CA_BUNDLE,
                        // SSL_CERT_FILE, REQUESTS_CA_BUNDLE that is set, else the system's
  std::vector<std::string> plain_http_hosts;  // besides loopback
  std::chrono::milliseconds connect_timeout{15'000};
  std::chrono::seconds stall_timeout{60};      // this long under 1 KiB/s: broken off and retried
  int retries_max = 3;                         // network errors, 408, 429 and 5xx
  std::chrono::milliseconds retry_pause{500};  // doubles each time, +-50 % at random
  int redirects_max = 10;
};

struct DownloadRequest {
  std::string url;  // may hold user:password@
  // Sent as long as the redirects stay on the first host, as they may hold secrets.
  std::vector<std::pair<std::string, std::string>> headers;
  std::uint64_t offset = 0;  // bytes that the sink already has
  // What was answered when those came (RemoteInfo::validator): when the file on the server is
  // another one now, it is sent from the beginning. Empty: not checked.
  std::string validator;
};

struct RemoteInfo {
  std::string url;  // after redirects
  std::string content_type;
  std::string validator;                    // a strong ETag, else Last-Modified, else empty
  std::optional<std::uint64_t> size_total;  // of the whole file, when the server told
};

class DownloadSink {
 public:
  virtual ~DownloadSink() = default;
  // The bytes that follow begin at `offset`: 0 (drop what is there), or where the sink stands.
  // Called again after a broken connection. An error here or in write() ends the download.
  virtual Status start(const RemoteInfo& info, std::uint64_t offset) = 0;
  virtual Status write(std::string_view bytes) = 0;
};

struct TextResponse {
  std::string text;
  std::string url;  // after redirects
  std::string content_type;
};

class HttpFetcher {
 public:
  virtual ~HttpFetcher() = default;
  // Errors: kNotFound "remote_not_found" (404, 410), kInvalid "remote_refused" (other 4xx),
  // "plain_http" and "invalid_url", kIo "network" (after the retries), and what the sink says.
  virtual Result<RemoteInfo> download(const DownloadRequest& request, DownloadSink& sink) = 0;
};

// A small document; more than bytes_max: kTooLarge.
Result<TextResponse> fetch_text(HttpFetcher& fetcher, const DownloadRequest& request,
                                std::size_t bytes_max);

class HttpClient final : public HttpFetcher {
 public:
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient() override;

  Result<RemoteInfo> download(const DownloadRequest& request, DownloadSink& sink) override;

 private:
  struct Connection;
  std::unique_ptr<Connection> connection_;
};

}  // namespace hearth::net

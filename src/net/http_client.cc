#include "net/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <random>
#include <thread>

#include "net/url.h"

namespace hearth::net {
namespace {

constexpr long kStallBytesPerSecond = 1024;
constexpr std::chrono::seconds kRetryAfterMax{30};  // a server may ask for hours

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// The head of one response.
struct Head {
  std::string content_type;
  std::string content_encoding;
  std::string etag;
  std::string last_modified;
  std::string retry_after;
  std::optional<std::uint64_t> content_length;
  std::optional<std::uint64_t> range_first;  // Content-Range: bytes first-last/total
  std::optional<std::uint64_t> range_total;

  void add(std::string_view line) {
    if (line.starts_with("HTTP/")) {  // of this response, after a 100 or a proxy's own
      *this = Head();
      return;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
      return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    });
    const std::string_view value = trim(line.substr(colon + 1));
    if (name == "content-type") content_type = value;
    if (name == "content-encoding") content_encoding = value;
    if (name == "etag") etag = value;
    if (name == "last-modified") last_modified = value;
    if (name == "retry-after") retry_after = value;
    if (name == "content-length") content_length = parse_number(value);
    if (name == "content-range" && value.starts_with("bytes ")) add_range(value.substr(6));
  }

  std::string validator() const {
    return !etag.empty() && !etag.starts_with("W/") ? etag : last_modified;
  }

 private:
  void add_range(std::string_view range) {
    const std::size_t slash = range.find('/');
    if (slash == std::string_view::npos) return;
    range_total = parse_number(range.substr(slash + 1));
    range_first = parse_number(range.substr(0, range.find('-')));
  }
};

std::string ca_file_from_environment() {
  for (const char* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"}) {
    // Read before any thread of ours could change the environment, and nobody does.
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

// What became of one try.
struct Outcome {
  enum class Kind : std::uint8_t { kDone, kRedirect, kRetry, kFailed };
  Kind kind = Kind::kFailed;
  Error error;
  std::string location;
  std::chrono::milliseconds wait_min{0};
};

Outcome failed(Error error) { return {Outcome::Kind::kFailed, std::move(error), {}, {}}; }

Outcome retry(std::string why, std::chrono::milliseconds wait_min = {}) {
  return {Outcome::Kind::kRetry, {ErrorKind::kIo, "network", std::move(why)}, {}, wait_min};
}

}  // namespace

struct HttpClient::Connection {
  explicit Connection(HttpClientOptions given) : options(std::move(given)), easy(make_easy()) {
    if (options.ca_file.empty()) options.ca_file = ca_file_from_environment();
  }

  HttpClientOptions options;
  struct Free {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };
  std::unique_ptr<CURL, Free> easy;
  std::minstd_rand random{std::random_device{}()};

  // State of the try that is running.
  DownloadSink* sink = nullptr;
  Head head;
  RemoteInfo info;
  std::string current_url;
  std::uint64_t wanted_offset = 0;  // asked of the server
  std::uint64_t position = 0;       // how much the sink has
  bool started = false;
  Status sink_status;

  static CURL* make_easy() {
    // Once per process, before the first handle; curl asks for it to be done by one thread.
    static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
    HEARTH_CHECK(global == CURLE_OK);
    CURL* handle = curl_easy_init();
    HEARTH_CHECK(handle != nullptr);
    return handle;
  }

  long status() const {
    long code = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &code);
    return code;
  }

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) {
    static_cast<Connection*>(self)->head.add({data, size * count});
    return size * count;
  }

  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
    auto* self = static_cast<Connection*>(user);
    const std::size_t bytes = size * count;
    const long status = self->status();
    if (status != 200 && status != 206) return bytes;  // the text of an error; not for the sink
    if (!self->started) self->sink_status = self->start();
    if (self->sink_status) self->sink_status = self->sink->write({data, bytes});
    if (!self->sink_status) return CURL_WRITEFUNC_ERROR;
    self->position += bytes;
    return bytes;
  }

  Status start() {
    started = true;
    if (!head.content_encoding.empty() && head.content_encoding != "identity") {
      return fail(ErrorKind::kUnsupported, "remote_encoding",
                  "the server sends the encoding '{}', which was not asked for",
                  head.content_encoding);
    }
    const bool partial = status() == 206;
    if (partial && head.range_first != wanted_offset) {
      return fail(ErrorKind::kIo, "network", "the server sent another range than asked for");
    }
    if (partial && info.size_total && head.range_total != info.size_total) {
      return fail(ErrorKind::kIo, "network", "the file on the server changed meanwhile");
    }
    info.url = current_url;
    info.content_type = head.content_type;
    info.validator = head.validator();
    info.size_total = partial ? head.range_total : head.content_length;
    position = partial ? wanted_offset : 0;
    return sink->start(info, position);
  }

  Status check_url(const Url& url, bool was_https) const {
    if (url.scheme == "https") return {};
    const auto& named = options.plain_http_hosts;
    const bool allowed =
        !was_https && (is_loopback_host(url.host) ||
                       std::find(named.begin(), named.end(), url.host) != named.end());
    if (allowed) return {};
    return invalid("plain_http", "{}://{} is not encrypted: only https is allowed", url.scheme,
                   url.host);
  }

  void prepare(const Url& url, const DownloadRequest& request, bool first_host,
               std::unique_ptr<curl_slist, Free>& list, std::array<char, CURL_ERROR_SIZE>& why) {
    CURL* curl = easy.get();
    curl_easy_reset(curl);  // keeps connections and caches
    curl_easy_setopt(curl, CURLOPT_URL, current_url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);  // each target is checked here first
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "hearth");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why.data());
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     static_cast<long>(options.connect_timeout.count()));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                     static_cast<long>(options.stall_timeout.count()));
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    if (!options.ca_file.empty()) {
      curl_easy_setopt(curl, CURLOPT_CAINFO, options.ca_file.c_str());
    }
    if (is_loopback_host(url.host)) {
      curl_easy_setopt(curl, CURLOPT_PROXY, "");  // also not one from the environment
    } else if (!options.proxy.empty()) {
      curl_easy_setopt(curl, CURLOPT_PROXY, options.proxy.c_str());
    }
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &Connection::on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Connection::on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);

    std::vector<std::string> lines = {"Accept-Encoding: identity"};
    if (wanted_offset > 0) {
      lines.push_back(fmt::format("Range: bytes={}-", wanted_offset));
      const std::string& validator = info.validator.empty() ? request.validator : info.validator;
      if (!validator.empty()) lines.push_back("If-Range: " + validator);
    }
    if (first_host) {
      for (const auto& [name, value] : request.headers) lines.push_back(name + ": " + value);
    }
    for (const std::string& line : lines) {
      curl_slist* longer = curl_slist_append(list.get(), line.c_str());
      HEARTH_CHECK(longer != nullptr);
      list.release();  // NOLINT(bugprone-unused-return-value): `longer` is that list
      list.reset(longer);
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list.get());
  }

  Outcome attempt(const Url& url, const DownloadRequest& request, bool first_host) {
    std::unique_ptr<curl_slist, Free> list;
    std::array<char, CURL_ERROR_SIZE> why{};
    prepare(url, request, first_host, list, why);
    head = Head();
    started = false;
    sink_status = {};
    const CURLcode code = curl_easy_perform(easy.get());
    if (!sink_status) return failed(std::move(sink_status).error());
    if (code != CURLE_OK) {
      const std::string text = why[0] != '\0' ? why.data() : curl_easy_strerror(code);
      // A wrong certificate does not get right by asking again.
      if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
        return failed({ErrorKind::kIo, "certificate", text});
      }
      return retry(text);
    }
    return judge(url);
  }

  Outcome judge(const Url& url) {
    const long code = status();
    if (code == 200 || code == 206) {
      if (!started) sink_status = start();  // an empty file
      if (!sink_status) return failed(std::move(sink_status).error());
      return {Outcome::Kind::kDone, {}, {}, {}};
    }
    if (code == 416 && wanted_offset > 0) {
      if (head.range_total == wanted_offset) {  // all of it was there already
        info.url = current_url;
        info.size_total = wanted_offset;
        sink_status = sink->start(info, wanted_offset);
        if (!sink_status) return failed(std::move(sink_status).error());
        return {Outcome::Kind::kDone, {}, {}, {}};
      }
      position = 0;
      return retry("the file on the server is another one now");
    }
    if (code >= 300 && code < 400) {
      char* target = nullptr;
      curl_easy_getinfo(easy.get(), CURLINFO_REDIRECT_URL, &target);
      if (target != nullptr) return {Outcome::Kind::kRedirect, {}, target, {}};
    }
    std::string text = fmt::format("{} answers with status {}", url.host, code);
    if (code == 408 || code == 429 || code >= 500) {
      const auto seconds = parse_number(head.retry_after);
      const auto wait = std::chrono::seconds(
          std::min<std::uint64_t>(seconds.value_or(0), kRetryAfterMax.count()));
      return retry(std::move(text), wait);
    }
    const bool missing = code == 404 || code == 410;
    return failed({missing ? ErrorKind::kNotFound : ErrorKind::kInvalid,
                   missing ? "remote_not_found" : "remote_refused", std::move(text)});
  }

  void pause(int tries, std::chrono::milliseconds wait_min) {
    std::uniform_real_distribution<double> jitter(0.5, 1.5);
    const double factor = static_cast<double>(1 << std::min(tries, 10)) * jitter(random);
    const auto wait =
        std::chrono::duration_cast<std::chrono::milliseconds>(options.retry_pause * factor);
    std::this_thread::sleep_for(std::max(wait, wait_min));
  }

  // The redirects of one try. `url` is the request's.
  Outcome follow(const Url& first, const DownloadRequest& request) {
    current_url = request.url;
    Url url = first;
    for (int hop = 0; hop <= options.redirects_max; ++hop) {
      Outcome outcome = attempt(url, request, url.same_origin(first));
      if (outcome.kind != Outcome::Kind::kRedirect) return outcome;
      auto next = parse_url(outcome.location);
      if (!next) return failed(std::move(next).error());
      auto allowed = check_url(*next, url.scheme == "https");
      if (!allowed) return failed(std::move(allowed).error());
      url = *std::move(next);
      current_url = std::move(outcome.location);
    }
    return failed({ErrorKind::kIo, "network", "too many redirects"});
  }
};

HttpClient::HttpClient(HttpClientOptions options)
    : connection_(std::make_unique<Connection>(std::move(options))) {}
HttpClient::~HttpClient() = default;

Result<RemoteInfo> HttpClient::download(const DownloadRequest& request, DownloadSink& sink) {
  Connection& c = *connection_;
  HEARTH_TRY(const Url url, parse_url(request.url));
  HEARTH_TRY_VOID(c.check_url(url, /*was_https=*/false));
  c.sink = &sink;
  c.info = RemoteInfo();
  c.position = request.offset;
  for (int tries = 0;; ++tries) {
    c.wanted_offset = c.position;
    Outcome outcome = c.follow(url, request);
    if (outcome.kind == Outcome::Kind::kDone) return c.info;
    if (outcome.kind == Outcome::Kind::kRetry && tries < c.options.retries_max) {
      c.pause(tries, outcome.wait_min);
      continue;
    }
    if (tries > 0) outcome.error.message += fmt::format(" (tried {} times)", tries + 1);
    return prefixed(display_url(request.url), std::move(outcome.error));
  }
}

Result<TextResponse> fetch_text(HttpFetcher& fetcher, const DownloadRequest& request,
                                std::size_t bytes_max) {
  class TextSink final : public DownloadSink {
   public:
    explicit TextSink(std::size_t limit) : limit_(limit) {}
    Status start(const RemoteInfo&, std::uint64_t offset) override {
      text.resize(std::min<std::size_t>(text.size(), offset));
      return {};
    }
    Status write(std::string_view bytes) override {
      if (text.size() + bytes.size() > limit_) {
        return fail(ErrorKind::kTooLarge, "remote_too_large", "the answer has over {} bytes",
                    limit_);
      }
      text += bytes;
      return {};
    }
    std::string text;

   private:
    std::size_t limit_;
  };
  TextSink sink(bytes_max);
  HEARTH_TRY(const RemoteInfo info, fetcher.download(request, sink));
  return TextResponse{std::move(sink.text), info.url, info.content_type};
}

}  // namespace hearth::net

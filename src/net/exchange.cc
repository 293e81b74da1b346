#include "net/exchange.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"

namespace hearth::net {

Exchange::Exchange(Framing framing, std::function<void()> wake)
    : framing_(std::move(framing)), wake_(std::move(wake)) {}

void Exchange::wake_session() {
  if (wake_pending_ || !wake_) return;
  wake_pending_ = true;
  wake_();
}

void Exchange::append_head(int status, const Headers& headers, std::string_view framing_header) {
  Headers all = headers;
  if (!framing_header.empty()) {
    const std::size_t colon = framing_header.find(':');
    all.emplace_back(framing_header.substr(0, colon), framing_header.substr(colon + 1));
  }
  if (framing_.close) all.emplace_back("Connection", "close");
  all.emplace_back("X-Request-Id", framing_.name.id);
  if (!framing_.traceparent.empty()) all.emplace_back("traceparent", framing_.traceparent);
  out_ += serialize_head(status, all);
}

bool Exchange::send(HttpResponse response) {
  std::function<void()> drop;  // runs the callback's destructor outside the lock
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kPending) return false;
  phase_ = Phase::kComplete;
  std::swap(drop, disconnect_);
  const bool has_body = response.status != 204 && response.status != 304;
  if (observer_ && !gone_) observer_(response.status, response.error_code);
  append_head(response.status, response.headers,
              has_body ? fmt::format("Content-Length:{}", response.body.size()) : std::string());
  if (has_body && !framing_.head_only) out_ += response.body;
  unsent_ = out_.size();
  wake_session();
  return true;
}

bool Exchange::begin_stream(int status, Headers headers, StreamOptions options) {
  const std::lock_guard lock(mutex_);
  if (!start_stream(status, headers)) return false;
  stream_ = std::move(options);
  return true;
}

void Exchange::stream_after_silence(int status, Headers headers, StreamOptions options) {
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kPending) return;
  prepared_ = Prepared{status, std::move(headers)};
  stream_ = std::move(options);
  last_output_ = std::chrono::steady_clock::now();
  wake_session();  // it has a time to wait for
}

bool Exchange::begin_prepared_stream() {
  const std::lock_guard lock(mutex_);
  if (phase_ == Phase::kStreaming) return !gone_ && !aborted_;
  return prepared_ && start_stream(prepared_->status, prepared_->headers);
}

// Under the lock.
bool Exchange::start_stream(int status, const Headers& headers) {
  if (phase_ != Phase::kPending || gone_) return false;
  phase_ = Phase::kStreaming;
  if (!framing_.chunked) framing_.close = true;
  if (observer_) observer_(status, {});
  append_head(status, headers, framing_.chunked ? "Transfer-Encoding:chunked" : "");
  unsent_ = out_.size();
  last_output_ = std::chrono::steady_clock::now();
  wake_session();
  return true;
}

void Exchange::append_chunk(std::string_view chunk) {
  const std::size_t before = out_.size();
  if (framing_.chunked) out_ += fmt::format("{:x}\r\n", chunk.size());
  out_ += chunk;
  if (framing_.chunked) out_ += "\r\n";
  unsent_ += out_.size() - before;
  last_output_ = std::chrono::steady_clock::now();
}

bool Exchange::write(std::string_view chunk) {
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kStreaming || gone_ || aborted_) return false;
  if (chunk.empty() || framing_.head_only) return true;
  if (unsent_ > 0 && unsent_ + chunk.size() > framing_.unsent_bytes_max) {
    aborted_ = true;
    wake_session();
    return false;
  }
  append_chunk(chunk);
  wake_session();
  return true;
}

void Exchange::end() {
  std::function<void()> drop;
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kStreaming) return;
  phase_ = Phase::kComplete;
  std::swap(drop, disconnect_);
  if (framing_.chunked && !framing_.head_only) {
    out_ += "0\r\n\r\n";
    unsent_ += 5;
  }
  wake_session();
}

void Exchange::abort() {
  std::function<void()> drop;
  const std::lock_guard lock(mutex_);
  if (phase_ == Phase::kComplete) return;
  phase_ = Phase::kComplete;
  std::swap(drop, disconnect_);
  aborted_ = true;
  wake_session();
}

void Exchange::on_disconnect(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (phase_ == Phase::kComplete) return;
    if (!gone_) {
      disconnect_ = std::move(callback);
      wake_session();  // the client may have closed its side while nobody was listening
      return;
    }
  }
  callback();
}

bool Exchange::disconnected() const {
  const std::lock_guard lock(mutex_);
  return gone_ || aborted_;
}

void Exchange::observe(std::function<void(int status, std::string_view error_code)> observer) {
  const std::lock_guard lock(mutex_);
  observer_ = std::move(observer);
}

void Exchange::abandoned() {
  bool pending = false;
  {
    const std::lock_guard lock(mutex_);
    if (phase_ == Phase::kComplete || gone_ || aborted_) return;
    pending = phase_ == Phase::kPending;
  }
  log::error("request {}: dropped without an answer", framing_.name.for_log());
  if (pending) {
    send(error_response(500, "internal_error", "internal error, request id " + framing_.name.id));
  } else {
    abort();
  }
}

void Exchange::woken() {
  const std::lock_guard lock(mutex_);
  wake_pending_ = false;
}

Exchange::Output Exchange::take() {
  const std::lock_guard lock(mutex_);
  Output output;
  output.bytes = std::exchange(out_, {});
  output.complete = phase_ == Phase::kComplete;
  output.aborted = aborted_;
  output.close = framing_.close;
  output.has_callback = disconnect_ != nullptr;
  const bool may_ping = phase_ == Phase::kStreaming || (phase_ == Phase::kPending && prepared_);
  if (may_ping && stream_.silence_max.count() > 0) {
    output.silent_until = last_output_ + stream_.silence_max;
  }
  return output;
}

void Exchange::wrote(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  unsent_ -= bytes;
}

void Exchange::tick(Time now) {
  const std::lock_guard lock(mutex_);
  if (framing_.head_only || stream_.silence_max.count() == 0) return;
  if (now < last_output_ + stream_.silence_max) return;
  if (phase_ == Phase::kPending && prepared_) start_stream(prepared_->status, prepared_->headers);
  if (phase_ == Phase::kStreaming) append_chunk(stream_.keep_alive);
}

void Exchange::close_after() {
  const std::lock_guard lock(mutex_);
  framing_.close = true;
}

bool Exchange::given_up() const {
  const std::lock_guard lock(mutex_);
  return aborted_ && phase_ == Phase::kComplete;
}

bool Exchange::listened() const {
  const std::lock_guard lock(mutex_);
  return disconnect_ != nullptr;
}

void Exchange::client_gone() {
  std::function<void()> callback;
  {
    const std::lock_guard lock(mutex_);
    if (gone_ || phase_ == Phase::kComplete) return;
    gone_ = true;
    std::swap(callback, disconnect_);
  }
  if (callback) callback();
}

void Exchange::detach() {
  const std::lock_guard lock(mutex_);
  wake_ = nullptr;
  observer_ = nullptr;
  gone_ = true;
}

}  // namespace hearth::net

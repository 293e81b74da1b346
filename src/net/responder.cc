#include "net/responder.h"

#include "net/exchange.h"

namespace hearth::net {

struct Responder::Guard {
  explicit Guard(std::shared_ptr<Exchange> e) : exchange(std::move(e)) {}
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ~Guard() { exchange->abandoned(); }
  std::shared_ptr<Exchange> exchange;
};

Responder::Responder(std::shared_ptr<Exchange> exchange)
    : exchange_(std::move(exchange)), guard_(std::make_shared<Guard>(exchange_)) {}

bool Responder::send(HttpResponse response) { return exchange_->send(std::move(response)); }

bool Responder::begin_stream(int status, Headers headers, StreamOptions options) {
  return exchange_->begin_stream(status, std::move(headers), std::move(options));
}

void Responder::stream_after_silence(int status, Headers headers, StreamOptions options) {
  exchange_->stream_after_silence(status, std::move(headers), std::move(options));
}

bool Responder::begin_prepared_stream() { return exchange_->begin_prepared_stream(); }

bool Responder::write(std::string_view chunk) { return exchange_->write(chunk); }

void Responder::end() { exchange_->end(); }

void Responder::abort() { exchange_->abort(); }

void Responder::on_disconnect(std::function<void()> callback) {
  exchange_->on_disconnect(std::move(callback));
}

void Responder::observe(std::function<void(int status, std::string_view error_code)> observer) {
  exchange_->observe(std::move(observer));
}

bool Responder::disconnected() const { return exchange_->disconnected(); }

}  // namespace hearth::net

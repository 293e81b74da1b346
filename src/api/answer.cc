#include "api/answer.h"

#include "api/errors.h"
#include "net/sse.h"

namespace hearth::api {
namespace {

class WholeAnswer final : public GenerationOutput {
 public:
  WholeAnswer(const AnswerInfo& info, net::Responder responder)
      : request_(info.request),
        formatter_(make_formatter(info)),
        responder_(std::move(responder)),
        choices_(static_cast<std::size_t>(info.choices)) {}

  bool delta(int choice, Delta delta, std::optional<engine::FinishReason> finish) override {
    FinishedChoice& target = choices_[static_cast<std::size_t>(choice)];
    target.text += delta.text;
    std::move(delta.tokens.begin(), delta.tokens.end(), std::back_inserter(target.tokens));
    if (finish) target.finish = *finish;
    return true;
  }
  void done(const Usage& usage, const engine::Timings& timings) override {
    net::HttpResponse response;
    response.headers.emplace_back("Content-Type", "application/json");
    response.body = dump_json(formatter_->whole(choices_, usage, timings));
    responder_.send(std::move(response));
  }
  void failed(const Error& error) override { responder_.send(to_response(error, request_)); }

 private:
  const net::RequestName request_;
  std::unique_ptr<Formatter> formatter_;
  net::Responder responder_;
  std::vector<FinishedChoice> choices_;
};

class StreamAnswer final : public GenerationOutput {
 public:
  StreamAnswer(const AnswerInfo& info, net::Responder responder,
               std::chrono::milliseconds keep_alive_interval,
               std::function<void(std::string_view code)> on_error)
      : request_(info.request),
        formatter_(make_formatter(info)),
        responder_(responder),
        events_(std::move(responder), keep_alive_interval),
        on_error_(std::move(on_error)) {}

  bool delta(int choice, Delta delta, std::optional<engine::FinishReason> finish) override {
    if (!open()) return false;
    if (!delta.text.empty() || !delta.tokens.empty()) {
      if (!send(formatter_->text(choice, delta))) return false;
    }
    return !finish || send(formatter_->finish(choice, *finish));
  }
  void done(const Usage& usage, const engine::Timings& timings) override {
    if (open() && send(formatter_->closing(usage, timings)) && events_.data("[DONE]")) {
      events_.end();
    }
  }
  void failed(const Error& error) override {
    const PublicError shown = public_error(error, request_);
    // Unless the stream has begun there is still time for a proper status. Only the responder knows
    // whether a comment has begun it.
    if (responder_.send(to_response(shown))) return;
    on_error_(shown.code);
    if (events_.event("error", shown.body)) events_.end();
  }

 private:
  bool open() {
    if (opened_) return true;
    opened_ = true;
    if (!events_.begin()) return false;
    for (const OrderedJson& chunk : formatter_->opening()) {
      if (!send(chunk)) return false;
    }
    return true;
  }
  bool send(const std::optional<OrderedJson>& document) {
    return !document || events_.data(dump_json(*document));
  }

  const net::RequestName request_;
  std::unique_ptr<Formatter> formatter_;
  net::Responder responder_;
  net::SseWriter events_;
  const std::function<void(std::string_view code)> on_error_;
  bool opened_ = false;
};

}  // namespace

std::unique_ptr<GenerationOutput> make_answer(
    const AnswerInfo& info, net::Responder responder, std::chrono::milliseconds keep_alive_interval,
    std::function<void(std::string_view code)> on_stream_error) {
  if (info.stream) {
    return std::make_unique<StreamAnswer>(info, std::move(responder), keep_alive_interval,
                                          std::move(on_stream_error));
  }
  return std::make_unique<WholeAnswer>(info, std::move(responder));
}

}  // namespace hearth::api

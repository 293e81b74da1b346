#include "api/embeddings.h"

#include <bit>
#include <cmath>
#include <span>
#include <utility>

#include "api/errors.h"
#include "base/clock.h"
#include "base/json.h"
#include "crypto/base64.h"

namespace hearth::api {
namespace {

std::vector<float> unit_length(std::vector<float> v) {
  double sum = 0;
  for (const float x : v) sum += static_cast<double>(x) * x;
  if (sum > 0) {
    const double scale = 1 / std::sqrt(sum);
    for (float& x : v) x = static_cast<float>(x * scale);
  }
  return v;
}

OrderedJson shown(const std::vector<float>& v, bool base64) {
  if (!base64) return v;
  static_assert(std::endian::native == std::endian::little);
  return crypto::base64(std::as_bytes(std::span(v)));
}

std::int64_t now_ns() { return Clock::system().now().time_since_epoch().count(); }

}  // namespace

Embeddings::Embeddings(std::shared_ptr<engine::Engine> engine, std::shared_ptr<TaskPool> pool,
                       std::vector<engine::GenerateRequest> requests, EmbeddingInfo info,
                       net::Responder responder, std::shared_ptr<ModelMetrics> metrics)
    : engine_(std::move(engine)),
      pool_(std::move(pool)),
      info_(std::move(info)),
      metrics_(std::move(metrics)),
      first_id_(requests.front().id),
      requests_(std::move(requests)),
      responder_(std::move(responder)),
      open_(requests_.size()) {
  for (const auto& request : requests_)
    inputs_.push_back({static_cast<std::int64_t>(request.prompt.size()), {}});
}

void Embeddings::start() {
  submitted_ns_ = now_ns();
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    const Status submitted = engine_->submit(std::move(requests_[i]), shared_from_this());
    if (submitted) continue;
    for (std::size_t j = 0; j < i; ++j) engine_->cancel(first_id_ + j);
    const std::lock_guard lock(mutex_);
    for (; i < requests_.size(); ++i) end_one(submitted.error());
  }
  requests_.clear();
  if (cancelled_) cancel();  // the client left before there was anything to cancel
}

void Embeddings::cancel() {
  cancelled_ = true;
  for (std::size_t i = 0; i < inputs_.size(); ++i) engine_->cancel(first_id_ + i);
}

void Embeddings::on_event(engine::Event event) {
  if (!event.finish) return;
  const std::lock_guard lock(mutex_);
  Input& input = inputs_[event.request - first_id_];
  input.embedding = std::move(event.embedding);
  metrics_->choice_ended(
      {*event.finish, input.tokens, 0, event.timings, event.made_ns - submitted_ns_, 0});
  if (*event.finish == engine::FinishReason::kStop) return end_one(std::nullopt);
  end_one(event.error.value_or(
      Error{ErrorKind::kExhausted, "request_cancelled", "the server gave up the request"}));
}

void Embeddings::end_one(std::optional<Error> error) {
  if (error && !error_) error_ = std::move(error);
  if (--open_ > 0 || cancelled_) return;
  // Refused only when the server is going down.
  (void)pool_->post([self = shared_from_this()] { self->answer(); });
}

void Embeddings::answer() {
  const std::lock_guard lock(mutex_);
  if (error_) {
    responder_.send(to_response(*error_, info_.request));
    return;
  }
  OrderedJson data = OrderedJson::array();
  std::int64_t tokens = 0;
  for (Input& input : inputs_) {
    tokens += input.tokens;
    data.push_back({{"object", "embedding"},
                    {"index", data.size()},
                    {"embedding", shown(unit_length(std::move(input.embedding)), info_.base64)}});
  }
  net::HttpResponse response;
  response.headers.emplace_back("Content-Type", "application/json");
  response.body =
      dump_json(OrderedJson{{"object", "list"},
                            {"data", std::move(data)},
                            {"model", info_.model},
                            {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}});
  responder_.send(std::move(response));
}

}  // namespace hearth::api

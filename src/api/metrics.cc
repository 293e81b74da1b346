#include "api/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include "api/metrics_state.h"

namespace hearth::api {
namespace {

using Bounds = prometheus::Histogram::BucketBoundaries;

// The bounds are vLLM's, so that its dashboards and alerts fit.
const Bounds& first_token_bounds() {
  static const Bounds bounds{0.001, 0.005, 0.01, 0.02,  0.04,  0.06,  0.08, 0.1,
                             0.25,  0.5,   0.75, 1.0,   2.5,   5.0,   7.5,  10.0,
                             20.0,  40.0,  80.0, 160.0, 640.0, 2560.0};
  return bounds;
}
const Bounds& token_bounds() {
  static const Bounds bounds{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,  0.3,  0.4, 0.5,
                             0.75, 1.0,   2.5,  5.0,   7.5, 10.0, 20.0, 40.0, 80.0};
  return bounds;
}
const Bounds& request_bounds() {
  static const Bounds bounds{0.3,  0.5,   0.8,   1.0,   1.5,   2.0,    2.5,
                             5.0,  10.0,  15.0,  20.0,  30.0,  40.0,   50.0,
                             60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0};
  return bounds;
}
Bounds size_bounds(std::int64_t context) {  // 1, 2, 5, 10, 20, 50 ... up to the context
  Bounds bounds;
  for (std::int64_t power = 1;; power *= 10) {
    for (const std::int64_t digit : {1, 2, 5}) {
      if (digit * power > std::max<std::int64_t>(1, context)) return bounds;
      bounds.push_back(static_cast<double>(digit * power));
    }
  }
}

double seconds(std::int64_t ns) {
  return static_cast<double>(std::max<std::int64_t>(0, ns)) * 1e-9;
}

std::string known_method(std::string_view method) {
  static constexpr std::array<std::string_view, 7> kMethods{"GET",    "HEAD",    "POST", "PUT",
                                                            "DELETE", "OPTIONS", "PATCH"};
  const bool known = std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
  return known ? std::string(method) : "other";
}

}  // namespace

// A registry of its own, so that a model's series go away together.
struct ModelMetrics::Impl {
  Impl(const std::string& model, std::int64_t context) : labels{{"model_name", model}} {
    // In the order of engine::FinishReason.
    auto& ended = prometheus::BuildCounter()
                      .Name("vllm:request_success_total")
                      .Help("Choices that ended, by the reason for it")
                      .Register(registry);
    for (const char* reason : {"stop", "length", "abort", "error"}) {
      finished.push_back(&ended.Add({{"model_name", model}, {"finished_reason", reason}}));
    }
    const Bounds sizes = size_bounds(context);
    prompt_tokens = &histogram("vllm:request_prompt_tokens", "Tokens of the prompt", sizes);
    generation_tokens =
        &histogram("vllm:request_generation_tokens", "Tokens that were generated", sizes);
  }

  prometheus::Histogram& histogram(const char* name, const char* help, const Bounds& bounds) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(labels,
                                                                                     bounds);
  }

  const prometheus::Labels labels;
  prometheus::Registry registry;
  std::vector<prometheus::Counter*> finished;
  prometheus::Histogram* prompt_tokens = nullptr;
  prometheus::Histogram* generation_tokens = nullptr;
  prometheus::Histogram& first_token =
      histogram("vllm:time_to_first_token_seconds", "Time from the request to its first token",
                first_token_bounds());
  prometheus::Histogram& token_gap = histogram("vllm:inter_token_latency_seconds",
                                               "Time between a token and the next", token_bounds());
  prometheus::Histogram& per_token =
      histogram("vllm:request_time_per_output_token_seconds",
                "Mean time between a request's tokens", token_bounds());
  prometheus::Histogram& total = histogram("vllm:e2e_request_latency_seconds",
                                           "Time from the request to its end", request_bounds());
  prometheus::Histogram& queued = histogram(
      "vllm:request_queue_time_seconds", "Time that a request waited to begin", request_bounds());
  prometheus::Histogram& prefill =
      histogram("vllm:request_prefill_time_seconds", "Time from the beginning to the first token",
                request_bounds());
  prometheus::Histogram& decode = histogram(
      "vllm:request_decode_time_seconds", "Time from the first token to the end", request_bounds());
};

ModelMetrics::ModelMetrics(const std::string& model, std::int64_t context)
    : impl_(std::make_unique<Impl>(model, context)) {}
ModelMetrics::~ModelMetrics() = default;

void ModelMetrics::first_token(std::int64_t since_submit_ns) {
  impl_->first_token.Observe(seconds(since_submit_ns));
}

void ModelMetrics::next_token(std::int64_t since_last_ns) {
  impl_->token_gap.Observe(seconds(since_last_ns));
}

void ModelMetrics::choice_ended(const ChoiceEnd& end) {
  static_assert(static_cast<int>(engine::FinishReason::kCancelled) == 2 &&
                static_cast<int>(engine::FinishReason::kError) == 3);
  impl_->finished[static_cast<std::size_t>(end.reason)]->Increment();
  if (end.reason != engine::FinishReason::kStop && end.reason != engine::FinishReason::kLength) {
    return;  // how soon a request was given up says nothing about the server's speed
  }
  impl_->prompt_tokens->Observe(static_cast<double>(end.prompt_tokens));
  impl_->generation_tokens->Observe(static_cast<double>(end.generated_tokens));
  impl_->total.Observe(seconds(end.total_ns));
  impl_->queued.Observe(seconds(end.timings.queued_ns));
  impl_->prefill.Observe(seconds(end.timings.prefill_ns));
  impl_->decode.Observe(seconds(end.timings.decode_ns));
  if (end.generated_tokens > 1) {
    impl_->per_token.Observe(seconds(end.decode_ns) /
                             static_cast<double>(end.generated_tokens - 1));
  }
}

struct Metrics::Impl {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter()
          .Name("hearth_http_requests_total")
          .Help("Answers that were begun, by route, method and status")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& errors =
      prometheus::BuildCounter()
          .Name("hearth_errors_total")
          .Help("Errors told to clients, by their code")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& reloads =
      prometheus::BuildCounter()
          .Name("hearth_config_reloads_total")
          .Help(
              "Times that SIGHUP asked for the configuration to be read again, by what came of it")
          .Register(registry);
  prometheus::Counter& reloads_taken = reloads.Add({{"result", "ok"}});
  prometheus::Counter& reloads_refused = reloads.Add({{"result", "refused"}});
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<ModelMetrics>> models;
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

std::shared_ptr<ModelMetrics> Metrics::model(const std::string& id, std::int64_t context) {
  const std::lock_guard lock(impl_->mutex);
  std::shared_ptr<ModelMetrics>& entry = impl_->models[id];
  if (!entry) entry = std::make_shared<ModelMetrics>(id, context);
  return entry;
}

void Metrics::forget(const std::string& id) {
  const std::lock_guard lock(impl_->mutex);
  impl_->models.erase(id);
}

void Metrics::count_request(std::string_view route, std::string_view method, int status) {
  impl_->requests
      .Add({{"route", std::string(route)},
            {"method", known_method(method)},
            {"status", std::to_string(status)}})
      .Increment();
}

void Metrics::count_error(std::string_view code) {
  impl_->errors.Add({{"code", std::string(code)}}).Increment();
}

void Metrics::count_config_reload(bool taken) {
  (taken ? impl_->reloads_taken : impl_->reloads_refused).Increment();
}

std::string Metrics::text(const ServerState& state) {
  std::vector<prometheus::MetricFamily> all = impl_->registry.Collect();
  const auto take = [&all](std::vector<prometheus::MetricFamily> more) {
    std::move(more.begin(), more.end(), std::back_inserter(all));
  };
  for (const ModelState& entry : state.models) {
    take(model(entry.id, entry.context)->impl_->registry.Collect());
  }
  take(collect_state(state));

  // The series of a name must stand together, also those of several models.
  std::map<std::string, prometheus::MetricFamily> by_name;
  for (prometheus::MetricFamily& family : all) {
    const auto [place, is_new] = by_name.try_emplace(family.name);
    if (is_new) {
      place->second = std::move(family);
    } else {
      std::move(family.metric.begin(), family.metric.end(),
                std::back_inserter(place->second.metric));
    }
  }
  std::vector<prometheus::MetricFamily> sorted;
  for (auto& [name, family] : by_name) sorted.push_back(std::move(family));
  return prometheus::TextSerializer().Serialize(sorted);
}

const char* Metrics::content_type() { return "text/plain; version=0.0.4; charset=utf-8"; }

}  // namespace hearth::api

#include "api/metrics_state.h"

#include <prometheus/metric_family.h>

#include "base/process_stats.h"

namespace hearth::api {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

class Collector {
 public:
  void gauge(const char* name, const char* help, double value,
             std::vector<ClientMetric::Label> labels = {}) {
    add(name, help, MetricType::Gauge, std::move(labels)).gauge.value = value;
  }
  void gauge(const char* name, const char* help, std::int64_t value,
             std::vector<ClientMetric::Label> labels = {}) {
    gauge(name, help, static_cast<double>(value), std::move(labels));
  }
  void counter(const char* name, const char* help, double value,
               std::vector<ClientMetric::Label> labels = {}) {
    add(name, help, MetricType::Counter, std::move(labels)).counter.value = value;
  }
  template <class Integer>
  void counter(const char* name, const char* help, Integer value,
               std::vector<ClientMetric::Label> labels = {}) {
    counter(name, help, static_cast<double>(value), std::move(labels));
  }
  void steps(const char* name, const char* help, const engine::StepRows& steps,
             std::vector<ClientMetric::Label> labels) {
    ClientMetric::Histogram& histogram =
        add(name, help, MetricType::Histogram, std::move(labels)).histogram;
    std::int64_t count = 0;
    for (std::size_t i = 0; i < steps.counts.size(); ++i) {
      count += steps.counts[i];
      if (i == engine::StepRows::kBounds.size()) break;  // the last is in the total alone
      histogram.bucket.push_back(
          {static_cast<std::uint64_t>(count), static_cast<double>(engine::StepRows::kBounds[i])});
    }
    histogram.sample_count = static_cast<std::uint64_t>(count);
    histogram.sample_sum = static_cast<double>(steps.rows);
  }

  std::vector<MetricFamily> families;

 private:
  ClientMetric& add(const char* name, const char* help, MetricType type,
                    std::vector<ClientMetric::Label> labels) {
    MetricFamily& family = families.emplace_back();
    family.name = name;
    family.help = help;
    family.type = type;
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = std::move(labels);
    return metric;
  }
};

void collect_model(Collector& to, const ModelState& model) {
  const engine::EngineStats& stats = model.stats;
  const std::vector<ClientMetric::Label> labels{{"model_name", model.id}};
  const double usage = stats.pages_total > 0 ? static_cast<double>(stats.pages_used) /
                                                   static_cast<double>(stats.pages_total)
                                             : 0.;
  to.gauge("vllm:num_requests_running", "Choices in the batch", stats.running, labels);
  to.gauge("vllm:num_requests_waiting", "Requests that wait for a place in the batch",
           stats.waiting, labels);
  to.gauge("vllm:kv_cache_usage_perc", "Part of the cache pages that is in use, from 0 to 1", usage,
           labels);
  to.counter("vllm:prefix_cache_queries_total",
             "Prompt tokens that were looked for in the cache of prefixes", stats.prefix_queries,
             labels);
  to.counter("vllm:prefix_cache_hits_total", "Prompt tokens that were found there",
             stats.prefix_hits, labels);
  to.counter("vllm:num_preemptions_total", "Choices that lost their pages to older ones",
             stats.preemptions, labels);
  to.counter("vllm:prompt_tokens_total", "Tokens of prompts that were computed",
             stats.prompt_tokens, labels);
  to.counter("vllm:generation_tokens_total", "Tokens that were generated", stats.generated_tokens,
             labels);
  to.steps("vllm:iteration_tokens_total", "Rows of a step: tokens of prompts and of answers",
           stats.steps, labels);
  to.gauge("hearth_kv_pages_used", "Cache pages in use", stats.pages_used, labels);
  to.gauge("hearth_kv_pages_kept",
           "Cache pages that nobody uses, kept for prompts that begin alike", stats.pages_kept,
           labels);
  to.gauge("hearth_kv_pages_capacity", "Cache pages there are", stats.pages_total, labels);
  to.counter("vllm:spec_decode_num_draft_tokens_total", "Guessed tokens that were computed",
             stats.drafts, labels);
  to.counter("vllm:spec_decode_num_accepted_tokens_total", "Guessed tokens that were right",
             stats.drafts_accepted, labels);
  to.counter("hearth_engine_busy_seconds_total", "Time in passes through the model",
             static_cast<double>(stats.work.busy_ns) / 1e9, labels);
  to.counter("hearth_engine_passes_total", "Passes through the model", stats.work.passes, labels);
  const engine::Utilisation& used = stats.utilisation;
  to.gauge("hearth_utilisation_busy", "Part of the last second in passes through the model",
           used.busy, labels);
  to.gauge("hearth_utilisation_arithmetic",
           "Useful operations of the last second against the machine's measured peak",
           used.arithmetic, labels);
  to.gauge("hearth_utilisation_bandwidth",
           "Bytes that had to be read in the last second against the measured peak", used.bandwidth,
           labels);
  to.gauge("hearth_limit_running", "Choices that may be in the batch, as the tuner has it",
           stats.limits.running, labels);
  to.gauge("hearth_limit_prompt_rows",
           "Prompt tokens of a step beside running answers, as the tuner has it",
           stats.limits.prompt_rows, labels);
  for (const auto& [reason, count] : stats.tunings)
    to.counter("hearth_tuner_decisions_total", "Decisions of the tuner by their reason", count,
               {{"model_name", model.id}, {"reason", reason}});
  to.gauge("hearth_engine_healthy", "1, or 0 after the engine met a fatal error",
           stats.healthy ? 1. : 0., labels);
}

void collect_connections(Collector& to, const net::ServerStats& stats) {
  to.gauge("hearth_connections", "Open connections", static_cast<double>(stats.connections));
  to.counter("hearth_connections_accepted_total", "Connections that were accepted", stats.accepted);
  to.counter("hearth_connections_refused_total", "Connections over a cap", stats.refused);
  to.counter("hearth_connections_evicted_total", "Idle connections closed to make room",
             stats.evicted);
  to.counter("hearth_accept_pauses_total", "Times that accepting had to wait for a free descriptor",
             stats.accept_pauses);
  to.counter("hearth_client_disconnects_total",
             "Clients that left, or were cut off for reading too slowly, before the end of their "
             "answer",
             stats.disconnects);
}

void collect_process(Collector& to) {
  const ProcessStats stats = process_stats();
  MetricFamily memory;
  memory.name = "hearth_process_memory_bytes";
  memory.help = "Memory of the process: resident anonymous and file pages, and what is swapped out";
  memory.type = MetricType::Gauge;
  for (const auto& [kind, bytes] :
       {std::pair("anonymous", stats.anonymous_bytes), std::pair("file", stats.file_bytes),
        std::pair("swap", stats.swap_bytes)}) {
    ClientMetric& metric = memory.metric.emplace_back();
    metric.label = {{"kind", kind}};
    metric.gauge.value = static_cast<double>(bytes);
  }
  to.families.push_back(std::move(memory));
  to.gauge("hearth_process_threads", "Threads of the process", stats.threads);
  to.gauge("process_open_fds", "Open file descriptors", stats.open_descriptors);
  to.gauge("process_max_fds", "The limit of open file descriptors", stats.descriptors_max);
  to.counter("process_cpu_seconds_total", "Processor time, of user and system", stats.cpu_seconds);
  to.gauge("process_start_time_seconds", "When the process began, as Unix time",
           stats.start_time_unix_seconds);
}

}  // namespace

std::vector<MetricFamily> collect_state(const ServerState& state) {
  Collector collector;
  for (const ModelState& model : state.models) collect_model(collector, model);
  collect_connections(collector, state.connections);
  collector.gauge("hearth_text_queue_requests", "Requests that wait for parsing and tokenizing",
                  static_cast<double>(state.text_queue));
  collector.gauge("hearth_text_queue_capacity", "How many may wait before more are refused",
                  static_cast<double>(state.text_queue_max));
  collect_process(collector);
  collector.gauge("hearth_build_info", "Always 1; the label tells the version", 1.,
                  {{"version", HEARTH_VERSION}});
  return std::move(collector.families);
}

}  // namespace hearth::api

#include "api/metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "api/app_fixture.h"

namespace hearth::api {
namespace {

using Samples = std::map<std::string, double>;  // "name{label="value"}" -> value

// A metric's or label's name.
bool is_name(std::string_view text) {
  return !text.empty() && (text[0] < '0' || text[0] > '9') &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
         });
}

// `{a="b",c="d"}` or nothing; values without escapes.
bool are_labels(std::string_view text) {
  if (text.empty()) return true;
  if (text.front() != '{' || text.back() != '}') return false;
  text = text.substr(1, text.size() - 2);
  for (;;) {
    const std::size_t quote = text.find("=\"");
    if (quote == std::string_view::npos || !is_name(text.substr(0, quote))) return false;
    const std::size_t close = text.find('"', quote + 2);
    if (close == std::string_view::npos) return false;
    text.remove_prefix(close + 1);
    if (text.empty()) return true;
    if (text.front() != ',') return false;
    text.remove_prefix(1);
  }
}

// Each histogram's last bucket has its count.
void expect_whole_histograms(const Samples& samples) {
  const std::string infinity = ",le=\"+Inf\"";
  for (const auto& [series, value] : samples) {
    const std::size_t bucket = series.find("_bucket{");
    const std::size_t bound = series.find(infinity);
    if (bucket == std::string::npos || bound == std::string::npos) continue;
    std::string count = series;
    count.erase(bound, infinity.size());
    count.replace(bucket, std::string("_bucket").size(), "_count");
    ASSERT_TRUE(samples.contains(count)) << series;
    EXPECT_EQ(samples.at(count), value) << series;
  }
}

// Reads the text format strictly: each sample belongs to the TYPE line above it, each name has one
// TYPE line, no series comes twice, and a histogram's buckets only grow.
Samples read_text(const std::string& text) {
  Samples samples;
  std::set<std::string> names;
  std::string name;
  std::string type;
  double bucket = 0.;
  EXPECT_TRUE(text.ends_with("\n"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) continue;
    if (line.starts_with("# TYPE ")) {
      const std::size_t space = line.find(' ', 7);
      name = line.substr(7, space - 7);
      type = line.substr(space + 1);
      EXPECT_TRUE(is_name(name)) << line;
      EXPECT_TRUE(type == "counter" || type == "gauge" || type == "histogram") << line;
      EXPECT_TRUE(names.insert(name).second) << line;
      continue;
    }
    const std::size_t space = line.rfind(' ');
    const std::string series = line.substr(0, space);
    std::string base = series.substr(0, series.find('{'));
    if (space == std::string::npos || !is_name(base) || !are_labels(series.substr(base.size()))) {
      ADD_FAILURE() << "not of the format: " << line;
      continue;
    }
    const double value = std::stod(line.substr(space + 1));
    if (type == "histogram") {
      const std::size_t suffix = base.rfind('_');
      const std::string kind = base.substr(suffix + 1);
      EXPECT_TRUE(kind == "bucket" || kind == "sum" || kind == "count") << line;
      base.resize(suffix);
      if (kind == "bucket") {
        EXPECT_GE(value, bucket) << line;
        bucket = line.find("le=\"+Inf\"") == std::string::npos ? value : 0.;
      }
    } else if (type == "counter") {
      EXPECT_TRUE(base.ends_with("_total")) << line;
    }
    EXPECT_EQ(base, name) << line;
    EXPECT_TRUE(std::isfinite(value)) << line;
    EXPECT_TRUE(samples.emplace(series, value).second) << line;
  }
  expect_whole_histograms(samples);
  return samples;
}

Samples scrape(Service& service) {
  const RawResponse response = service.send(http_get("/metrics"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  return read_text(response.body);
}

// 0 where a series does not exist yet.
double value(const Samples& samples, const std::string& series) {
  const auto found = samples.find(series);
  return found == samples.end() ? 0. : found->second;
}

// Of the model that the fixture calls default.
double of_model(const Samples& samples, const std::string& name) {
  return value(samples, name + "{model_name=\"org/first\"}");
}

double finished(const Samples& samples, const std::string& reason) {
  return value(samples, "vllm:request_success_total{finished_reason=\"" + reason +
                            "\",model_name=\"org/first\"}");
}

double answers(const Samples& samples, const std::string& route, const std::string& method,
               int status) {
  return value(samples, "hearth_http_requests_total{method=\"" + method + "\",route=\"" + route +
                            "\",status=\"" + std::to_string(status) + "\"}");
}

double errors(const Samples& samples, const std::string& code) {
  return value(samples, "hearth_errors_total{code=\"" + code + "\"}");
}

// Polls: what happens after an answer's last byte is counted a moment later.
bool becomes(Service& service, const std::function<bool(const Samples&)>& wanted) {
  return eventually([&] { return wanted(scrape(service)); });
}

TEST(Metrics, EveryNameIsThereBeforeTheFirstRequest) {
  Service service;
  const Samples samples = scrape(service);
  for (const char* name : {"vllm:num_requests_running",
                           "vllm:num_requests_waiting",
                           "vllm:kv_cache_usage_perc",
                           "vllm:num_preemptions_total",
                           "vllm:prompt_tokens_total",
                           "vllm:generation_tokens_total",
                           "vllm:prefix_cache_queries_total",
                           "vllm:prefix_cache_hits_total",
                           "hearth_kv_pages_kept",
                           "vllm:time_to_first_token_seconds_count",
                           "vllm:inter_token_latency_seconds_count",
                           "vllm:request_time_per_output_token_seconds_count",
                           "vllm:e2e_request_latency_seconds_count",
                           "vllm:request_queue_time_seconds_count",
                           "vllm:request_prefill_time_seconds_count",
                           "vllm:request_decode_time_seconds_count",
                           "vllm:request_prompt_tokens_count",
                           "vllm:request_generation_tokens_count",
                           "vllm:iteration_tokens_total_count",
                           "hearth_kv_pages_used",
                           "hearth_kv_pages_capacity",
                           "hearth_engine_healthy"}) {
    for (const char* model : {"org/first", "bare", "raw"}) {
      EXPECT_TRUE(samples.contains(std::string(name) + "{model_name=\"" + model + "\"}")) << name;
    }
  }
  for (const char* name : {"hearth_connections", "hearth_connections_accepted_total",
                           "hearth_connections_refused_total", "hearth_connections_evicted_total",
                           "hearth_accept_pauses_total", "hearth_client_disconnects_total",
                           "hearth_text_queue_requests", "hearth_text_queue_capacity",
                           "hearth_process_memory_bytes{kind=\"swap\"}"}) {
    EXPECT_TRUE(samples.contains(name)) << name;
  }
  for (const char* name :
       {"hearth_process_memory_bytes{kind=\"anonymous\"}",
        "hearth_process_memory_bytes{kind=\"file\"}", "hearth_process_threads", "process_open_fds",
        "process_max_fds", "process_cpu_seconds_total", "process_start_time_seconds"}) {
    EXPECT_GT(value(samples, name), 0.) << name;
  }
  const auto info = samples.lower_bound("hearth_build_info{version=\"");
  ASSERT_NE(info, samples.end());
  EXPECT_TRUE(info->first.starts_with("hearth_build_info{version=\"")) << info->first;
  EXPECT_EQ(info->second, 1.);
}

TEST(Metrics, AGeneratingRequestMovesTokensAndHistograms) {
  SimulatedOptions options = says("hello");
  options.step = 2ms;
  Service service(options);
  service.post("/v1/completions", R"({"prompt":"hi","n":2})");
  const Samples samples = scrape(service);
  EXPECT_EQ(of_model(samples, "vllm:prompt_tokens_total"), 3.);
  EXPECT_EQ(of_model(samples, "vllm:generation_tokens_total"), 10.);
  EXPECT_EQ(finished(samples, "stop"), 2.);
  EXPECT_EQ(finished(samples, "length"), 0.);
  for (const char* once :
       {"vllm:time_to_first_token_seconds", "vllm:e2e_request_latency_seconds",
        "vllm:request_time_per_output_token_seconds", "vllm:request_queue_time_seconds",
        "vllm:request_prefill_time_seconds", "vllm:request_decode_time_seconds",
        "vllm:request_prompt_tokens", "vllm:request_generation_tokens"}) {
    EXPECT_EQ(of_model(samples, std::string(once) + "_count"), 2.) << once;
  }
  EXPECT_EQ(of_model(samples, "vllm:request_prompt_tokens_sum"), 6.);
  EXPECT_EQ(of_model(samples, "vllm:request_generation_tokens_sum"), 10.);
  EXPECT_EQ(of_model(samples, "vllm:inter_token_latency_seconds_count"), 8.);
  const double gaps = of_model(samples, "vllm:inter_token_latency_seconds_sum");
  EXPECT_GE(gaps, 8 * 0.002);
  EXPECT_GE(of_model(samples, "vllm:e2e_request_latency_seconds_sum"),
            gaps + of_model(samples, "vllm:time_to_first_token_seconds_sum"));
  EXPECT_NEAR(of_model(samples, "vllm:request_time_per_output_token_seconds_sum"), gaps / 4, 1e-9);
  // The simulated engine's own figures, in seconds.
  EXPECT_NEAR(of_model(samples, "vllm:request_queue_time_seconds_sum"), 0.002, 1e-9);
  EXPECT_NEAR(of_model(samples, "vllm:request_prefill_time_seconds_sum"), 0.004, 1e-9);
  EXPECT_NEAR(of_model(samples, "vllm:request_decode_time_seconds_sum"), 0.006, 1e-9);
  // Each of its steps has a row for each open choice: five tokens, and an end.
  EXPECT_EQ(of_model(samples, "vllm:iteration_tokens_total_count"), 6.);
  EXPECT_EQ(of_model(samples, "vllm:iteration_tokens_total_sum"), 12.);
  EXPECT_EQ(value(samples, "vllm:iteration_tokens_total_bucket{model_name=\"org/first\",le=\"1\"}"),
            0.);
  EXPECT_EQ(value(samples, "vllm:iteration_tokens_total_bucket{model_name=\"org/first\",le=\"8\"}"),
            6.);
  EXPECT_EQ(answers(samples, "/v1/completions", "POST", 200), 1.);
  // Another model's stay where they were.
  EXPECT_EQ(value(samples, "vllm:e2e_request_latency_seconds_count{model_name=\"raw\"}"), 0.);
}

TEST(Metrics, ReasonsForTheEnd) {
  SimulatedOptions options;
  options.script = [](const engine::GenerateRequest& request, int) {
    const bool fails = request.prompt.size() == 2;
    return Script{bytes_of("one STOP two"), fails ? FinishReason::kError : FinishReason::kStop,
                  Error{ErrorKind::kInternal, "numeric_error", "not finite"}};
  };
  Service service(options);
  service.post("/generate", R"({"prompt":"length","max_tokens":2})");
  service.post("/generate", R"({"prompt":"stop string","stop":["STOP"]})");
  service.post("/generate", R"({"prompt":"x"})", 500);
  // The engine hears of the stop string after the client has its answer.
  EXPECT_TRUE(becomes(service, [](const Samples& now) {
    return finished(now, "stop") + finished(now, "abort") == 1.;
  }));
  const Samples samples = scrape(service);
  EXPECT_EQ(finished(samples, "stop"), 1.);
  EXPECT_EQ(finished(samples, "length"), 1.);
  EXPECT_EQ(finished(samples, "error"), 1.);
  EXPECT_EQ(finished(samples, "abort"), 0.);
  // Failed ones are not among the latencies, and what came behind a stop string is not counted.
  EXPECT_EQ(of_model(samples, "vllm:e2e_request_latency_seconds_count"), 2.);
  EXPECT_EQ(of_model(samples, "vllm:request_generation_tokens_sum"), 2. + 8.);
}

TEST(Metrics, ErrorsByCodeAndAnswersByRoute) {
  Service service;
  service.post("/generate", "{", 400);
  service.post("/generate", "{", 400);
  service.post("/generate", R"({"prompt":"x","model":"nope"})", 404);
  service.get("/nothing/at/all", 404);
  service.get("/nothing/else", 404);
  service.get("/v1/models/nope", 404);
  service.get("/v1/models/org/first");
  service.send(http_get("/generate"));
  service.send("BREW /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
  const Samples samples = scrape(service);
  EXPECT_EQ(errors(samples, "invalid_json"), 2.);
  EXPECT_EQ(errors(samples, "model_not_found"), 2.);
  EXPECT_EQ(errors(samples, "unknown_route"), 2.);
  EXPECT_EQ(errors(samples, "method_not_allowed"), 2.);
  EXPECT_EQ(answers(samples, "/generate", "POST", 400), 2.);
  EXPECT_EQ(answers(samples, "/generate", "POST", 404), 1.);
  EXPECT_EQ(answers(samples, "/generate", "GET", 405), 1.);
  EXPECT_EQ(answers(samples, "/health", "other", 405), 1.);
  EXPECT_EQ(answers(samples, "unknown", "GET", 404), 2.);
  EXPECT_EQ(answers(samples, "/v1/models/{id}", "GET", 404), 1.);
  EXPECT_EQ(answers(samples, "/v1/models/{id}", "GET", 200), 1.);
  for (const auto& [series, count] : samples) {
    EXPECT_EQ(series.find("nothing"), std::string::npos) << series;
    EXPECT_EQ(series.find("BREW"), std::string::npos) << series;
  }
}

TEST(Metrics, AnErrorWithinAStreamCountsByItsCode) {
  SimulatedOptions options;
  options.script = [](const engine::GenerateRequest&, int) {
    return Script{bytes_of("ab"), FinishReason::kError,
                  Error{ErrorKind::kTimeout, "deadline_exceeded", "too late"}};
  };
  Service service(options);
  const auto events = service.events("/generate", R"({"prompt":"p","stream":true})");
  ASSERT_TRUE(events.back().starts_with("error|"));
  const Samples samples = scrape(service);
  EXPECT_EQ(errors(samples, "deadline_exceeded"), 1.);
  EXPECT_EQ(answers(samples, "/generate", "POST", 200), 1.);  // its head was sent long ago
  EXPECT_EQ(value(samples, "hearth_client_disconnects_total"), 0.);
}

TEST(Metrics, ARefusalByTheNetworkLayerCounts) {
  net::ServerOptions limits;
  limits.header_timeout = 30ms;
  limits.connections_max = 3;
  Service service({}, {}, limits);
  const auto refused = [&](const std::string& bytes) { return service.send(bytes).status; };
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 421);
  EXPECT_EQ(refused("GARBAGE\r\n\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20'000, 'x')), 431);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\n"), 408);
  EXPECT_EQ(refused("POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n"
                    "\r\n"),
            413);
  const Samples samples = scrape(service);
  for (const char* code : {"host_not_allowed", "malformed_request", "headers_too_large",
                           "header_timeout", "body_too_large"}) {
    EXPECT_EQ(errors(samples, code), 1.) << code;
  }
  for (const int status : {421, 400, 431, 408, 413}) {
    EXPECT_EQ(answers(samples, "refused", "other", status), 1.) << status;
  }
}

TEST(Metrics, Connections) {
  SimulatedOptions options;
  options.step = 2ms;
  net::ServerOptions limits;
  limits.connections_max = 2;
  Service service(options, {}, limits);
  LoopbackClient reader(service.port());  // kept for reading the metrics under full load
  const auto read = [&] {
    reader.send(http_get("/metrics"));
    return read_text(reader.read_response().body);
  };
  EXPECT_EQ(value(read(), "hearth_connections"), 1.);
  // An idle connection makes room for the newcomer.
  LoopbackClient busy(service.port());
  busy.send(http_post("/generate", R"({"prompt":"p","max_tokens":500,"stream":true})"));
  ASSERT_TRUE(busy.read_until("\"text\""));
  Samples samples = read();
  EXPECT_EQ(value(samples, "hearth_connections"), 2.);
  EXPECT_EQ(value(samples, "hearth_connections_accepted_total"), 2.);
  EXPECT_EQ(value(samples, "vllm:num_requests_running{model_name=\"org/first\"}"), 1.);
  // `reader` has to go, as soon as the server has seen that it is idle.
  std::optional<LoopbackClient> third;
  ASSERT_TRUE(eventually([&] {
    third.emplace(service.port());
    third->send(http_get("/metrics"));
    const RawResponse response = third->read_response();
    if (response.status == 200) samples = read_text(response.body);
    return response.status == 200;
  }));
  EXPECT_EQ(value(samples, "hearth_connections_evicted_total"), 1.);
  const double refused = value(samples, "hearth_connections_refused_total");
  third->send(http_post("/generate", R"({"prompt":"q","max_tokens":500,"stream":true})"));
  ASSERT_TRUE(third->read_until("\"text\""));
  EXPECT_EQ(LoopbackClient(service.port()).read_response().status, 503);
  busy.close();
  third->close();
  // Until the server has seen them go, it refuses this too.
  EXPECT_TRUE(eventually([&] {
    const RawResponse response = service.send(http_get("/metrics"));
    if (response.status != 200) return false;
    const Samples now = read_text(response.body);
    const double all_refused = value(now, "hearth_connections_refused_total");
    return all_refused > refused && errors(now, "too_many_connections") == all_refused &&
           value(now, "hearth_client_disconnects_total") == 2.;
  }));
}

TEST(Metrics, DisconnectsOfStreamsAndOthers) {
  double count = 0.;
  SimulatedOptions options;
  options.step = 1ms;
  Service service(options);
  for (const char* stream : {"true", "false"}) {
    LoopbackClient client(service.port());
    client.send(http_post(
        "/generate", std::string(R"({"prompt":"p","max_tokens":500,"stream":)") + stream + "}"));
    ASSERT_TRUE(becomes(service, [](const Samples& now) {
      return of_model(now, "vllm:num_requests_running") == 1.;
    }));
    if (stream[0] == 't') ASSERT_TRUE(client.read_until("\"text\""));
    client.close();
    ++count;
    EXPECT_TRUE(becomes(service, [&](const Samples& now) {
      return value(now, "hearth_client_disconnects_total") == count &&
             finished(now, "abort") == count;
    })) << stream;
  }
  const Samples samples = scrape(service);
  EXPECT_EQ(of_model(samples, "vllm:e2e_request_latency_seconds_count"), 0.);
  // The stream's head was sent, the other's never.
  EXPECT_EQ(answers(samples, "/generate", "POST", 200), 1.);
  // Neither a client that has its answer nor an idle one is a disconnect.
  LoopbackClient good(service.port());
  good.send(http_get("/health"));
  EXPECT_EQ(good.read_response().status, 200);
  good.close();
  EXPECT_TRUE(
      becomes(service, [](const Samples& now) { return now.at("hearth_connections") == 1.; }));
  EXPECT_EQ(value(scrape(service), "hearth_client_disconnects_total"), 2.);
}

TEST(Metrics, ASlowReaderThatIsCutOffIsADisconnect) {
  net::ServerOptions limits;
  limits.stream_unsent_bytes_max = 4096;
  SimulatedOptions options;
  options.limits.context = 1'000'000;
  Service service(options, {}, limits);
  LoopbackClient client(service.port(), 4096);
  client.send(http_post("/v1/completions",
                        R"({"prompt":"p","max_tokens":65000,"ignore_eos":true,"stream":true})"));
  EXPECT_TRUE(becomes(service, [](const Samples& now) {
    return value(now, "hearth_client_disconnects_total") == 1. && finished(now, "abort") == 1.;
  }));
}

TEST(Metrics, TheTextQueueAndTheHealthOfEngines) {
  SimulatedOptions options;
  Service service(options, AppOptions{.text_queue_max = 7});
  EXPECT_EQ(value(scrape(service), "hearth_text_queue_capacity"), 7.);
  EXPECT_EQ(of_model(scrape(service), "hearth_engine_healthy"), 1.);
  service.engine->set_healthy(false);
  EXPECT_EQ(of_model(scrape(service), "hearth_engine_healthy"), 0.);
}

TEST(Metrics, FullPagesAndWaitingRequests) {
  Metrics metrics;
  ServerState state;
  engine::EngineStats stats;
  stats.running = 3;
  stats.waiting = 4;
  stats.pages_total = 8;
  stats.pages_used = 6;
  stats.pages_kept = 1;
  stats.prefix_queries = 21;
  stats.prefix_hits = 13;
  stats.preemptions = 5;
  state.models.push_back({"with \"quotes\"\n", 100, stats});
  state.text_queue = 9;
  state.connections.evicted = 10;
  state.connections.accept_pauses = 11;
  const std::string text = metrics.text(state);
  const auto shows = [&](const std::string& line) {
    return text.find("\n" + line + "\n") != std::string::npos;
  };
  const std::string labels = R"({model_name="with \"quotes\"\n"} )";
  EXPECT_TRUE(shows("vllm:num_requests_running" + labels + "3"));
  EXPECT_TRUE(shows("vllm:num_requests_waiting" + labels + "4"));
  EXPECT_TRUE(shows("vllm:kv_cache_usage_perc" + labels + "0.75"));
  EXPECT_TRUE(shows("vllm:num_preemptions_total" + labels + "5"));
  EXPECT_TRUE(shows("vllm:prefix_cache_queries_total" + labels + "21"));
  EXPECT_TRUE(shows("vllm:prefix_cache_hits_total" + labels + "13"));
  EXPECT_TRUE(shows("hearth_kv_pages_used" + labels + "6"));
  EXPECT_TRUE(shows("hearth_kv_pages_kept" + labels + "1"));
  EXPECT_TRUE(shows("hearth_kv_pages_capacity" + labels + "8"));
  EXPECT_TRUE(shows("hearth_text_queue_requests 9"));
  EXPECT_TRUE(shows("hearth_connections_evicted_total 10"));
  EXPECT_TRUE(shows("hearth_accept_pauses_total 11"));
}

TEST(Metrics, BothResultsOfAReloadAreThereFromTheStart) {
  Metrics metrics;
  const auto reloads = [&](const char* result) {
    return read_text(metrics.text({}))
        .at(std::string("hearth_config_reloads_total{result=\"") + result + "\"}");
  };
  EXPECT_EQ(reloads("ok"), 0.);
  EXPECT_EQ(reloads("refused"), 0.);
  metrics.count_config_reload(true);
  metrics.count_config_reload(false);
  metrics.count_config_reload(false);
  EXPECT_EQ(reloads("ok"), 1.);
  EXPECT_EQ(reloads("refused"), 2.);
}

TEST(Metrics, BoundsOfSizesEndAtTheContext) {
  Metrics metrics;
  ServerState state;
  state.models.push_back({"m", 20, {}});
  const Samples samples = read_text(metrics.text(state));
  const auto has = [&](const std::string& bound) {
    return samples.contains("vllm:request_prompt_tokens_bucket{model_name=\"m\",le=\"" + bound +
                            "\"}");
  };
  for (const char* bound : {"1", "2", "5", "10", "20", "+Inf"}) EXPECT_TRUE(has(bound)) << bound;
  EXPECT_FALSE(has("50"));
}

TEST(Metrics, AForgottenModelGoesAndStartsFromZeroWhenItComesBack) {
  Metrics metrics;
  ServerState state;
  state.models.push_back({"a", 100, {}});
  state.models.push_back({"b", 100, {}});
  const auto running = metrics.model("a", 100);
  running->first_token(1'000'000);
  metrics.model("b", 100)->first_token(1'000'000);
  const std::string count_a = "vllm:time_to_first_token_seconds_count{model_name=\"a\"}";
  const std::string count_b = "vllm:time_to_first_token_seconds_count{model_name=\"b\"}";
  EXPECT_EQ(value(read_text(metrics.text(state)), count_a), 1.);
  metrics.forget("a");
  state.models.erase(state.models.begin());
  running->first_token(1'000'000);  // a request that is still open
  Samples samples = read_text(metrics.text(state));
  EXPECT_FALSE(samples.contains(count_a));
  EXPECT_EQ(value(samples, count_b), 1.);
  state.models.push_back({"a", 100, {}});
  samples = read_text(metrics.text(state));
  EXPECT_TRUE(samples.contains(count_a));
  EXPECT_EQ(value(samples, count_a), 0.);
}

}  // namespace
}  // namespace hearth::api

// hearth bench engine: prefill and decode on the path that serving takes, against the machine's
// limits.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>

#include "apps/commands.h"
#include "apps/model_options.h"
#include "backend/machine.h"
#include "base/cpu.h"
#include "base/json.h"
#include "model/token_cost.h"

namespace hearth::apps {
namespace {

struct Options : ModelOptions {
  std::vector<std::int64_t> prompts = {512};
  std::int32_t tokens = 128;
  std::vector<std::int64_t> batches = {1, 8, 32};
  std::int64_t depth = 0;
  int repeats = 5;
  bool profile = false;
  bool json = false;
};

using Seconds = std::chrono::duration<double>;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 != 0 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::vector<engine::TokenId> random_tokens(std::int64_t n, std::int64_t vocab,
                                           std::mt19937& random) {
  std::uniform_int_distribution<std::int32_t> id(0, static_cast<std::int32_t>(vocab) - 1);
  std::vector<engine::TokenId> out(static_cast<std::size_t>(n));
  for (auto& t : out) t = id(random);
  return out;
}

// Seconds from submitting to the first token.
Result<double> time_prefill(engine::Engine& engine, std::int64_t tokens, std::mt19937& random) {
  engine::GenerateRequest request;
  request.prompt = random_tokens(tokens, engine.limits().vocab, random);
  request.max_tokens = 1;
  request.ignore_eos = true;
  const auto begin = std::chrono::steady_clock::now();
  HEARTH_TRY_VOID(generate_and_wait(engine, std::move(request), [](const engine::Event&) {}));
  return Seconds(std::chrono::steady_clock::now() - begin).count();
}

// Tokens a second over all sequences, from when each has its first token to the end.
Result<double> rate_decode(engine::Engine& engine, std::int64_t batch, const Options& options,
                           std::mt19937& random) {
  class Sink final : public engine::EventSink {
   public:
    void on_event(engine::Event event) override {
      const auto now = std::chrono::steady_clock::now();
      const std::lock_guard lock(mutex);
      if (event.token && ++tokens == started_at) begun = now;
      if (event.finish) {
        ended = now;
        ++finished;
        ready.notify_all();
      }
    }
    std::mutex mutex;
    std::condition_variable ready;
    std::int64_t tokens = 0, finished = 0, started_at = 0;
    std::chrono::steady_clock::time_point begun, ended;
  };
  const auto sink = std::make_shared<Sink>();
  // The clock runs from the step in which the last sequence made its first token.
  sink->started_at = batch;
  for (std::int64_t i = 0; i < batch; ++i) {
    engine::GenerateRequest request;
    request.id = static_cast<engine::RequestId>(i + 1);
    request.prompt =
        random_tokens(std::max<std::int64_t>(1, options.depth), engine.limits().vocab, random);
    request.max_tokens = options.tokens + 1;
    request.ignore_eos = true;
    HEARTH_TRY_VOID(engine.submit(std::move(request), sink));
  }
  std::unique_lock lock(sink->mutex);
  sink->ready.wait(lock, [&] { return sink->finished == batch; });
  return static_cast<double>(sink->tokens - batch) / Seconds(sink->ended - sink->begun).count();
}

// What the operations of `run` took, after what is measured without looking.
Status add_profile(backend::Backend& backend, const std::function<Status()>& run, OrderedJson& out,
                   std::string& text) {
  backend.set_profiling(true);
  const Status done = run();
  backend.set_profiling(false);
  const std::vector<backend::OpProfile> profile = backend.take_profile();
  HEARTH_TRY_VOID(done);
  double total = 0;
  for (const auto& op : profile) total += op.wall_s;
  out["profile"] = OrderedJson::array();
  text += fmt::format("  {:24} {:>6} {:>7} {:>9} {:>6} {:>7} {:>7}\n", "operation", "share", "runs",
                      "us a run", "busy", "GB/s", "TOPS");
  for (const auto& op : profile) {
    const double busy = op.busy_s / op.wall_s / backend.threads();
    out["profile"].push_back({{"operation", op.name},
                              {"share", op.wall_s / total},
                              {"runs", op.runs},
                              {"us", 1e6 * op.wall_s / static_cast<double>(op.runs)},
                              {"busy", busy},
                              {"gb_s", op.bytes / op.wall_s / 1e9},
                              {"tops", op.operations / op.wall_s / 1e12}});
    text += fmt::format("  {:24} {:5.1f} % {:7} {:9.1f} {:4.0f} % {:7.1f} {:7.2f}\n", op.name,
                        100 * op.wall_s / total, op.runs,
                        1e6 * op.wall_s / static_cast<double>(op.runs), 100 * busy,
                        op.bytes / op.wall_s / 1e9, op.operations / op.wall_s / 1e12);
  }
  return {};
}

Status bench(const Options& options) {
  HEARTH_TRY_VOID(lock_in(options.model));
  HEARTH_TRY(const auto model, load_model(options));
  HEARTH_TRY(const auto peaks, backend::measure_peaks(model->backend().threads()));
  const model::TokenCost cost = model::token_cost(*model);
  ModelOptions engine_options = options;
  engine_options.speculation = "off";  // its gain hangs on the text, and this one is random
  const std::int64_t longest = *std::max_element(options.prompts.begin(), options.prompts.end());
  const std::int64_t wanted = std::max(longest, options.depth) + options.tokens + 8;
  if (engine_options.context == 0)
    engine_options.context = std::min(wanted, model->config().context);
  HEARTH_TRY(const auto engine,
             engine::LocalEngine::create(model, apps::engine_options(engine_options)));
  std::mt19937 random(1);
  OrderedJson out;
  out["machine"] = {{"cpu", cpu_model_name()},
                    {"backend", model->backend().describe()},
                    {"threads", model->backend().threads()},
                    {"read_gb_s", peaks.read_gb_s},
                    {"int8_tops", peaks.int8_tops},
                    {peaks.bf16 ? "bf16_tops" : "f32_tops", peaks.float_tops}};
  out["prefill"] = OrderedJson::array();
  out["decode"] = OrderedJson::array();
  std::string text = fmt::format("{}: {:.1f} GB/s read, {:.2f} int8 TOPS, {:.2f} {} TFLOPS\n",
                                 model->backend().describe(), peaks.read_gb_s, peaks.int8_tops,
                                 peaks.float_tops, peaks.bf16 ? "bfloat16" : "float32");
  for (std::int64_t n : options.prompts) {
    std::vector<double> times;
    for (int r = -1; r < options.repeats; ++r) {
      HEARTH_TRY(const double t, time_prefill(*engine, n, random));
      if (r >= 0) times.push_back(t);  // the first one warms up
    }
    const double t = median(times);
    const model::Operations operations = cost.layers.times(static_cast<double>(n)).plus(cost.head);
    const double share = operations.seconds(peaks) / t;
    out["prefill"].push_back({{"tokens", n},
                              {"tok_s", static_cast<double>(n) / t},
                              {"seconds_min", *std::min_element(times.begin(), times.end())},
                              {"seconds_max", *std::max_element(times.begin(), times.end())},
                              {"tops", operations.all() / t / 1e12},
                              {"peak_share", share}});
    text += fmt::format("prefill {:5}: {:8.1f} tok/s, {:.2f} TOPS, {:.0f} % of the peak\n", n,
                        static_cast<double>(n) / t, operations.all() / t / 1e12, 100 * share);
    if (options.profile)
      HEARTH_TRY_VOID(add_profile(
          model->backend(),
          [&]() -> Status {
            HEARTH_TRY([[maybe_unused]] const double t, time_prefill(*engine, n, random));
            return {};
          },
          out["prefill"].back(), text));
  }
  for (std::int64_t b : options.batches) {
    std::vector<double> rates;
    for (int r = -1; r < options.repeats; ++r) {
      HEARTH_TRY(const double rate, rate_decode(*engine, b, options, random));
      if (r >= 0) rates.push_back(rate);
    }
    const double rate = median(rates);
    const double gb_s = cost.bytes_read * rate / static_cast<double>(b) / 1e9;
    const model::Operations operations = cost.layers.plus(cost.head);
    const double tops = operations.all() * rate / 1e12;
    // Whichever limit is nearer.
    const double share = std::max(gb_s / peaks.read_gb_s, rate * operations.seconds(peaks));
    out["decode"].push_back({{"batch", b},
                             {"tok_s", rate},
                             {"tok_s_min", *std::min_element(rates.begin(), rates.end())},
                             {"tok_s_max", *std::max_element(rates.begin(), rates.end())},
                             {"gb_s", gb_s},
                             {"tops", tops},
                             {"peak_share", share}});
    text += fmt::format(
        "decode  {:5}: {:8.1f} tok/s, {:.1f} GB/s, {:.2f} TOPS, {:.0f} % of the nearer limit\n", b,
        rate, gb_s, tops, 100 * share);
    if (options.profile)
      HEARTH_TRY_VOID(add_profile(
          model->backend(),
          [&]() -> Status {
            HEARTH_TRY([[maybe_unused]] const double r, rate_decode(*engine, b, options, random));
            return {};
          },
          out["decode"].back(), text));
  }
  print(options.json ? dump_json(out) + "\n" : text);
  return {};
}

}  // namespace

void add_bench(CLI::App& root) {
  CLI::App* group = root.add_subcommand("bench", "Measurements");
  group->require_subcommand(1);
  auto options = std::make_shared<Options>();
  CLI::App* command = group->add_subcommand("engine", "Prefill and decode of a model");
  add_model_options(*command, *options);
  command->add_option("-p", options->prompts, "Prompt lengths")
      ->delimiter(',')
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20));
  command->add_option("-n", options->tokens, "Tokens per sequence")->check(CLI::Range(1, 1 << 20));
  command->add_option("-b", options->batches, "Sequences at once")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
  command->add_option("--depth", options->depth, "Tokens of context before decoding starts")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 20));
  command->add_option("-r", options->repeats, "Repetitions; the median counts")
      ->check(CLI::Range(1, 1000));
  command->add_flag("--profile", options->profile, "Also the time of each kind of operation");
  command->add_flag("--json", options->json, "One JSON document");
  command->callback([options] { finish_command(bench(*options)); });
  add_bench_serve(*group);
}

}  // namespace hearth::apps

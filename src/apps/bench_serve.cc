// hearth bench serve: a load for any server with the OpenAI API, and what it made of it.
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>

#include "apps/commands.h"
#include "apps/load_plan.h"
#include "apps/load_run.h"
#include "apps/model_options.h"
#include "base/fs.h"
#include "net/url.h"

namespace hearth::apps {
namespace {

struct Options {
  std::string url;
  std::optional<std::int64_t> clients;
  std::int64_t requests = 256;
  std::optional<double> rate;
  std::string words = "100", max_tokens = "64";
  std::int64_t shared_words = 0;
  std::string api = "chat", model, api_key;
  bool ignore_eos = false;
  double temperature = 0;
  std::optional<std::uint64_t> seed;
  std::int64_t warmup = 1;
  std::optional<double> target_ttft_ms, target_tpot_ms;
  double timeout_s = 600;
  bool json = false;
};

constexpr std::int64_t kClientsDefault = 32;

// http://HOST:PORT, with or without /v1, also behind a path.
Result<net::Url> server_url(const std::string& text) {
  HEARTH_TRY(net::Url url, net::parse_url(text));
  if (url.scheme != "http")
    return fail(ErrorKind::kUnsupported, "https_unsupported",
                "only plain http can be measured yet; a tunnel or a proxy on this machine helps");
  if (!url.user.empty() || !url.password.empty() || !url.query.empty() || !url.fragment.empty())
    return invalid("invalid_url", "the address of a server has only a host, a port and a path");
  while (url.path.ends_with('/')) url.path.pop_back();
  if (!url.path.ends_with("/v1")) url.path += "/v1";
  return url;
}

// Not on the command line, where others see it.
Result<std::string> read_key(const std::string& source) {
  std::string key;
  if (source.starts_with("env:")) {
    const std::string name = source.substr(4);
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return invalid("no_key", "the environment has no variable {}", name);
    key = value;
  } else if (source.starts_with("file:")) {
    HEARTH_TRY(key, read_small_file(FileSystem::real(), source.substr(5), 1u << 16));
  }
  const std::size_t begin = key.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return invalid("no_key", "{} holds no key", source);
  return key.substr(begin, key.find_last_not_of(" \t\r\n") - begin + 1);
}

Result<LoadPlan> plan_of(const Options& options, std::uint64_t seed) {
  LoadPlanOptions plan;
  HEARTH_TRY(plan.words, parse_length(options.words));
  HEARTH_TRY(plan.max_tokens, parse_length(options.max_tokens));
  plan.shared_words = options.shared_words;
  plan.rate = options.rate.value_or(1);
  plan.seed = seed;
  return LoadPlan(plan);
}

// A connection for each request under way.
void raise_descriptor_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);  // if not, the requests that get no connection are errors
}

void show(const LoadProgress& at) {
  const LoadReport& report = at.report;
  std::fprintf(stderr,
               "\r%s%lld of %lld requests, %lld open, %.0f s, %.0f tokens/s, %lld errors\033[K",
               at.warmup ? "warm-up: " : "", static_cast<long long>(report.requests()),
               static_cast<long long>(at.requests), static_cast<long long>(at.open), at.seconds,
               at.seconds > 0 ? static_cast<double>(report.output_tokens()) / at.seconds : 0,
               static_cast<long long>(report.errors()));
}

Status bench(const Options& options) {
  HEARTH_TRY(const net::Url url, server_url(options.url));
  net::LoadClientOptions client_options;
  client_options.timeout =
      std::chrono::milliseconds(static_cast<std::int64_t>(options.timeout_s * 1000));
  if (!options.api_key.empty()) {
    HEARTH_TRY(const std::string key, read_key(options.api_key));
    client_options.headers.emplace_back("Authorization", "Bearer " + key);
    if (!net::is_loopback_host(url.host))
      std::fprintf(stderr, "the key goes to %s without encryption\n", url.host.c_str());
  }
  const std::uint64_t seed = options.seed ? *options.seed : std::random_device{}();
  HEARTH_TRY(const LoadPlan plan, plan_of(options, seed));
  raise_descriptor_limit();
  HEARTH_TRY(const auto client, net::LoadClient::create(url, std::move(client_options)));

  LoadRunOptions run;
  run.prefix = url.path;
  run.api = options.api == "chat" ? LoadApi::kChat : LoadApi::kCompletions;
  run.requests = options.requests;
  run.open_loop = options.rate.has_value();
  run.clients = options.clients.value_or(run.open_loop ? 0 : kClientsDefault);
  run.warmup = options.warmup;
  run.ignore_eos = options.ignore_eos;
  run.temperature = options.temperature;
  run.seed = seed;
  run.targets = {options.target_ttft_ms, options.target_tpot_ms};
  const bool terminal = isatty(STDERR_FILENO) == 1;
  if (terminal) run.progress = show;
  const std::string shown = net::display_url(options.url);
  run.model = options.model;
  if (run.model.empty()) {
    auto model = first_model(*client, run.prefix);
    if (!model) return prefixed(shown, std::move(model).error());
    run.model = *std::move(model);
  }
  auto result = run_load(*client, plan, run);
  if (terminal) std::fputs("\r\033[K", stderr);
  if (!result) return prefixed(shown, std::move(result).error());
  const LoadReport& report = result->report;
  std::fprintf(stderr, "%s: %lld of %lld requests, %lld errors, %lld refused%s\n", shown.c_str(),
               static_cast<long long>(report.requests()), static_cast<long long>(run.requests),
               static_cast<long long>(report.errors()), static_cast<long long>(report.refused()),
               result->interrupted ? "; interrupted" : "");
  OrderedJson json = report.json();
  json["interrupted"] = result->interrupted;
  json["model"] = run.model;
  json["seed"] = seed;
  if (!print(options.json ? dump_json(json) + "\n" : report.table())) return {};
  if (report.succeeded() > 0) return {};
  const std::string why = report.first_failure();
  return fail(ErrorKind::kIo, "nothing_succeeded", "{}: no request was answered{}{}", shown,
              why.empty() ? "" : ": ", why);
}

// Wrong usage is found before anything is done; the texts are those of the functions.
template <class Parse>
CLI::Validator accepted_by(Parse parse, const char* name) {
  return CLI::Validator(
      [parse](std::string& text) {
        const auto parsed = parse(text);
        return parsed ? std::string() : parsed.error().message;
      },
      name);
}

}  // namespace

void add_bench_serve(CLI::App& group) {
  auto options = std::make_shared<Options>();
  CLI::App* command = group.add_subcommand(
      "serve",
      "Load for any server with the OpenAI API: requests/s, time to the first token, time per "
      "token.\n"
      "Without --rate each of -c clients sends its next request when the last one is answered; "
      "with\n"
      "it requests come at random times, however many are open. The prompts are ordinary words.");
  const CLI::Validator length = accepted_by(parse_length, "LENGTH");
  const CLI::Range count(std::int64_t{1}, std::int64_t{100'000'000});
  command->add_option("URL", options->url, "http://HOST:PORT, with or without /v1")
      ->required()
      ->check(accepted_by(server_url, ""));
  command
      ->add_option("-c", options->clients,
                   "Clients; with --rate the most requests open at once (others wait in the "
                   "client, uncounted) [32; with --rate any number]")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{65'536}));
  command->add_option("-n", options->requests, "Requests in all")->check(count);
  command->add_option("--rate", options->rate, "Requests a second, as a Poisson process")
      ->check(CLI::Range(1e-3, 1e6));
  command
      ->add_option("--words", options->words,
                   "Own words of a prompt: a LENGTH is N, A-B or lognormal:MEDIAN,SIGMA")
      ->check(length);
  command->add_option("--shared-words", options->shared_words, "Words that all prompts begin with")
      ->check(CLI::Range(std::int64_t{0}, Length::kMax));
  command->add_option("--max-tokens", options->max_tokens, "Tokens of an answer at most: a LENGTH")
      ->check(length);
  command->add_option("--api", options->api, "Which route: chat, completions")
      ->check(CLI::IsMember({"chat", "completions"}));
  command->add_option("--model", options->model, "Its name; else the first of GET /v1/models");
  command->add_option("--api-key", options->api_key, "Where the key is: env:NAME or file:PATH")
      ->check(CLI::Validator(
          [](std::string& text) {
            const bool known = text.starts_with("env:") || text.starts_with("file:");
            return known ? std::string() : "a key is given as env:NAME or file:PATH, never itself";
          },
          ""));
  command->add_flag("--ignore-eos", options->ignore_eos,
                    "Answers have their full length (Hearth, vLLM and SGLang know it)");
  command->add_option("--temperature", options->temperature, "0: always the likeliest token")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--seed", options->seed,
                      "The same seed gives the same prompts, lengths and arrivals; without it each "
                      "run has its own, so that no prompt is in a server's cache already");
  command
      ->add_option("--warmup", options->warmup,
                   "Requests sent before the others, which do not count")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000}));
  command
      ->add_option("--target-ttft-ms", options->target_ttft_ms,
                   "Goodput: to the first token at most")
      ->check(CLI::Range(0.0, 1e9));
  command
      ->add_option("--target-tpot-ms", options->target_tpot_ms,
                   "Goodput: for each further token at most")
      ->check(CLI::Range(0.0, 1e9));
  command->add_option("--timeout", options->timeout_s, "Seconds for a whole request")
      ->check(CLI::Range(0.001, 1e6));
  command->add_flag("--json", options->json, "One JSON document");
  command->callback([options] { finish_command(bench(*options)); });
}

}  // namespace hearth::apps

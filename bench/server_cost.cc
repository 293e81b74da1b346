// What HTTP costs: the same requests given to the engine directly and over loopback, in one process
// and in alternation. The client is a process of its own that does no more than it must: it reads
// into one buffer per connection and looks at the bytes when the clock has stopped.
//
//   ./dev bench server_cost [MODEL] [--threads N] [--rounds N] [--least PERCENT]
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <limits>
#include <mutex>
#include <set>
#include <thread>

#include "api/app.h"
#include "apps/model_options.h"
#include "apps/served.h"
#include "base/cpu.h"
#include "base/json.h"
#include "base/log.h"
#include "net/server.h"

namespace hearth {
namespace {

struct Options : apps::ServedOptions {
  int requests = 32;
  std::int64_t prompt_tokens = 128;
  std::int32_t answer_tokens = 64;
  int rounds = 9;
  double least = 0;  // percent of the engine's rate
};

enum class Way : std::uint8_t { kDirect, kWhole, kStreamed };

struct Measured {
  Way way = Way::kDirect;
  double wall_s = 0;
  double front_cpu_s = 0;  // of this process's threads but those that existed with the engine
  double client_cpu_s = 0;
};

double cpu_s() {
  rusage usage{};
  HEARTH_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// The processor time of the threads that were started after this object was made, which has to be
// before the process locks itself in.
class LaterThreads {
 public:
  LaterThreads() : tasks_(::opendir("/proc/self/task")) { HEARTH_CHECK(tasks_ != nullptr); }
  ~LaterThreads() { ::closedir(tasks_); }
  LaterThreads(const LaterThreads&) = delete;
  LaterThreads& operator=(const LaterThreads&) = delete;

  void ignore_present() {
    for (const pid_t thread : list()) ignored_.insert(thread);
  }
  double cpu_s() {
    double sum = 0;
    for (const pid_t thread : list()) {
      if (ignored_.contains(thread)) continue;
      timespec used{};
      // A thread's clock by its number, as the kernel counts them (clock_getres(2)).
      if (clock_gettime((~thread << 3) | 6, &used) != 0) continue;  // it has just ended
      sum += static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
    }
    return sum;
  }

 private:
  std::vector<pid_t> list() {
    std::vector<pid_t> threads;
    ::rewinddir(tasks_);
    while (const dirent* entry = ::readdir(tasks_)) {
      const std::string_view name = entry->d_name;
      pid_t thread = 0;
      const auto read = std::from_chars(name.data(), name.data() + name.size(), thread);
      if (read.ec == std::errc() && thread > 0) threads.push_back(thread);
    }
    return threads;
  }
  DIR* const tasks_;
  std::set<pid_t> ignored_;
};

// ---- the client's process

// Blocking, whole; false at the end of the other side.
bool read_all(int fd, void* data, std::size_t size) {
  auto* at = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t count = ::read(fd, at, size);
    if (count <= 0) return false;
    at += count;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

void write_all(int fd, const void* data, std::size_t size) {
  const auto* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t count = ::write(fd, at, size);
    HEARTH_CHECK(count > 0);
    at += count;
    size -= static_cast<std::size_t>(count);
  }
}

// What the client is told, followed by the bytes of each request, each behind its size.
struct Job {
  std::uint16_t port = 0;
  bool streamed = false;
  std::int32_t requests = 0;
  std::int32_t answer_tokens = 0;
};
struct Report {
  double wall_s = 0;
  double cpu_s = 0;
  std::int32_t wrong = 0;  // answers that are not what was asked for
};

struct Connection {
  int fd = -1;
  std::string in;
  bool done = false;
};

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  HEARTH_CHECK(fd >= 0);
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  HEARTH_CHECK(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

bool complete(const std::string& in, bool streamed) {
  if (streamed) return in.ends_with("\r\n0\r\n\r\n");
  const std::size_t head_end = in.find("\r\n\r\n");
  if (head_end == std::string::npos) return false;
  constexpr std::string_view kLength = "Content-Length: ";
  const std::size_t at = in.find(kLength);
  std::size_t length = 0;
  if (at == std::string::npos) return true;  // not an answer of ours; told below
  std::from_chars(in.data() + at + kLength.size(), in.data() + head_end, length);
  return in.size() >= head_end + 4 + length;
}

bool as_asked(const std::string& in, const Job& job) {
  const std::string usage = fmt::format("\"completion_tokens\":{},", job.answer_tokens);
  return in.starts_with("HTTP/1.1 200") && in.find(usage) != std::string::npos &&
         (!job.streamed || in.find("data: [DONE]") != std::string::npos);
}

Report fetch(const Job& job, const std::vector<std::string>& requests) {
  std::vector<Connection> connections(requests.size());
  std::vector<pollfd> polled;
  for (Connection& c : connections) {
    c.fd = connect_to(job.port);
    c.in.reserve(1 << 20);
    polled.push_back({c.fd, POLLIN, 0});
  }
  std::vector<char> chunk(1 << 16);
  const double cpu_begin = cpu_s();
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    write_all(connections[i].fd, requests[i].data(), requests[i].size());
  }
  std::size_t open = connections.size();
  while (open > 0) {
    HEARTH_CHECK(::poll(polled.data(), polled.size(), -1) > 0);
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      Connection& c = connections[i];
      const ssize_t count = ::recv(c.fd, chunk.data(), chunk.size(), 0);
      if (count > 0) c.in.append(chunk.data(), static_cast<std::size_t>(count));
      if (count > 0 && !complete(c.in, job.streamed)) continue;
      polled[i].fd = -1;  // no longer looked at
      --open;
    }
  }
  Report report;
  report.wall_s = since(begin);
  report.cpu_s = cpu_s() - cpu_begin;
  for (const Connection& c : connections) {
    if (!as_asked(c.in, job)) ++report.wrong;
    ::close(c.fd);
  }
  return report;
}

int client(int channel) {
  Job job;
  while (read_all(channel, &job, sizeof job)) {
    std::vector<std::string> requests(static_cast<std::size_t>(job.requests));
    for (std::string& request : requests) {
      std::size_t size = 0;
      if (!read_all(channel, &size, sizeof size)) return 1;
      request.resize(size);
      if (!read_all(channel, request.data(), size)) return 1;
    }
    const Report report = fetch(job, requests);
    write_all(channel, &report, sizeof report);
  }
  return 0;
}

// ---- the server's process

class CountingSink final : public engine::EventSink {
 public:
  void on_event(engine::Event event) override {
    const std::lock_guard lock(mutex_);
    if (event.token) ++tokens_;
    if (event.finish) {
      ++finished_;
      ready_.notify_all();
    }
  }
  std::int64_t wait(std::int64_t requests) {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return finished_ == requests; });
    return tokens_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::int64_t tokens_ = 0;
  std::int64_t finished_ = 0;
};

// Different from the first token on, so that no cache of prefixes could help.
std::vector<std::vector<engine::TokenId>> make_prompts(const text::Tokenizer& tokenizer,
                                                       const Options& options) {
  constexpr std::string_view kText =
      "The harbour was quiet when the first boats came in. Men carried baskets of fish up the "
      "stone steps, and the women who kept the stalls counted them twice. A boy with a red cap "
      "asked what the sea had been like, and nobody answered him at first. ";
  std::vector<std::vector<engine::TokenId>> prompts;
  for (int i = 0; i < options.requests; ++i) {
    std::string text = fmt::format("{} is the number of this story. ", 1000 + 37 * i);
    std::vector<engine::TokenId> ids;
    while (std::ssize(ids) < options.prompt_tokens) {
      text += kText;
      const text::TextPiece piece{text};
      ids = tokenizer.encode({&piece, 1}, true);
    }
    ids.resize(static_cast<std::size_t>(options.prompt_tokens));
    prompts.push_back(std::move(ids));
  }
  return prompts;
}

std::string http_request(const std::vector<engine::TokenId>& prompt, const Options& options,
                         bool streamed) {
  OrderedJson body = {{"prompt", prompt},
                      {"max_tokens", options.answer_tokens},
                      {"temperature", 0},
                      {"ignore_eos", true}};
  if (streamed) {
    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
  }
  const std::string text = dump_json(body);
  return fmt::format(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\n\r\n{}",
      text.size(), text);
}

class Bench {
 public:
  Bench(const Options& options, engine::Engine& engine, const text::Tokenizer& tokenizer,
        LaterThreads& front, std::uint16_t port, int channel)
      : options_(options),
        engine_(engine),
        front_(front),
        prompts_(make_prompts(tokenizer, options)),
        port_(port),
        channel_(channel) {}

  Result<Measured> run(Way way) { return way == Way::kDirect ? direct() : http(way); }

 private:
  Result<Measured> direct() {
    const auto sink = std::make_shared<CountingSink>();
    std::vector<engine::GenerateRequest> requests;
    for (std::size_t i = 0; i < prompts_.size(); ++i) {
      engine::GenerateRequest request;
      request.id = (engine::RequestId{1} << 62) + i;  // the server counts from 1
      request.prompt = prompts_[i];
      request.max_tokens = options_.answer_tokens;
      request.ignore_eos = true;
      requests.push_back(std::move(request));
    }
    Measured measured;
    const double cpu_begin = front_.cpu_s();
    const auto begin = std::chrono::steady_clock::now();
    for (auto& request : requests) HEARTH_TRY_VOID(engine_.submit(std::move(request), sink));
    const std::int64_t tokens = sink->wait(options_.requests);
    measured.wall_s = since(begin);
    measured.front_cpu_s = front_.cpu_s() - cpu_begin;
    if (tokens != std::int64_t{options_.requests} * options_.answer_tokens) {
      return fail(ErrorKind::kInternal, "wrong_answers", "the engine made {} tokens", tokens);
    }
    return measured;
  }

  Result<Measured> http(Way way) {
    const bool streamed = way == Way::kStreamed;
    const Job job{port_, streamed, options_.requests, options_.answer_tokens};
    write_all(channel_, &job, sizeof job);
    const double cpu_begin = front_.cpu_s();
    for (const auto& prompt : prompts_) {
      const std::string request = http_request(prompt, options_, streamed);
      const std::size_t size = request.size();
      write_all(channel_, &size, sizeof size);
      write_all(channel_, request.data(), size);
    }
    Report report;
    if (!read_all(channel_, &report, sizeof report)) {
      return fail(ErrorKind::kInternal, "client_gone", "the client's process has ended");
    }
    if (report.wrong != 0) {
      return fail(ErrorKind::kInternal, "wrong_answers", "{} answers are wrong", report.wrong);
    }
    return Measured{way, report.wall_s, front_.cpu_s() - cpu_begin, report.cpu_s};
  }

  const Options& options_;
  engine::Engine& engine_;
  LaterThreads& front_;
  const std::vector<std::vector<engine::TokenId>> prompts_;
  const std::uint16_t port_;
  const int channel_;
};

struct Spread {
  double median = 0, least = 0, most = 0;
};
Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  const double middle =
      values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {middle, values.front(), values.back()};
}

// `runs` in order of time; each run over HTTP stands between two of the engine alone. The lower of
// the two ways' median shares of those, in percent.
double print_report(const Options& options, const std::vector<Measured>& runs) {
  const double tokens = options.requests * static_cast<double>(options.answer_tokens);
  const double n = options.requests;
  struct Row {
    std::vector<double> rates, ratios, front_us, client_us;
  };
  Row rows[3];
  for (std::size_t i = 0; i < runs.size(); ++i) {
    Row& row = rows[static_cast<std::size_t>(runs[i].way)];
    row.rates.push_back(n / runs[i].wall_s);
    row.front_us.push_back(runs[i].front_cpu_s / tokens * 1e6);
    row.client_us.push_back(runs[i].client_cpu_s / tokens * 1e6);
    if (runs[i].way == Way::kDirect) continue;
    const double beside_s = (runs[i - 1].wall_s + runs[i + 1].wall_s) / 2;
    row.ratios.push_back(100 * beside_s / runs[i].wall_s);
  }
  const Spread direct = spread(rows[0].rates);
  constexpr const char* kNames[] = {"engine", "HTTP", "HTTP, streamed"};
  fmt::print("{:<15}{:>22}{:>11}{:>30}{:>17}{:>18}\n", "", "requests/s", "of engine",
             "beside the runs next to it", "front, us/token", "client, us/token");
  double lower = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < 3; ++i) {
    const Spread s = spread(rows[i].rates);
    std::string ratio;
    if (i > 0) {
      const Spread r = spread(rows[i].ratios);
      lower = std::min(lower, r.median);
      ratio = fmt::format("{:.1f} % ({:.1f}-{:.1f})", r.median, r.least, r.most);
    }
    fmt::print("{:<15}{:>22}{:>11}{:>30}{:>17.1f}{:>18.1f}\n", kNames[i],
               fmt::format("{:.2f} ({:.2f}-{:.2f})", s.median, s.least, s.most),
               fmt::format("{:.1f} %", 100 * s.median / direct.median), ratio,
               spread(rows[i].front_us).median, spread(rows[i].client_us).median);
  }
  return lower;
}

Status bench(const Options& options, int channel) {
  LaterThreads front;
  HEARTH_TRY_VOID(apps::lock_in({options.model}, {}, apps::Network::kListens));
  engine::EngineReaper engines;
  HEARTH_TRY(api::ServedModel model, apps::load_served(options, engines));
  front.ignore_present();
  if (!model.tokenizer) return invalid("no_tokenizer", "the model has no tokenizer");
  const auto engine = model.engine;
  const auto tokenizer = model.tokenizer;
  std::vector<api::ServedModel> models;
  models.push_back(std::move(model));
  api::App app(std::move(models), {});
  net::ServerOptions server_options;
  server_options.port = 0;
  server_options.handle_signals = false;
  net::Server server(server_options, app.handler());
  HEARTH_TRY_VOID(server.listen());
  std::thread serving([&] { server.run(); });

  Bench bench(options, *engine, *tokenizer, front, server.port(), channel);
  std::vector<Measured> runs;
  Status status;
  const auto run = [&](Way way, bool counts) {
    if (!status) return;
    const Result<Measured> one = bench.run(way);
    if (!one) {
      status = tl::unexpected(one.error());
    } else if (counts) {
      runs.push_back(*one);
    }
  };
  for (int round = -1; round < options.rounds; ++round) {  // the first one warms up
    for (const Way way : {Way::kWhole, Way::kStreamed}) {
      run(Way::kDirect, round >= 0);
      run(way, round >= 0);
    }
  }
  run(Way::kDirect, true);
  server.stop();
  serving.join();
  HEARTH_TRY_VOID(status);
  fmt::print("{}: {} requests of {} + {} tokens, {} rounds: median (least-most)\n",
             cpu_model_name(), options.requests, options.prompt_tokens, options.answer_tokens,
             options.rounds);
  const double share = print_report(options, runs);
  if (share < options.least) {
    return fail(ErrorKind::kExhausted, "too_slow",
                "{:.1f} % of the engine's requests, at least {} % wanted", share, options.least);
  }
  return {};
}

int run(int argc, char** argv) {
  Options options;
  options.model = "smollm2";
  options.prefix_cache_mib = 0;  // the rounds have the same prompts
  CLI::App root("The same requests, directly to the engine and over HTTP");
  root.add_option("MODEL", options.model, "A .gguf file, a Hugging Face folder or a name");
  apps::add_model_options(root, options, false);
  root.add_option("--requests", options.requests, "At once")->check(CLI::Range(1, 64));
  root.add_option("--prompt", options.prompt_tokens, "Tokens of a prompt")
      ->check(CLI::Range(1, 4096));
  root.add_option("--answer", options.answer_tokens, "Tokens of an answer")
      ->check(CLI::Range(1, 4096));
  root.add_option("--rounds", options.rounds, "Of each way")->check(CLI::Range(1, 1000));
  root.add_option(
          "--least", options.least,
          "Exit with 1 if either way's median has a smaller share of the engine's, in percent")
      ->check(CLI::Range(0, 1000));
  CLI11_PARSE(root, argc, argv);
  log::init("warn");

  // Before there are threads.
  int channel[2];
  HEARTH_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) == 0);
  const pid_t child = ::fork();
  HEARTH_CHECK(child >= 0);
  if (child == 0) {
    ::close(channel[0]);
    _exit(client(channel[1]));
  }
  ::close(channel[1]);
  const Status status = bench(options, channel[0]);
  ::close(channel[0]);
  ::waitpid(child, nullptr, 0);
  if (!status) {
    fmt::print(stderr, "server_cost: {}\n", status.error().message);
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) { return hearth::run(argc, argv); }

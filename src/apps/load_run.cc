#include "apps/load_run.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "base/json.h"

namespace hearth::apps {
namespace {

using net::LoadTime;
using std::chrono::nanoseconds;
using Seconds = std::chrono::duration<double>;

constexpr std::chrono::seconds kPauseDefault{1};
constexpr std::chrono::seconds kPauseMax{60};
constexpr std::int64_t kRequestsPerRetry = 10;
constexpr std::uint64_t kPauseStream = 100;  // none of the plan's

LoadTime now() { return std::chrono::steady_clock::now(); }

// The requests [first, first + count), until all have ended or a signal comes.
class Phase {
 public:
  Phase(net::LoadClient& client, const LoadPlan& plan, const LoadRunOptions& options)
      : client_(client),
        plan_(plan),
        options_(options),
        pauses_(options.seed, kPauseStream, 0),
        report_(options.targets) {}

  LoadResult run(std::uint64_t first, std::int64_t count, bool open_loop, bool warmup);

 private:
  class Exchange;

  std::string body_of(std::uint64_t number) const;
  void begin_next();
  void send(std::uint64_t number);
  void arrive();
  void tick(bool warmup);
  void answered(std::uint64_t number, const net::LoadHead& head, const Status& status,
                std::string_view document, AnswerReader& reader, LoadTime sent, LoadTime ended);
  void refused(std::uint64_t number, const net::LoadHead& head, const std::string& message);
  // True: that was the last one.
  bool ended_one();
  nanoseconds pause(const net::LoadHead& head);

  net::LoadClient& client_;
  const LoadPlan& plan_;
  const LoadRunOptions& options_;
  ChunkParser parser_;
  LoadRandom pauses_;
  LoadReport report_;
  std::uint64_t first_ = 0;
  std::int64_t count_ = 0;
  bool open_loop_ = false;
  std::int64_t begun_ = 0, ended_ = 0, open_ = 0;
  std::int64_t waiting_ = 0;   // arrived, over the limit of clients
  std::int64_t arrivals_ = 0;  // so far
  LoadTime start_, next_arrival_;
  bool interrupted_ = false;
};

class Phase::Exchange final : public net::LoadExchange {
 public:
  Exchange(Phase& phase, std::uint64_t number)
      : phase_(phase), number_(number), reader_(phase.parser_) {}

  void on_sent(LoadTime at) override { sent_ = at; }
  void on_head(const net::LoadHead& head, LoadTime) override { head_ = head; }
  void on_data(std::string_view data, LoadTime at) override { reader_.read(data, at); }
  void on_end(const Status& status, std::string_view document, LoadTime at) override {
    phase_.answered(number_, head_, status, document, reader_, sent_, at);
  }

 private:
  Phase& phase_;
  const std::uint64_t number_;
  AnswerReader reader_;
  net::LoadHead head_;
  LoadTime sent_;
};

std::string Phase::body_of(std::uint64_t number) const {
  PlannedRequest planned = plan_.request(number);
  OrderedJson body;
  body["model"] = options_.model;
  if (options_.api == LoadApi::kChat) {
    body["messages"] =
        OrderedJson::array({{{"role", "user"}, {"content", std::move(planned.prompt)}}});
  } else {
    body["prompt"] = std::move(planned.prompt);
  }
  body["max_tokens"] = planned.max_tokens;
  body["temperature"] = options_.temperature;
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  if (options_.ignore_eos) body["ignore_eos"] = true;
  return dump_json(body);
}

void Phase::send(std::uint64_t number) {
  ++open_;
  const char* path = options_.api == LoadApi::kChat ? "/chat/completions" : "/completions";
  client_.send({options_.prefix + path, body_of(number)},
               std::make_shared<Exchange>(*this, number));
}

void Phase::begin_next() {
  if (begun_ < count_) send(first_ + static_cast<std::uint64_t>(begun_++));
}

void Phase::arrive() {
  if (++arrivals_ < count_) {
    next_arrival_ += plan_.gap(first_ + static_cast<std::uint64_t>(arrivals_));
    client_.at(next_arrival_, [this] { arrive(); });
  }
  if (options_.clients > 0 && open_ >= options_.clients) {
    ++waiting_;
  } else {
    begin_next();
  }
}

void Phase::tick(bool warmup) {
  client_.at(now() + std::chrono::seconds(1), [this, warmup] { tick(warmup); });
  options_.progress({report_, count_, open_, Seconds(now() - start_).count(), warmup});
}

void Phase::answered(std::uint64_t number, const net::LoadHead& head, const Status& status,
                     std::string_view document, AnswerReader& reader, LoadTime sent,
                     LoadTime ended) {
  --open_;
  if (interrupted_) return;  // counted as unfinished
  if (status && (head.status == 429 || head.status == 503)) {
    refused(number, head, describe_answer(head, document));
    return;
  }
  const bool stream = net::to_lower(head.content_type).starts_with("text/event-stream");
  if (!status) {
    report_.add_error(status.error().message);
  } else if (head.status != 200 || !stream) {
    report_.add_error(describe_answer(head, document));
  } else if (const auto sample = reader.finish(sent, ended)) {
    report_.add(*sample);
  } else {
    report_.add_error(sample.error().message);
  }
  if (ended_one()) return;
  if (!open_loop_) {
    begin_next();
  } else if (waiting_ > 0) {
    --waiting_;
    begin_next();
  }
}

void Phase::refused(std::uint64_t number, const net::LoadHead& head, const std::string& message) {
  if (open_loop_) {
    report_.add_refusal(message);
    if (!ended_one() && waiting_ > 0) {
      --waiting_;
      begin_next();
    }
    return;
  }
  if ((report_.retries() + 1) * kRequestsPerRetry <= begun_) {
    report_.add_retry(message);
    client_.at(now() + pause(head), [this, number] { send(number); });
    return;
  }
  report_.add_refusal(message);
  if (!ended_one()) client_.at(now() + pause(head), [this] { begin_next(); });
}

bool Phase::ended_one() {
  if (++ended_ < count_) return false;
  report_.set_seconds(Seconds(now() - start_).count());
  client_.stop();
  return true;
}

nanoseconds Phase::pause(const net::LoadHead& head) {
  const Seconds told =
      std::clamp(head.retry_after.value_or(kPauseDefault), std::chrono::seconds(0), kPauseMax);
  return std::chrono::duration_cast<nanoseconds>(told * (0.5 + pauses_.uniform()));
}

LoadResult Phase::run(std::uint64_t first, std::int64_t count, bool open_loop, bool warmup) {
  first_ = first;
  count_ = count;
  open_loop_ = open_loop;
  client_.on_signal([this] {
    if (interrupted_) return;
    interrupted_ = true;
    report_.add_unfinished(begun_ - ended_);
    report_.set_seconds(Seconds(now() - start_).count());
    client_.stop();
  });
  start_ = next_arrival_ = now();
  if (options_.progress) client_.at(start_ + std::chrono::seconds(1), [=, this] { tick(warmup); });
  if (open_loop) {
    arrive();
  } else {
    for (std::int64_t i = 0; i < options_.clients; ++i) begin_next();
  }
  client_.run();
  client_.on_signal({});
  return {std::move(report_), interrupted_};
}

class Lookup final : public net::LoadExchange {
 public:
  explicit Lookup(net::LoadClient& client) : client_(client) {}
  void on_head(const net::LoadHead& told, LoadTime) override { head = told; }
  void on_end(const Status& ended, std::string_view text, LoadTime) override {
    status = ended;
    document = text;
    client_.stop();
  }
  net::LoadHead head;
  Status status;
  std::string document;

 private:
  net::LoadClient& client_;
};

}  // namespace

Result<LoadResult> run_load(net::LoadClient& client, const LoadPlan& plan,
                            const LoadRunOptions& options) {
  HEARTH_CHECK(options.requests > 0 && (options.clients > 0 || options.open_loop));
  if (options.warmup > 0) {
    // Prompts of their own, numbered behind the others; one after the other where the clients are
    // not counted.
    LoadRunOptions closed = options;
    if (closed.clients == 0) closed.clients = 1;
    Phase phase(client, plan, closed);
    const LoadResult warm = phase.run(static_cast<std::uint64_t>(options.requests), options.warmup,
                                      /*open_loop=*/false, /*warmup=*/true);
    if (warm.interrupted) return LoadResult{LoadReport(options.targets), true};
    if (warm.report.succeeded() == 0 && warm.report.errors() > 0)
      return fail(ErrorKind::kIo, "warmup_failed", "{}", warm.report.first_failure());
  }
  Phase phase(client, plan, options);
  return phase.run(0, options.requests, options.open_loop, /*warmup=*/false);
}

Result<std::string> first_model(net::LoadClient& client, const std::string& prefix) {
  const auto lookup = std::make_shared<Lookup>(client);
  client.on_signal([&] { client.stop(); });
  client.send({prefix + "/models", ""}, lookup);
  client.run();
  client.on_signal({});
  if (!lookup->status) return tl::unexpected<Error>(lookup->status.error());
  return first_model_in(lookup->head, lookup->document);
}

}  // namespace hearth::apps

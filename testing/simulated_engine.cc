#include "testing/simulated_engine.h"

#include <algorithm>

#include "base/clock.h"

namespace hearth::testing {

using engine::Event;
using engine::FinishReason;

namespace {

Script letters(const engine::GenerateRequest& request, int choice) {
  std::uint64_t state = 0x9e3779b97f4a7c15u + static_cast<std::uint64_t>(choice);
  for (const engine::TokenId id : request.prompt) {
    state = (state ^ static_cast<std::uint64_t>(id)) * 0x100000001b3u;
  }
  Script script;
  script.finish = FinishReason::kLength;
  for (std::int32_t i = 0; i < request.max_tokens; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    script.tokens.push_back(static_cast<engine::TokenId>('a' + (state >> 33) % 26));
  }
  return script;
}

}  // namespace

SimulatedEngine::SimulatedEngine(SimulatedOptions options)
    : options_(std::move(options)), thread_([this] { run(); }) {}

SimulatedEngine::~SimulatedEngine() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Status SimulatedEngine::submit(engine::GenerateRequest request,
                               std::shared_ptr<engine::EventSink> sink) {
  if (request.prompt.empty()) return invalid("invalid_prompt", "the prompt is empty");
  if (static_cast<std::int64_t>(request.prompt.size()) + 1 > options_.limits.context) {
    return invalid("context_length_exceeded", "the prompt is too long");
  }
  {
    const std::lock_guard lock(mutex_);
    if (static_cast<std::int64_t>(running_.size()) >= options_.limits.queue_requests) {
      return fail(ErrorKind::kExhausted, "queue_full", "the queue is full");
    }
    for (int choice = 0; choice < request.choices; ++choice) {
      Running running;
      running.request = request.id;
      if (request.embed) {
        // Direction and length both follow from the prompt.
        running.embedding = {static_cast<float>(request.prompt.size()),
                             static_cast<float>(request.prompt.front()), 2.f, -1.f};
      }
      running.choice = choice;
      running.script =
          options_.script ? options_.script(request, choice) : letters(request, choice);
      running.max_tokens = request.max_tokens;
      running.top_logprobs = request.sampling.top_logprobs;
      running.sink = sink;
      running_.push_back(std::move(running));
    }
    stats_.prompt_tokens += static_cast<std::int64_t>(request.prompt.size());
    last_ = std::move(request);
    ++submitted_;
  }
  changed_.notify_all();
  return {};
}

void SimulatedEngine::cancel(engine::RequestId id) {
  const std::lock_guard lock(mutex_);
  for (Running& running : running_) {
    if (running.request == id) running.cancelled = true;
  }
}

void SimulatedEngine::cancel_choice(engine::RequestId id, std::int32_t choice) {
  const std::lock_guard lock(mutex_);
  for (Running& running : running_) {
    if (running.request == id && running.choice == choice) running.cancelled = true;
  }
}

engine::EngineStats SimulatedEngine::stats() const {
  const std::lock_guard lock(mutex_);
  engine::EngineStats stats = stats_;
  stats.running = static_cast<std::int64_t>(running_.size());
  stats.healthy = healthy_;
  return stats;
}

engine::GenerateRequest SimulatedEngine::last_request() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

bool SimulatedEngine::wait_idle(std::chrono::milliseconds at_most) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, at_most, [&] { return running_.empty(); });
}

bool SimulatedEngine::step(Running& running, Event& event) {
  event.request = running.request;
  event.choice = running.choice;
  event.made_ns = Clock::system().now().time_since_epoch().count();
  if (running.cancelled || stop_) {
    ++cancelled_choices_;
    event.finish = FinishReason::kCancelled;
    return true;
  }
  if (!running.embedding.empty() && !running.script.error) {
    event.embedding = running.embedding;
    event.finish = FinishReason::kStop;
  } else if (running.next < running.script.tokens.size()) {
    const engine::TokenId id = running.script.tokens[running.next++];
    engine::TokenOut token;
    token.id = id;
    if (running.top_logprobs >= 0) {
      token.logprob = -0.5f;
      for (int i = 0; i < running.top_logprobs; ++i) {
        token.top.push_back({(id + i) % 256, -0.5f - static_cast<float>(i)});
      }
    }
    event.token = std::move(token);
    ++stats_.generated_tokens;
    if (static_cast<std::int32_t>(running.next) < running.max_tokens) return false;
    event.finish = FinishReason::kLength;
  } else {
    event.finish = running.script.finish;
    event.error = running.script.error;
  }
  event.timings = {1'000'000, 2'000'000, 3'000'000};
  return true;
}

void SimulatedEngine::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || !running_.empty(); });
    if (running_.empty()) return;
    if (!running_.back().prefilled) {
      for (Running& running : running_) running.prefilled = true;
      lock.unlock();
      std::this_thread::sleep_for(options_.prefill);
      lock.lock();
    }
    std::vector<std::pair<std::shared_ptr<engine::EventSink>, Event>> events;
    stats_.steps.add(static_cast<std::int64_t>(running_.size()));
    for (std::size_t i = 0; i < running_.size();) {
      Event event;
      const bool last = step(running_[i], event);
      events.emplace_back(running_[i].sink, std::move(event));
      if (last) {
        running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
    lock.unlock();
    for (auto& [sink, event] : events) sink->on_event(std::move(event));
    events.clear();
    if (options_.step.count() > 0) std::this_thread::sleep_for(options_.step);
    changed_.notify_all();  // wait_idle
    lock.lock();
  }
}

}  // namespace hearth::testing

#include "engine/engine_core.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <span>
#include <utility>

#include "base/fault_point.h"
#include "base/log.h"

namespace hearth::engine {

EngineCore::EngineCore(std::unique_ptr<KvPool> pool, std::unique_ptr<Runner> runner,
                       CoreOptions options, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      pool_(std::move(pool)),
      runner_(std::move(runner)),
      scheduler_(*pool_, options_.scheduler),
      speculation_(options_.drafter) {
  stats_.limits = options_.limits.value_or(
      LiveLimits{options_.scheduler.running_max, options_.scheduler.batch_tokens_max});
  scheduler_.set_limits(stats_.limits);
}

void EngineCore::submit(std::shared_ptr<RequestState> state) {
  auto sequence = std::make_unique<Sequence>();
  sequence->tokens = state->request.prompt;
  sequence->prompt_size = static_cast<std::int64_t>(sequence->tokens.size());
  sequence->pages = pool_->make_table();
  if (has_penalties(state->request.sampling))
    for (TokenId id : sequence->tokens) sequence->history.tokens.try_emplace(id);
  sequence->owner = std::move(state);
  scheduler_.add(std::move(sequence));
}

void EngineCore::cancel(RequestId id, std::int32_t choice) {
  for (Sequence* s : scheduler_.all()) {
    if (s->owner->request.id != id) continue;
    // Before the prompt is computed there is one sequence for all choices: it goes on for the
    // others.
    if (choice >= 0 && !s->forked && s->choice == 0 && s->owner->request.choices > 1) {
      s->owner->cancelled_early.push_back(choice);
      return;
    }
    if (choice >= 0 && s->choice != choice) continue;
    finish(*s, FinishReason::kCancelled, std::nullopt, std::nullopt, now_ns());
  }
}

void EngineCore::expire(std::int64_t now) {
  for (Sequence* s : scheduler_.all()) {
    const std::int64_t deadline = s->owner->request.deadline_ns;
    if (deadline > 0 && now >= deadline)
      finish(*s, FinishReason::kError,
             Error{ErrorKind::kTimeout, "deadline_exceeded", "the request's time is over"},
             std::nullopt, now);
  }
}

void EngineCore::plan() {
  expire(now_ns());
  planned_ = scheduler_.plan();
  if (options_.speculate)
    speculation_.propose(planned_, std::min(options_.scheduler.batch_tokens_max, kPassRows),
                         options_.context, cost_, scheduler_);
}

void EngineCore::compute(const std::function<bool()>& interrupted) {
  const std::vector<Slice> slices = std::move(planned_);
  planned_.clear();
  if (slices.empty()) return;
  if (FAULT_POINT("engine.step")) throw std::bad_alloc();
  const std::int64_t begun = now_ns();
  if (period_begun_ns_ == 0) period_begun_ns_ = begun;
  for (const Slice& s : slices)
    if (s.sequence->started_ns == 0) s.sequence->started_ns = begun;
  const std::int64_t streams = std::count_if(
      slices.begin(), slices.end(), [](const Slice& s) { return s.sequence->missing() == 1; });
  const double streams_s = streams > 0 ? cost_.seconds(streams) : 0;

  // A pass at a time; a long slice continues in the next pass, on the pages it has filled so far.
  const std::int64_t rows_before = stats_.work.rows;
  std::vector<Sampled> sampled;
  std::vector<Slice> pass;
  std::int64_t rows = 0;
  double prompt_rows = 0;
  bool stop = false;
  const auto run = [&] {
    if (pass.empty()) return;
    for (const Slice& s : pass)
      if (s.sequence->missing() > 1) prompt_rows += scheduler_.prompt_rows_of(s);
    run_pass(pass, sampled);
    pass.clear();
    rows = 0;
    stop = interrupted() || now_ns() - begun >= kStepNs;
  };
  for (Slice s : slices) {
    while (s.rows > 0 && !stop) {
      const std::int64_t n = std::min(s.rows, kPassRows - rows);
      pass.push_back({s.sequence, n});
      rows += n;
      s.rows -= n;
      if (rows == kPassRows) run();
    }
  }
  run();
  stats_.steps.add(stats_.work.rows - rows_before);
  const std::int64_t now = now_ns();
  note_step(streams, prompt_rows);
  if (streams > 0 && prompt_rows > 0) {
    mixed_rows_ += prompt_rows;
    mixed_s_ += std::max(0.0, static_cast<double>(now - begun) / 1e9 - streams_s);
  }
  accept_all(sampled, now);
  pool_->clean(kCleanBytes);
  if (now - period_begun_ns_ >= kPeriodNs) end_period(now);
}

void EngineCore::run_pass(const std::vector<Slice>& pass, std::vector<Sampled>& sampled) {
  const std::size_t sampled_before = sampled.size();
  const std::int64_t begun = now_ns();
  runner_->run(pass, *pool_, sampled);
  const std::int64_t taken = now_ns() - begun;
  std::int64_t rows = 0;
  for (const Slice& slice : pass) {
    stats_.work.kv_bytes += pool_->bytes_seen(slice.sequence->computed);
    rows += slice.rows;
    if (slice.finishes()) rows += static_cast<std::int64_t>(slice.sequence->drafts.size());
    if (slice.sequence->generated() == 0) stats_.prompt_tokens += slice.rows;
    scheduler_.advance(slice);
  }
  cost_.add(rows, static_cast<double>(taken) / 1e9);
  ++stats_.work.passes;
  stats_.work.rows += rows;
  stats_.work.logit_rows += static_cast<std::int64_t>(sampled.size() - sampled_before);
  stats_.work.busy_ns += taken;
}

// Of a sequence's samples the first always counts, and each further one if what it was guessed to
// come after is what has come: just what steps of one token each would have given.
void EngineCore::accept_all(const std::vector<Sampled>& sampled, std::int64_t now) {
  for (std::size_t i = 0; i < sampled.size();) {
    Sequence& s = *sampled[i].sequence;
    const std::vector<TokenId> drafts = std::exchange(s.drafts, {});
    const std::span<const Sampled> rows = std::span(sampled).subspan(i, 1 + drafts.size());
    i += rows.size();
    stats_.drafts += static_cast<std::int64_t>(drafts.size());
    // A guess can make NaN of the rows before it as well, as they are computed on the same pages:
    // from the first such row on they are computed again, without guesses.
    const auto spoilt = [&](std::size_t row) {
      if (drafts.empty() || rows[row].token >= 0) return false;
      s.may_guess = false;
      return true;
    };
    if (spoilt(0)) {
      scheduler_.take_back(s);
      continue;
    }
    const std::int64_t last = s.last_token_ns;
    const std::size_t draft_class = s.draft_class;
    bool alive = accept(rows[0], now);
    std::size_t accepted = 0;
    while (alive && accepted < drafts.size() && s.tokens.back() == drafts[accepted] &&
           !spoilt(accepted + 1)) {
      scheduler_.advance({&s, 1});
      alive = accept(rows[++accepted], now);
    }
    const auto right = static_cast<std::int64_t>(accepted);
    if (last > 0) period_.token_intervals.add((now - last) / (right + 1), right + 1);
    if (drafts.empty()) continue;
    speculation_.learn(draft_class, alive ? &s : nullptr, static_cast<std::int64_t>(drafts.size()),
                       right);
    stats_.drafts_accepted += right;
  }
}

// False: the sequence is gone.
bool EngineCore::accept(const Sampled& sampled, std::int64_t now) {
  Sequence& s = *sampled.sequence;
  const GenerateRequest& request = s.owner->request;
  if (sampled.token < 0) {
    log::error("request {}: logits are not finite", request.trace_id);
    finish(s, FinishReason::kError,
           Error{ErrorKind::kInternal, "numeric_error", "the model's output is not finite"},
           std::nullopt, now);
    return false;
  }
  // Not before its numbers are known to be good.
  pool_->publish(request.tenant_salt,
                 std::span(s.tokens).first(static_cast<std::size_t>(s.computed)), s.pages);
  if (s.first_token_ns == 0) {
    s.first_token_ns = now;
    period_.first_tokens.add(now - s.owner->submitted_ns);
  }
  s.last_token_ns = now;
  if (request.embed) {
    finish(s, FinishReason::kStop, std::nullopt, std::nullopt, now, sampled.embedding);
    return false;
  }
  if (s.choice == 0 && !s.forked && request.choices > 1) {
    fork_choices(s);
    const std::shared_ptr<RequestState> owner = s.owner;
    const auto& early = owner->cancelled_early;
    if (!early.empty()) finish_cancelled_early(owner, now);
    if (std::find(early.begin(), early.end(), 0) != early.end())
      return false;  // `s` itself is gone
  }
  ++stats_.generated_tokens;
  const auto& eos = options_.eos;
  if (!request.ignore_eos && std::find(eos.begin(), eos.end(), sampled.token) != eos.end()) {
    finish(s, FinishReason::kStop, std::nullopt, std::nullopt, now);
    return false;
  }
  s.tokens.push_back(sampled.token);
  if (has_penalties(request.sampling)) ++s.history.tokens[sampled.token].in_output;
  if (s.generated() >= request.max_tokens ||
      static_cast<std::int64_t>(s.tokens.size()) >= options_.context) {
    finish(s, FinishReason::kLength, std::nullopt, sampled.out, now);
    return false;
  }
  Event event;
  event.request = request.id;
  event.choice = s.choice;
  event.token = sampled.out;
  event.made_ns = now;
  s.owner->sink->on_event(std::move(event));
  return true;
}

void EngineCore::fork_choices(Sequence& origin) {
  origin.forked = true;
  // Front to back, so that a full batch leaves them waiting in order.
  for (std::int32_t choice = origin.owner->request.choices - 1; choice > 0; --choice) {
    auto fork = std::make_unique<Sequence>();
    fork->owner = origin.owner;
    fork->choice = choice;
    fork->tokens.assign(origin.tokens.begin(), origin.tokens.begin() + origin.prompt_size);
    fork->prompt_size = origin.prompt_size;
    fork->history = origin.history;
    fork->pages = pool_->make_table();
    fork->started_ns = origin.started_ns;
    scheduler_.add_fork(std::move(fork), origin);
  }
}

void EngineCore::finish_cancelled_early(const std::shared_ptr<RequestState>& owner,
                                        std::int64_t now) {
  for (Sequence* s : scheduler_.all()) {
    const auto& early = owner->cancelled_early;
    if (s->owner == owner && std::find(early.begin(), early.end(), s->choice) != early.end())
      finish(*s, FinishReason::kCancelled, std::nullopt, std::nullopt, now);
  }
}

void EngineCore::finish(Sequence& sequence, FinishReason reason, std::optional<Error> error,
                        std::optional<TokenOut> token, std::int64_t now,
                        std::vector<float> embedding) {
  const std::unique_ptr<Sequence> taken = scheduler_.remove(&sequence);
  HEARTH_CHECK(taken != nullptr);
  speculation_.forget(*taken);
  RequestState& owner = *taken->owner;
  Event event;
  event.request = owner.request.id;
  event.choice = taken->choice;
  event.token = std::move(token);
  event.embedding = std::move(embedding);
  event.finish = reason;
  event.error = std::move(error);
  event.made_ns = now;
  const std::int64_t started = taken->started_ns ? taken->started_ns : now;
  const std::int64_t first = taken->first_token_ns ? taken->first_token_ns : now;
  event.cached_tokens = static_cast<std::int32_t>(taken->cached);
  event.timings = {started - owner.submitted_ns, first - started, now - first};
  // Choices that were never forked end the same way.
  std::int32_t ended = 1;
  if (taken->choice == 0 && !taken->forked) ended = owner.request.choices;
  owner.open_choices -= ended;
  // Before the last event: whoever hears it may ask again at once.
  if (owner.open_choices == 0) on_request_end(now);
  for (std::int32_t i = 1; i < ended; ++i) {
    Event other = event;
    other.choice = i;
    other.token.reset();
    owner.sink->on_event(std::move(other));
  }
  owner.sink->on_event(std::move(event));
}

void EngineCore::end_all(FinishReason reason, const std::optional<Error>& error) {
  for (Sequence* s : scheduler_.all()) finish(*s, reason, error, std::nullopt, now_ns());
}

void EngineCore::note_step(std::int64_t streams, double prompt_rows) {
  if (streams > 0)
    period_.prompt_rows_most =
        std::max(period_.prompt_rows_most, static_cast<std::int64_t>(std::ceil(prompt_rows)));
  streams_most_ = std::max(streams_most_, streams);
  period_.running_most = std::max(period_.running_most, scheduler_.running());
  period_.pages_used_most =
      std::max(period_.pages_used_most, static_cast<double>(pool_->pages_used()) /
                                            static_cast<double>(pool_->pages_total()));
}

void EngineCore::end_period(std::int64_t now) {
  period_.seconds = static_cast<double>(now - period_begun_ns_) / 1e9;
  period_.work = stats_.work.since(work_before_);
  if (period_.seconds > 0)
    period_.utilisation = {options_.unit_times.arithmetic_s(period_.work) / period_.seconds,
                           options_.unit_times.reading_s(period_.work) / period_.seconds,
                           static_cast<double>(period_.work.busy_ns) / 1e9 / period_.seconds};
  stats_.utilisation = period_.utilisation;
  period_.preemptions = scheduler_.preemptions() - preemptions_before_;
  period_.waiting = scheduler_.waiting();
  // Who has waited all the while counts as if he were served now: else nobody would learn of it.
  for (const Sequence* s : scheduler_.all())
    if (s->first_token_ns == 0 && s->owner->submitted_ns <= period_begun_ns_)
      period_.first_tokens.add(now - s->owner->submitted_ns);
  if (streams_most_ > 0 && mixed_rows_ > 0) {
    period_.decode_step_s = cost_.seconds(streams_most_);
    period_.prompt_row_s = mixed_s_ / mixed_rows_;
  }
  if (options_.tune) {
    const Tuning tuning = options_.tune(period_);
    stats_.limits = tuning.limits;
    ++stats_.tunings[tuning.reason];
    scheduler_.set_limits(tuning.limits);
  }
  period_ = {};
  streams_most_ = 0;
  mixed_rows_ = mixed_s_ = 0;
  period_begun_ns_ = now;
  work_before_ = stats_.work;
  preemptions_before_ = scheduler_.preemptions();
}

void EngineCore::fill(EngineStats& stats) const {
  const bool healthy = stats.healthy;
  const std::int64_t pages_total = stats.pages_total;
  stats = stats_;
  stats.healthy = healthy;
  stats.pages_total = pages_total;
  stats.running = scheduler_.running();
  stats.waiting = scheduler_.waiting();
  stats.pages_used = pool_->pages_used();
  stats.pages_kept = pool_->pages_kept();
  stats.prefix_queries = scheduler_.prefix_queries();
  stats.prefix_hits = scheduler_.prefix_hits();
  stats.preemptions = scheduler_.preemptions();
}

}  // namespace hearth::engine

#include "engine/local_engine.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>

#include "base/cpu.h"
#include "base/fault_point.h"
#include "base/log.h"
#include "base/start_thread.h"

namespace hearth::engine {

// A row whose logits were wanted, and what became of it.
struct LocalEngine::Sampled {
  Sequence* sequence = nullptr;
  std::size_t logit_row = 0;
  TokenId token = -1;  // -1: no token could be chosen
  TokenOut out;
  std::vector<float> embedding;
};

namespace {

// Pages per group for a cache of about `bytes`, at least one full context and at most what
// `running_max` full contexts can use.
Result<std::vector<std::int64_t>> page_counts(const model::Model& model, std::int64_t bytes,
                                              std::int64_t context, std::int64_t running_max) {
  const std::int64_t page_tokens = model.backend().page_tokens();
  std::int64_t bytes_per_page = 0;  // of all groups together
  for (const auto& group : model.kv_groups()) bytes_per_page += model.backend().page_bytes(group);
  const std::int64_t least = (context + page_tokens - 1) / page_tokens + 1;
  const std::int64_t pages = std::clamp(bytes / bytes_per_page, least, least * running_max);
  if (least * bytes_per_page > available_memory())
    return fail(ErrorKind::kExhausted, "out_of_memory",
                "a context of {} tokens needs {} MiB for keys and values, {} MiB are available; "
                "use a smaller --ctx",
                context, (least * bytes_per_page) >> 20, available_memory() >> 20);
  return std::vector<std::int64_t>(model.kv_groups().size(), pages);
}

Error engine_failed() {
  return {ErrorKind::kExhausted, "engine_failed", "the engine has failed and is to be restarted"};
}

}  // namespace

Result<std::unique_ptr<LocalEngine>> LocalEngine::create(std::shared_ptr<const model::Model> model,
                                                         const EngineOptions& options,
                                                         const Clock& clock) {
  const std::int64_t context =
      options.context > 0 ? options.context : std::min(model->config().context, kDefaultContextMax);
  const std::int64_t bytes = options.cache_bytes > 0 ? options.cache_bytes : available_memory() / 4;
  std::vector<backend::KvGroupSpec> groups = model->kv_groups();
  HEARTH_TRY(const auto pages, page_counts(*model, bytes, context, options.running_max));
  HEARTH_TRY(auto cache, model->backend().make_cache(groups, pages));
  const std::int64_t kept = options.prefix_cache_bytes >= 0 ? options.prefix_cache_bytes
                                                            : model->backend().weight_bytes();
  auto pool = std::make_unique<KvPool>(std::move(cache), std::move(groups), kept);
  return std::unique_ptr<LocalEngine>(
      new LocalEngine(std::move(model), options, std::move(pool), context, clock));
}

LocalEngine::LocalEngine(std::shared_ptr<const model::Model> model, const EngineOptions& options,
                         std::unique_ptr<KvPool> pool, std::int64_t context, const Clock& clock)
    : model_(std::move(model)),
      clock_(clock),
      accepted_max_(options.queue_requests_max + options.running_max),
      queue_tokens_max_(options.queue_tokens_max),
      on_failure_(options.on_failure),
      pool_(std::move(pool)),
      scheduler_(*pool_, {options.batch_tokens_max, options.running_max, options.admission}) {
  limits_.context = std::min(context, pool_->tokens_max());
  limits_.vocab = model_->config().vocab;
  limits_.queue_requests = options.queue_requests_max;
  for (std::size_t g = 0; g < model_->kv_groups().size(); ++g)
    cache_bytes_ += pool_->cache().pages(g) * pool_->cache().page_bytes(g);
  stats_.pages_total = pool_->pages_total();
  thread_ = start_thread([this] { loop(); });
}

LocalEngine::~LocalEngine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

Status LocalEngine::submit(GenerateRequest request, std::shared_ptr<EventSink> sink) {
  const auto size = static_cast<std::int64_t>(request.prompt.size());
  if (size == 0) return invalid("invalid_prompt", "the prompt has no tokens");
  if (size + 1 > limits_.context)
    return invalid("context_length_exceeded",
                   "the prompt has {} tokens; the context holds {} with at least one of the answer",
                   size, limits_.context);
  for (TokenId id : request.prompt)
    if (id < 0 || id >= limits_.vocab)
      return invalid("invalid_prompt", "token {} is not in the vocabulary of {}", id,
                     limits_.vocab);
  HEARTH_CHECK(request.choices >= 1 && request.max_tokens >= 1);
  HEARTH_CHECK(!request.embed || request.choices == 1);

  auto state = std::make_shared<RequestState>();
  state->request = std::move(request);
  state->sink = std::move(sink);
  state->submitted_ns = now_ns();
  state->open_choices = state->request.choices;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return fail(ErrorKind::kExhausted, "shutting_down", "the engine is stopping");
    if (!stats_.healthy) return tl::unexpected<Error>(engine_failed());
    HEARTH_TRY_VOID(check_queue(size));
    ++accepted_;
    queued_tokens_ += size;
    mailbox_.push_back(Submit{std::move(state)});
  }
  wake_.notify_all();
  return {};
}

Status LocalEngine::check_queue(std::int64_t prompt_tokens) const {
  const bool by_tokens = queued_tokens_ + prompt_tokens > queue_tokens_max_;
  if (accepted_ < accepted_max_ && !by_tokens) return {};
  Error full = {ErrorKind::kExhausted, "queue_full",
                by_tokens ? fmt::format("prompts of {} tokens are waiting already", queued_tokens_)
                          : fmt::format("{} requests are waiting or running already", accepted_)};
  full.retry_after_s = rate_.seconds_for(accepted_, now_ns());
  return tl::unexpected<Error>(std::move(full));
}

void LocalEngine::cancel(RequestId id) { post(Cancel{id, -1}); }
void LocalEngine::cancel_choice(RequestId id, std::int32_t choice) { post(Cancel{id, choice}); }

void LocalEngine::post(Message message) {
  {
    const std::lock_guard lock(mutex_);
    if (!stats_.healthy) return;  // everything has ended, and nobody looks any more
    mailbox_.push_back(std::move(message));
  }
  wake_.notify_all();
}

EngineStats LocalEngine::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void LocalEngine::loop() {
  model_->backend().enter_thread();
  try {
    work();
    end_all(FinishReason::kCancelled, std::nullopt);
    return;
  } catch (const std::exception& error) {
    // Memory ran out or a device failed in the middle of a step: what the caches hold is unknown,
    // so nothing that this engine would compute later could be trusted.
    log::error("the engine has failed: {}", error.what());
  }
  {
    const std::lock_guard lock(mutex_);
    stats_.healthy = false;
  }
  end_all(FinishReason::kError, engine_failed());
  if (on_failure_) on_failure_();
}

void LocalEngine::work() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !mailbox_.empty() || !scheduler_.idle(); });
      if (stopping_) return;  // what is in the mailbox is owed an end: end_all
      taken_.swap(mailbox_);
    }
    handle_taken();
    expire(now_ns());
    step();
    publish();
    if (scheduler_.idle()) scheduler_.check_integrity();
  }
}

void LocalEngine::end_all(FinishReason reason, const std::optional<Error>& error) {
  // What was taken but not handled, or is still in the mailbox, has been accepted too.
  handle_taken();
  {
    const std::lock_guard lock(mutex_);
    taken_.swap(mailbox_);
  }
  handle_taken();
  for (Sequence* s : scheduler_.all()) finish(*s, reason, error, std::nullopt, now_ns());
  publish();
}

// A message leaves only once it is handled: should that fail, it is still owed an end.
void LocalEngine::handle_taken() {
  for (; handled_ < taken_.size(); ++handled_) handle(taken_[handled_]);
  taken_.clear();
  handled_ = 0;
}

void LocalEngine::handle(const Message& message) {
  if (const auto* submitted = std::get_if<Submit>(&message)) {
    auto sequence = std::make_unique<Sequence>();
    sequence->owner = submitted->state;
    sequence->tokens = submitted->state->request.prompt;
    sequence->prompt_size = static_cast<std::int64_t>(sequence->tokens.size());
    sequence->pages = pool_->make_table();
    if (has_penalties(submitted->state->request.sampling))
      for (TokenId id : sequence->tokens) sequence->history.tokens.try_emplace(id);
    scheduler_.add(std::move(sequence));
    return;
  }
  const Cancel cancel = std::get<Cancel>(message);
  for (Sequence* s : scheduler_.all()) {
    if (s->owner->request.id != cancel.id) continue;
    // Before the prompt is computed there is one sequence for all choices: it goes on for the
    // others.
    if (cancel.choice >= 0 && !s->forked && s->choice == 0 && s->owner->request.choices > 1) {
      s->owner->cancelled_early.push_back(cancel.choice);
      return;
    }
    if (cancel.choice >= 0 && s->choice != cancel.choice) continue;
    finish(*s, FinishReason::kCancelled, std::nullopt, std::nullopt, now_ns());
  }
}

void LocalEngine::expire(std::int64_t now) {
  for (Sequence* s : scheduler_.all()) {
    const std::int64_t deadline = s->owner->request.deadline_ns;
    if (deadline > 0 && now >= deadline)
      finish(*s, FinishReason::kError,
             Error{ErrorKind::kTimeout, "deadline_exceeded", "the request's time is over"},
             std::nullopt, now);
  }
}

void LocalEngine::step() {
  const std::vector<Slice> slices = scheduler_.plan();
  count_queue();
  if (slices.empty()) return;
  if (FAULT_POINT("engine.step")) throw std::bad_alloc();
  const std::int64_t begun = now_ns();
  std::int64_t step_rows = 0;
  for (const Slice& s : slices) {
    if (s.sequence->started_ns == 0) s.sequence->started_ns = begun;
    step_rows += s.rows;
  }
  steps_.add(step_rows);

  // A pass at a time; a long slice continues in the next pass, on the pages it has filled so far.
  std::vector<Sampled> sampled;
  std::vector<Slice> pass;
  std::int64_t rows = 0;
  for (Slice s : slices) {
    while (s.rows > 0) {
      const std::int64_t n = std::min(s.rows, kPassRows - rows);
      pass.push_back({s.sequence, n});
      rows += n;
      s.rows -= n;
      if (rows == kPassRows) {
        compute(pass, sampled);
        pass.clear();
        rows = 0;
      }
    }
  }
  if (!pass.empty()) compute(pass, sampled);
  const std::int64_t now = now_ns();
  for (const Sampled& s : sampled) accept(s, now);
}

void LocalEngine::compute(const std::vector<Slice>& slices, std::vector<Sampled>& sampled) {
  backend::Batch batch;
  batch.cache = &pool_->cache();
  const std::size_t first_sampled = sampled.size();
  for (const Slice& slice : slices) {
    Sequence& s = *slice.sequence;
    backend::BatchSequence in_batch;
    in_batch.first_row = static_cast<std::int64_t>(batch.tokens.size());
    in_batch.rows = slice.rows;
    in_batch.position = s.computed;
    for (const auto& group : s.pages.groups) in_batch.page_tables.emplace_back(group);
    const auto begin = s.tokens.begin() + s.computed;
    batch.tokens.insert(batch.tokens.end(), begin, begin + slice.rows);
    batch.sequences.push_back(std::move(in_batch));
    if (slice.finishes()) {
      Sampled row;
      row.sequence = &s;
      row.logit_row = batch.logit_rows.size();
      sampled.push_back(std::move(row));
      batch.logit_rows.push_back(static_cast<std::int32_t>(batch.tokens.size()) - 1);
    }
  }
  model_->run(batch);
  for (const Slice& slice : slices) {
    slice.sequence->computed += slice.rows;
    if (slice.sequence->generated() == 0) prompt_tokens_ += slice.rows;
    pool_->trim(slice.sequence->pages, slice.sequence->computed);
  }
  sample_rows(sampled, first_sampled);
}

// Each row on whichever thread is free; what it draws depends on the request alone.
void LocalEngine::sample_rows(std::vector<Sampled>& sampled, std::size_t begin) {
  backend::Backend& backend = model_->backend();
  backend.parallel_for(static_cast<std::int64_t>(sampled.size() - begin), [&](std::int64_t i) {
    Sampled& row = sampled[begin + static_cast<std::size_t>(i)];
    const Sequence& s = *row.sequence;
    const SamplingParams& params = s.owner->request.sampling;
    if (s.owner->request.embed) {
      const std::span<const float> hidden = backend.hidden(row.logit_row);
      row.embedding.assign(hidden.begin(), hidden.end());
      const auto finite = [](float x) { return std::isfinite(x); };
      row.token = std::all_of(hidden.begin(), hidden.end(), finite) ? 0 : -1;
      return;
    }
    const std::span<const float> logits = backend.logits(row.logit_row);
    const auto greedy = static_cast<TokenId>(backend.argmax(logits));
    thread_local std::vector<float> scratch;
    row.token = sample(logits, greedy, params, s.history,
                       uniform_draw(params.seed, s.choice, s.generated()), scratch);
    row.out.id = row.token;
    if (row.token >= 0 && params.top_logprobs >= 0)
      row.out = with_logprobs(logits, row.token, backend.logsumexp(logits), params.top_logprobs);
  });
}

void LocalEngine::accept(const Sampled& sampled, std::int64_t now) {
  Sequence& s = *sampled.sequence;
  const GenerateRequest& request = s.owner->request;
  if (sampled.token < 0) {
    log::error("request {}: logits are not finite", request.trace_id);
    finish(s, FinishReason::kError,
           Error{ErrorKind::kInternal, "numeric_error", "the model's output is not finite"},
           std::nullopt, now);
    return;
  }
  // Not before its numbers are known to be good.
  pool_->publish(request.tenant_salt,
                 std::span(s.tokens).first(static_cast<std::size_t>(s.computed)), s.pages);
  if (s.first_token_ns == 0) s.first_token_ns = now;
  if (request.embed) {
    finish(s, FinishReason::kStop, std::nullopt, std::nullopt, now, sampled.embedding);
    return;
  }
  if (s.choice == 0 && !s.forked && request.choices > 1) {
    fork_choices(s);
    const std::shared_ptr<RequestState> owner = s.owner;
    const auto& early = owner->cancelled_early;
    if (!early.empty()) finish_cancelled_early(owner, now);
    if (std::find(early.begin(), early.end(), 0) != early.end()) return;  // `s` itself is gone
  }
  ++generated_tokens_;
  const auto& eos = model_->config().eos;
  if (!request.ignore_eos && std::find(eos.begin(), eos.end(), sampled.token) != eos.end()) {
    finish(s, FinishReason::kStop, std::nullopt, std::nullopt, now);
    return;
  }
  s.tokens.push_back(sampled.token);
  if (has_penalties(request.sampling)) ++s.history.tokens[sampled.token].in_output;
  if (s.generated() >= request.max_tokens ||
      static_cast<std::int64_t>(s.tokens.size()) >= limits_.context) {
    finish(s, FinishReason::kLength, std::nullopt, sampled.out, now);
    return;
  }
  Event event;
  event.request = request.id;
  event.choice = s.choice;
  event.token = sampled.out;
  event.made_ns = now;
  s.owner->sink->on_event(std::move(event));
}

void LocalEngine::fork_choices(Sequence& origin) {
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

void LocalEngine::finish_cancelled_early(const std::shared_ptr<RequestState>& owner,
                                         std::int64_t now) {
  for (Sequence* s : scheduler_.all()) {
    const auto& early = owner->cancelled_early;
    if (s->owner == owner && std::find(early.begin(), early.end(), s->choice) != early.end())
      finish(*s, FinishReason::kCancelled, std::nullopt, std::nullopt, now);
  }
}

void LocalEngine::finish(Sequence& sequence, FinishReason reason, std::optional<Error> error,
                         std::optional<TokenOut> token, std::int64_t now,
                         std::vector<float> embedding) {
  const std::unique_ptr<Sequence> taken = scheduler_.remove(&sequence);
  HEARTH_CHECK(taken != nullptr);
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
  for (std::int32_t i = 1; i < ended; ++i) {
    Event other = event;
    other.choice = i;
    other.token.reset();
    owner.sink->on_event(std::move(other));
  }
  owner.sink->on_event(std::move(event));
  if (owner.open_choices == 0) {
    const std::lock_guard lock(mutex_);
    --accepted_;
    rate_.ended(now);
  }
}

// What began in this step waits no longer.
void LocalEngine::count_queue() {
  const std::lock_guard lock(mutex_);
  queued_tokens_ = scheduler_.waiting_tokens();
  for (const Message& m : mailbox_)
    if (const auto* submit = std::get_if<Submit>(&m))
      queued_tokens_ += static_cast<std::int64_t>(submit->state->request.prompt.size());
}

void LocalEngine::publish() {
  const std::lock_guard lock(mutex_);
  stats_.running = scheduler_.running();
  stats_.waiting = scheduler_.waiting();
  stats_.pages_used = pool_->pages_used();
  stats_.prompt_tokens = prompt_tokens_;
  stats_.generated_tokens = generated_tokens_;
  stats_.steps = steps_;
  stats_.pages_kept = pool_->pages_kept();
  stats_.prefix_queries = scheduler_.prefix_queries();
  stats_.prefix_hits = scheduler_.prefix_hits();
  stats_.preemptions = scheduler_.preemptions();
}

}  // namespace hearth::engine

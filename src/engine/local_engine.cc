#include "engine/local_engine.h"

#include <algorithm>
#include <utility>

#include "base/cpu.h"
#include "base/log.h"
#include "base/start_thread.h"
#include "engine/cache_size.h"
#include "engine/draft_model.h"
#include "engine/model_runner.h"

namespace hearth::engine {

namespace {

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
  const std::int64_t draft_bytes = options.draft ? bytes / 5 : 0;
  std::vector<backend::KvGroupSpec> groups = model->kv_groups();
  HEARTH_TRY(const auto pages, page_counts(model->backend(), groups, bytes - draft_bytes, context,
                                           options.running_max));
  HEARTH_TRY(auto cache, model->backend().make_cache(groups, pages));
  const std::int64_t kept = options.prefix_cache_bytes >= 0 ? options.prefix_cache_bytes
                                                            : model->backend().weight_bytes();
  auto pool = std::make_unique<KvPool>(std::move(cache), std::move(groups), kept);
  std::shared_ptr<DraftModel> drafter;
  if (options.draft) {
    HEARTH_TRY(drafter, DraftModel::create(options.draft, *model, context, options.running_max,
                                           draft_bytes));
  }
  return std::unique_ptr<LocalEngine>(new LocalEngine(std::move(model), options, std::move(pool),
                                                      std::move(drafter), context, clock));
}

LocalEngine::LocalEngine(std::shared_ptr<const model::Model> model, const EngineOptions& options,
                         std::unique_ptr<KvPool> pool, std::shared_ptr<DraftModel> drafter,
                         std::int64_t context, const Clock& clock)
    : model_(std::move(model)),
      clock_(clock),
      accepted_max_(options.queue_requests_max + options.running_max),
      queue_tokens_max_(options.queue_tokens_max),
      on_failure_(options.on_failure),
      cache_bytes_(pool->bytes() + (drafter ? drafter->cache_bytes() : 0)),
      pool_(*pool),
      core_(std::move(pool), std::make_unique<ModelRunner>(model_),
            {.context = std::min(context, pool_.tokens_max()),
             .eos = model_->config().eos,
             .scheduler = {.batch_tokens_max = options.batch_tokens_max,
                           .running_max = options.running_max,
                           .admission = options.admission,
                           .row_doubling = options.unit_times.row_doubling()},
             .speculate = options.speculate,
             .drafter = std::move(drafter),
             .unit_times = options.unit_times,
             .limits = options.limits,
             .tune = options.tune},
            clock) {
  limits_.context = std::min(context, pool_.tokens_max());
  limits_.vocab = model_->config().vocab;
  limits_.queue_requests = options.queue_requests_max;
  stats_.pages_total = pool_.pages_total();
  core_.on_request_end = [this](std::int64_t now) {
    const std::lock_guard lock(mutex_);
    --accepted_;
    rate_.ended(now);
  };
  core_.fill(stats_);
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
    HEARTH_TRY_VOID(check_queue(state->request.id, size));
    ++accepted_;
    queued_tokens_ += size;
    mailbox_.push_back(Submit{std::move(state)});
  }
  wake_.notify_all();
  return {};
}

Status LocalEngine::check_queue(RequestId id, std::int64_t prompt_tokens) const {
  const bool by_tokens = queued_tokens_ + prompt_tokens > queue_tokens_max_;
  if (accepted_ < accepted_max_ && !by_tokens) return {};
  Error full = {ErrorKind::kExhausted, "queue_full",
                by_tokens ? fmt::format("prompts of {} tokens are waiting already", queued_tokens_)
                          : fmt::format("{} requests are waiting or running already", accepted_)};
  full.retry_after_s = rate_.seconds_for(accepted_, now_ns(), uniform_draw(id, 0, 0));
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
  EngineStats out = stats_;
  // Without steps no period ends.
  if (out.running == 0 && now_ns() - stepped_ns_ > 2 * kPeriodNs) out.utilisation = {};
  return out;
}

void LocalEngine::loop() {
  core_.enter_thread();
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
  const auto news = [this] {
    const std::lock_guard lock(mutex_);
    return stopping_ || !mailbox_.empty();
  };
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !mailbox_.empty() || !core_.idle(); });
      if (stopping_) return;  // what is in the mailbox is owed an end: end_all
      taken_.swap(mailbox_);
    }
    handle_taken();
    core_.plan();
    count_queue();
    core_.compute(news);
    publish();
    if (core_.idle()) {
      core_.clean();
      core_.check_integrity();
    }
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
  core_.end_all(reason, error);
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
    core_.submit(submitted->state);
  } else {
    const Cancel cancel = std::get<Cancel>(message);
    core_.cancel(cancel.id, cancel.choice);
  }
}

// What began in this step waits no longer.
void LocalEngine::count_queue() {
  const std::lock_guard lock(mutex_);
  queued_tokens_ = core_.waiting_tokens();
  for (const Message& m : mailbox_)
    if (const auto* submit = std::get_if<Submit>(&m))
      queued_tokens_ += static_cast<std::int64_t>(submit->state->request.prompt.size());
}

void LocalEngine::publish() {
  const std::lock_guard lock(mutex_);
  core_.fill(stats_);
  stepped_ns_ = now_ns();
}

}  // namespace hearth::engine

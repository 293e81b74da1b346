#include "api/generation.h"

#include <algorithm>

namespace hearth::api {

using engine::FinishReason;

Generation::Generation(std::shared_ptr<engine::Engine> engine,
                       std::shared_ptr<const text::Tokenizer> tokenizer,
                       std::shared_ptr<TaskPool> pool, engine::GenerateRequest request,
                       std::vector<std::string> stop, std::unique_ptr<GenerationOutput> output,
                       std::shared_ptr<ModelMetrics> metrics, const Clock& clock)
    : engine_(std::move(engine)),
      pool_(std::move(pool)),
      id_(request.id),
      deadline_ns_(request.deadline_ns),
      clock_(clock),
      output_(std::move(output)),
      metrics_(std::move(metrics)) {
  usage_.prompt_tokens = static_cast<std::int64_t>(request.prompt.size());
  for (std::int32_t i = 0; i < request.choices; ++i) {
    choices_.push_back(
        Choice{.text = ChoiceText(tokenizer, stop, request.sampling.top_logprobs >= 0)});
  }
  request_ = std::move(request);
}

void Generation::start() {
  {
    // The engine may answer before submit() has returned; events wait until the drain below.
    const std::lock_guard lock(mutex_);
    scheduled_ = true;
  }
  submitted_ns_ = now_ns();
  engine::GenerateRequest request = *std::move(request_);
  request_.reset();
  const Status submitted = engine_->submit(std::move(request), shared_from_this());
  if (!submitted) {
    fail_with(submitted.error());
    return;
  }
  if (cancelled_) engine_->cancel(id_);  // the client left before there was anything to cancel
  drain();
}

void Generation::cancel() {
  cancelled_ = true;
  engine_->cancel(id_);
}

void Generation::on_event(engine::Event event) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(event));
  if (scheduled_) return;
  // Refused only when the server is going down: then nobody waits for the text.
  scheduled_ = pool_->post([self = shared_from_this()] { self->drain(); });
}

void Generation::drain() {
  for (;;) {
    std::vector<engine::Event> events;
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) {
        scheduled_ = false;
        return;
      }
      std::swap(events, queue_);
    }
    for (engine::Event& event : events) handle(event);
  }
}

void Generation::handle(engine::Event& event) {
  if (event.choice < 0 || static_cast<std::size_t>(event.choice) >= choices_.size()) return;
  Choice& choice = choices_[static_cast<std::size_t>(event.choice)];
  if (event.token && !choice.text.stopped()) {
    const bool last = event.finish.has_value();
    measure_token(event, choice);
    Delta delta = choice.text.push(*event.token);
    if (choice.text.stopped()) {
      if (!last) engine_->cancel_choice(id_, event.choice);
      Delta rest = choice.text.finish();
      delta.text += rest.text;
      std::move(rest.tokens.begin(), rest.tokens.end(), std::back_inserter(delta.tokens));
      tell(event.choice, choice, std::move(delta), FinishReason::kStop);
    } else if (!delta.text.empty()) {
      tell(event.choice, choice, std::move(delta), std::nullopt);
    }
  }
  if (event.finish) handle_finish(event, choice);
}

void Generation::measure_token(const engine::Event& event, Choice& choice) {
  if (choice.first_token_ns == 0) {
    choice.first_token_ns = event.made_ns;
    metrics_->first_token(event.made_ns - submitted_ns_);
  } else {
    metrics_->next_token(event.made_ns - choice.last_token_ns);
  }
  choice.last_token_ns = event.made_ns;
}

void Generation::measure_end(const engine::Event& event, const Choice& choice) {
  ChoiceEnd end;
  // The engine only knows that a choice with a stop string was cancelled.
  end.reason = choice.text.stopped() ? FinishReason::kStop : *event.finish;
  end.prompt_tokens = usage_.prompt_tokens;
  end.generated_tokens = choice.text.tokens();
  end.timings = event.timings;
  end.total_ns = event.made_ns - submitted_ns_;
  end.decode_ns = choice.last_token_ns - choice.first_token_ns;
  metrics_->choice_ended(end);
}

void Generation::handle_finish(engine::Event& event, Choice& choice) {
  choice.ended = true;
  measure_end(event, choice);
  usage_.cached_tokens = std::max<std::int64_t>(usage_.cached_tokens, event.cached_tokens);
  const auto total = [](const engine::Timings& t) {
    return t.queued_ns + t.prefill_ns + t.decode_ns;
  };
  if (total(event.timings) >= total(timings_)) timings_ = event.timings;
  if (*event.finish == FinishReason::kError) {
    fail_with(event.error.value_or(Error{ErrorKind::kInternal, "engine_error", "no reason given"}));
  } else if (*event.finish == FinishReason::kCancelled && !choice.told) {
    if (deadline_ns_ != 0 && now_ns() >= deadline_ns_) {
      fail_with(Error{ErrorKind::kTimeout, "deadline_exceeded", "the request took too long"});
    } else {
      fail_with(
          Error{ErrorKind::kExhausted, "request_cancelled", "the server gave up the request"});
    }
  } else if (!choice.told) {
    Delta rest = choice.text.finish();
    const FinishReason reason = choice.text.stopped() ? FinishReason::kStop : *event.finish;
    tell(event.choice, choice, std::move(rest), reason);
  }
  finish_if_complete();
}

void Generation::tell(int index, Choice& choice, Delta delta, std::optional<FinishReason> finish) {
  if (finish) {
    choice.told = true;
    usage_.completion_tokens += choice.text.tokens();
  }
  if (!output_ || cancelled_) return;
  if (!output_->delta(index, std::move(delta), finish)) cancel();
}

void Generation::fail_with(const Error& error) {
  if (!output_) return;
  const auto output = std::move(output_);
  engine_->cancel(id_);
  if (!cancelled_) output->failed(error);
}

void Generation::finish_if_complete() {
  const bool all =
      std::all_of(choices_.begin(), choices_.end(), [](const Choice& c) { return c.ended; });
  if (!all || !output_) return;
  const auto output = std::move(output_);
  if (!cancelled_) output->done(usage_, timings_);
}

}  // namespace hearth::api

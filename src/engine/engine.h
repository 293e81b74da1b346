// The engine as its clients see it. Implemented by LocalEngine (engine/local_engine.h) and by the
// simulated engine of the tests (testing/simulated_engine.h).
#pragma once

#include <memory>

#include "base/result.h"
#include "engine/messages.h"

namespace hearth::engine {

// Called on the engine's thread; must only hand the event over (a queue, a post) and return.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_event(Event event) = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Thread-safe. Refused at once: an empty prompt or ids out of the vocabulary ("invalid_prompt"),
  // prompt + 1 > context ("context_length_exceeded"), a full queue ("queue_full"). Once accepted,
  // the sink gets `choices` terminal events, also after cancel() and when the engine fails or
  // stops.
  virtual Status submit(GenerateRequest request, std::shared_ptr<EventSink> sink) = 0;

  // Thread-safe; unknown or finished ids are ignored. Pages are free within one step.
  virtual void cancel(RequestId id) = 0;
  virtual void cancel_choice(RequestId id, std::int32_t choice) = 0;

  virtual EngineStats stats() const = 0;
  virtual const EngineLimits& limits() const = 0;
};

}  // namespace hearth::engine

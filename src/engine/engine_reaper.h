// Engines that are shared by their requests. The last to let go of one may be its own thread, which
// drops the sink of the last request; but an engine ends by joining that thread.
#pragma once

#include <memory>

#include "engine/engine.h"

namespace hearth::engine {

class EngineReaper {
 public:
  EngineReaper();
  // Waits for all that it has adopted: they have to be let go of first.
  ~EngineReaper();
  EngineReaper(const EngineReaper&) = delete;
  EngineReaper& operator=(const EngineReaper&) = delete;

  // When the last reference is dropped, on whichever thread, the engine is destroyed on another.
  std::shared_ptr<Engine> adopt(std::unique_ptr<Engine> engine);

  // Returns when those that nobody holds any more are destroyed and their memory is free.
  void settle();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hearth::engine

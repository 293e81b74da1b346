#include "engine/engine_reaper.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace hearth::engine {

struct EngineReaper::State {
  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return !left.empty() || (closing && alive == 0); });
      if (left.empty()) return;
      std::vector<std::unique_ptr<Engine>> now;
      now.swap(left);
      destroying += now.size();
      lock.unlock();
      const std::size_t count = now.size();
      now.clear();
      lock.lock();
      alive -= count;
      destroying -= count;
      changed.notify_all();
    }
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::unique_ptr<Engine>> left;  // nobody's any more
  std::size_t alive = 0;                      // adopted and not yet destroyed
  std::size_t destroying = 0;                 // of these, taken out of `left`
  bool closing = false;
  std::thread thread;
};

EngineReaper::EngineReaper() : state_(std::make_shared<State>()) {
  state_->thread = std::thread([state = state_.get()] { state->work(); });
}

EngineReaper::~EngineReaper() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->closing = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

std::shared_ptr<Engine> EngineReaper::adopt(std::unique_ptr<Engine> engine) {
  {
    const std::lock_guard lock(state_->mutex);
    ++state_->alive;
  }
  return {engine.release(), [state = state_](Engine* last) {
            const std::lock_guard lock(state->mutex);
            state->left.emplace_back(last);
            state->changed.notify_all();
          }};
}

void EngineReaper::settle() {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->left.empty() && state_->destroying == 0; });
}

}  // namespace hearth::engine

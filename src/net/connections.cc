#include "net/connections.h"

#include <algorithm>

namespace hearth::net {

Connections::Connections(std::size_t all_max, std::size_t per_address_max)
    : all_max_(all_max), per_address_max_(per_address_max) {}

void Connections::set_caps(std::size_t all_max, std::size_t per_address_max) {
  const std::lock_guard lock(mutex_);
  all_max_ = all_max;
  per_address_max_ = per_address_max;
}

Connections::Room Connections::room(const std::string& address, bool loopback) {
  const std::lock_guard lock(mutex_);
  if (!loopback) {
    const auto found = per_address_.find(address);
    if (found != per_address_.end() && found->second >= per_address_max_) return Room::kNo;
  }
  if (entries_.size() < all_max_) return Room::kYes;
  return closing_ > 0 || evict_idle_locked() ? Room::kSoon : Room::kNo;
}

bool Connections::evict_idle() {
  const std::lock_guard lock(mutex_);
  return evict_idle_locked();
}

bool Connections::evict_idle_locked() {
  Entry* oldest = nullptr;
  for (auto& [id, entry] : entries_) {
    if (entry.idle_since == 0 || entry.evicted) continue;
    if (!oldest || entry.idle_since < oldest->idle_since) oldest = &entry;
  }
  const auto session = oldest ? oldest->session.lock() : nullptr;
  if (!session) return false;
  session->close_if_idle();
  oldest->evicted = true;
  ++closing_;
  ++stats_.evicted;
  return true;
}

void Connections::add(SessionId id, std::string address) {
  const std::lock_guard lock(mutex_);
  ++stats_.accepted;
  ++per_address_[address];
  Entry& entry = entries_[id];
  entry.address = std::move(address);
  entry.idle_since = ++ticks_;  // until its first request
}

void Connections::attach(SessionId id, std::weak_ptr<SessionHandle> session) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  if (found != entries_.end()) found->second.session = std::move(session);
}

void Connections::set_idle(SessionId id, bool idle) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  found->second.idle_since = idle ? ++ticks_ : 0;
  if (idle) changed_.notify_all();
  if (!idle && found->second.evicted) {  // a request came before it could be closed
    found->second.evicted = false;
    --closing_;
  }
}

void Connections::remove(SessionId id) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  if (found->second.evicted) --closing_;
  const auto counted = per_address_.find(found->second.address);
  if (--counted->second == 0) per_address_.erase(counted);
  entries_.erase(found);
  changed_.notify_all();
}

void Connections::drain_all() {
  const std::lock_guard lock(mutex_);
  for (auto& [id, entry] : entries_) {
    if (const auto session = entry.session.lock()) session->drain();
  }
}

void Connections::close_idle() {
  const std::lock_guard lock(mutex_);
  for (auto& [id, entry] : entries_) {
    if (const auto session = entry.session.lock()) session->close_if_idle();
  }
}

void Connections::close_all() {
  const std::lock_guard lock(mutex_);
  for (auto& [id, entry] : entries_) {
    if (const auto session = entry.session.lock()) session->close();
  }
}

bool Connections::wait_idle(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline, [&] {
    return std::all_of(entries_.begin(), entries_.end(),
                       [](const auto& entry) { return entry.second.idle_since != 0; });
  });
}

bool Connections::wait_empty(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline, [&] { return entries_.empty(); });
}

void Connections::count(std::uint64_t ServerStats::* what) {
  const std::lock_guard lock(mutex_);
  ++(stats_.*what);
}

ServerStats Connections::stats() const {
  const std::lock_guard lock(mutex_);
  ServerStats stats = stats_;
  stats.connections = entries_.size();
  return stats;
}

}  // namespace hearth::net

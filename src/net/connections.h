// The book of open connections: caps, and which idle one has to make room. Thread-safe.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "net/session.h"

namespace hearth::net {

class Connections {
 public:
  Connections(std::size_t all_max, std::size_t per_address_max);

  void set_caps(std::size_t all_max, std::size_t per_address_max);

  enum class Room : std::uint8_t {
    kYes,
    kSoon,  // an idle connection is being closed: ask again
    kNo,
  };
  // Room for one more from that address? If only the cap on all is in the way, the connection that
  // has been idle for longest has to go.
  Room room(const std::string& address, bool loopback);
  bool evict_idle();  // false: none is idle

  // add() comes before the session starts, as it may call back at once; attach() after that.
  void add(SessionId id, std::string address);
  void attach(SessionId id, std::weak_ptr<SessionHandle> session);
  void set_idle(SessionId id, bool idle);
  void remove(SessionId id);

  void drain_all();
  void close_idle();
  void close_all();
  // True: none has a request under way.
  bool wait_idle(std::chrono::steady_clock::time_point deadline);
  // True: none is left.
  bool wait_empty(std::chrono::steady_clock::time_point deadline);

  void count(std::uint64_t ServerStats::* what);
  ServerStats stats() const;

 private:
  struct Entry {
    std::string address;
    std::weak_ptr<SessionHandle> session;
    std::uint64_t idle_since = 0;  // a counter that grows; 0: busy
    bool evicted = false;
  };
  bool evict_idle_locked();

  mutable std::mutex mutex_;
  std::size_t all_max_;
  std::size_t per_address_max_;
  std::condition_variable changed_;
  std::map<SessionId, Entry> entries_;
  std::map<std::string, std::size_t> per_address_;
  std::size_t closing_ = 0;  // evicted, but not yet ended
  std::uint64_t ticks_ = 0;
  ServerStats stats_;
};

}  // namespace hearth::net

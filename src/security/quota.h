// What an identity may take in a minute, in a day and at once. All of it is counted by this
// instance alone and from its start: with three replicas behind a balancer three times as much is
// let through.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace hearth::security {

// 0: no limit.
struct Quota {
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;  // of prompts and answers
  std::int64_t tokens_per_day = 0;     // UTC
  std::int64_t concurrent_requests = 0;
  std::int64_t context_max = 0;  // tokens of a prompt and its answer

  friend bool operator==(const Quota&, const Quota&) = default;
};

class QuotaLedger {
 public:
  explicit QuotaLedger(const Clock& clock) : clock_(clock) {}

 private:
  // Full at first; refills evenly, a minute's worth at most (a token bucket).
  struct Bucket {
    double level = 0;
    Clock::time_point at{};
    bool begun = false;
  };
  struct Account {
    std::mutex mutex;
    Bucket requests;
    Bucket tokens;
    std::int64_t day = 0;  // since 1970
    std::int64_t tokens_today = 0;
    std::int64_t open = 0;
  };

 public:
  // One admitted request. Its place is free when this is gone.
  class Lease {
   public:
    Lease() = default;  // of nobody
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { release(); }

    // Tokens that the request has taken. They count once they are known: whoever goes over his
    // limit with them waits until that is made good. Thread-safe.
    void charge(std::int64_t tokens) const;

   private:
    friend class QuotaLedger;
    Lease(std::shared_ptr<Account> account, const QuotaLedger& ledger, const Quota& quota)
        : account_(std::move(account)), ledger_(&ledger), quota_(quota) {}
    void release();
    std::shared_ptr<Account> account_;
    const QuotaLedger* ledger_ = nullptr;
    Quota quota_;
  };

  // "rate_limited" (kExhausted, with the time until there is room) where one of the limits is
  // reached; the message names it. Thread-safe.
  Result<Lease> admit(const std::string& identity, const Quota& quota);

 private:
  std::shared_ptr<Account> account_of(const std::string& identity);
  void refill(Bucket& bucket, std::int64_t per_minute) const;
  void begin_day(Account& account) const;
  std::int64_t wall_seconds() const;

  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Account>> accounts_;
};

}  // namespace hearth::security

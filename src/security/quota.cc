#include "security/quota.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace hearth::security {
namespace {

constexpr std::int64_t kDay = 24 * 3600;

tl::unexpected<Error> limited(std::int64_t limit, std::string_view what, double seconds) {
  Error error = {ErrorKind::kExhausted, "rate_limited",
                 fmt::format("this identity may have {} {} on this instance", limit, what)};
  error.retry_after_s =
      static_cast<std::int32_t>(std::clamp(std::ceil(seconds), 1.0, double{kDay}));
  return tl::unexpected<Error>(std::move(error));
}

// Until the bucket holds `wanted`.
double seconds_until(double level, double wanted, std::int64_t per_minute) {
  return (wanted - level) * 60 / static_cast<double>(per_minute);
}

}  // namespace

void QuotaLedger::refill(Bucket& bucket, std::int64_t per_minute) const {
  const auto now = clock_.now();
  const auto most = static_cast<double>(per_minute);
  const std::chrono::duration<double> passed = now - bucket.at;
  // Also after the limit was made smaller.
  bucket.level = bucket.begun ? std::min(most, bucket.level + passed.count() * most / 60) : most;
  bucket.at = now;
  bucket.begun = true;
}

std::int64_t QuotaLedger::wall_seconds() const {
  return std::chrono::duration_cast<std::chrono::seconds>(clock_.wall().time_since_epoch()).count();
}

// A clock that is set back opens no new day.
void QuotaLedger::begin_day(Account& account) const {
  const std::int64_t today = wall_seconds() / kDay;
  if (today <= account.day) return;
  account.day = today;
  account.tokens_today = 0;
}

std::shared_ptr<QuotaLedger::Account> QuotaLedger::account_of(const std::string& identity) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Account>& account = accounts_[identity];
  if (!account) account = std::make_shared<Account>();
  return account;
}

Result<QuotaLedger::Lease> QuotaLedger::admit(const std::string& identity, const Quota& quota) {
  const std::shared_ptr<Account> account = account_of(identity);
  const std::lock_guard lock(account->mutex);
  Account& a = *account;
  if (quota.concurrent_requests > 0 && a.open >= quota.concurrent_requests)
    return limited(quota.concurrent_requests, "requests at once", 1);
  if (quota.tokens_per_day > 0) {
    begin_day(a);
    if (a.tokens_today >= quota.tokens_per_day)
      return limited(quota.tokens_per_day, "tokens a day",
                     static_cast<double>((a.day + 1) * kDay - wall_seconds()));
  }
  if (quota.tokens_per_minute > 0) {
    refill(a.tokens, quota.tokens_per_minute);
    if (a.tokens.level <= 0)
      return limited(quota.tokens_per_minute, "tokens a minute",
                     seconds_until(a.tokens.level, 1, quota.tokens_per_minute));
  }
  if (quota.requests_per_minute > 0) {
    refill(a.requests, quota.requests_per_minute);
    if (a.requests.level < 1)
      return limited(quota.requests_per_minute, "requests a minute",
                     seconds_until(a.requests.level, 1, quota.requests_per_minute));
    a.requests.level -= 1;
  }
  ++a.open;
  return Lease(account, *this, quota);
}

void QuotaLedger::Lease::charge(std::int64_t tokens) const {
  if (!account_) return;
  const std::lock_guard lock(account_->mutex);
  if (quota_.tokens_per_minute > 0) {
    ledger_->refill(account_->tokens, quota_.tokens_per_minute);
    account_->tokens.level -= static_cast<double>(tokens);
  }
  ledger_->begin_day(*account_);
  account_->tokens_today += tokens;
}

QuotaLedger::Lease& QuotaLedger::Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  release();
  account_ = std::move(other.account_);
  ledger_ = other.ledger_;
  quota_ = other.quota_;
  return *this;
}

void QuotaLedger::Lease::release() {
  if (!account_) return;
  const std::lock_guard lock(account_->mutex);
  --account_->open;
}

}  // namespace hearth::security

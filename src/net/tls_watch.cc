#include "net/tls_watch.h"

#include <utility>

#include "base/log.h"

namespace hearth::net {
namespace {

constexpr std::int64_t kDaysToWarn = 21;
using Days = std::chrono::duration<std::int64_t, std::ratio<86'400>>;

}  // namespace

Result<std::unique_ptr<TlsWatch>> TlsWatch::create(TlsOptions options, const Clock& clock) {
  std::unique_ptr<TlsWatch> watch(new TlsWatch(std::move(options), clock));
  HEARTH_TRY(const TlsFiles files, TlsFiles::read(watch->options_));
  HEARTH_TRY(watch->current_, TlsContext::create(watch->options_, files, clock.wall()));
  watch->digest_ = files.digest();
  watch->stats_.expires = watch->current_->expires();
  watch->days_told_ = kDaysToWarn;
  watch->warn_of_expiry();
  return watch;
}

TlsWatch::~TlsWatch() { stop(); }

std::shared_ptr<const TlsContext> TlsWatch::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

CertificateStats TlsWatch::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

// Once a day in the last weeks.
void TlsWatch::warn_of_expiry() {
  const auto left = current()->expires() - clock_.wall();
  const std::int64_t days = std::chrono::floor<Days>(left).count();
  if (days >= days_told_) return;
  days_told_ = days;
  if (days < 0) {
    log::error("the TLS certificate has expired: clients will refuse it");
  } else {
    log::warn("the TLS certificate expires in {} days", days);
  }
}

void TlsWatch::check() {
  const std::lock_guard one(checking_);
  const auto apply = [this]() -> Result<std::shared_ptr<const TlsContext>> {
    HEARTH_TRY(const TlsFiles files, TlsFiles::read(options_));
    std::string digest = files.digest();
    if (digest == digest_) return nullptr;  // as it was, also if it was something else meanwhile
    HEARTH_TRY(auto context, TlsContext::create(options_, files, clock_.wall()));
    digest_ = std::move(digest);
    return context;
  };
  const auto changed = apply();
  if (!changed) {
    {
      const std::lock_guard lock(mutex_);
      ++stats_.reloads_refused;
      stats_.reload_failed = true;
    }
    if (last_told_ != changed.error().message)
      log::error("the TLS certificate stays as it was: {}", changed.error().message);
    last_told_ = changed.error().message;
  } else {
    last_told_.clear();
    {
      const std::lock_guard lock(mutex_);
      stats_.reload_failed = false;
      if (*changed) {
        ++stats_.reloads_taken;
        current_ = *changed;
        stats_.expires = current_->expires();
      }
    }
    if (*changed) {
      days_told_ = kDaysToWarn;
      log::info("new TLS certificate, SHA-256 {}", (*changed)->fingerprint());
      if (take_) take_(*changed);
    }
  }
  warn_of_expiry();
}

void TlsWatch::start(Take take, std::chrono::milliseconds interval) {
  {
    const std::lock_guard one(checking_);
    take_ = std::move(take);
  }
  thread_ = std::thread([this, interval] {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_until(lock, std::chrono::steady_clock::now() + interval,
                             [this] { return stopping_; })) {
      lock.unlock();
      check();
      lock.lock();
    }
  });
}

void TlsWatch::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  const std::lock_guard one(checking_);
  take_ = nullptr;
}

}  // namespace hearth::net

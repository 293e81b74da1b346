// A server's certificate as its files change: read when asked and once a minute, by content, as
// they may be swapped by symlinks (Kubernetes). What cannot be used leaves everything as it is, is
// said in the log and shows in the metrics, until the files are right again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "net/tls.h"

namespace hearth::net {

class TlsWatch {
 public:
  // As TlsContext::load; a certificate of the wrong date is one of its errors.
  static Result<std::unique_ptr<TlsWatch>> create(TlsOptions options,
                                                  const Clock& clock = Clock::system());
  ~TlsWatch();
  TlsWatch(const TlsWatch&) = delete;
  TlsWatch& operator=(const TlsWatch&) = delete;

  std::shared_ptr<const TlsContext> current() const;
  CertificateStats stats() const;

  // Thread-safe. Reads the files now; `take` of start() gets what is new and good.
  void check();

  // Once. Begins to check by itself, on a thread of its own until stop(), after which `take` is not
  // called any more.
  using Take = std::function<void(std::shared_ptr<const TlsContext>)>;
  void start(Take take, std::chrono::milliseconds interval = std::chrono::minutes(1));
  void stop();

 private:
  TlsWatch(TlsOptions options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}
  void warn_of_expiry();

  const TlsOptions options_;
  const Clock& clock_;

  std::mutex checking_;  // one check at a time; guards what follows
  Take take_;
  std::string digest_;     // of the files behind current_
  std::string last_told_;  // the last message, so that it does not come every minute
  std::int64_t days_told_ = 0;

  mutable std::mutex mutex_;  // guards what follows
  std::shared_ptr<const TlsContext> current_;
  CertificateStats stats_;
  bool stopping_ = false;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace hearth::net

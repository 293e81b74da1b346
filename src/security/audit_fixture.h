// For tests of the audit log: a disk for several threads that blocks when told, and a log on it.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "security/audit_log.h"
#include "security/audit_reader.h"
#include "security/audit_summary.h"
#include "testing/fake_clock.h"

namespace hearth::security {

// One call at a time, since FailingFs is for one thread.
class GatedFs final : public FileSystem {
 public:
  explicit GatedFs(FileSystem& inner) : inner_(inner) {}

  // Syncs of files whose path begins so wait until open_gate().
  void block(std::string path) {
    const std::lock_guard lock(mutex_);
    blocked_ = std::move(path);
  }
  void open_gate() {
    block("");
    gate_.notify_all();
  }
  void set_sync_time(std::chrono::milliseconds time) { sync_time_ = time; }
  std::uint64_t syncs() const { return syncs_; }
  // For what the test does to the disk itself.
  std::unique_lock<std::mutex> hold() { return std::unique_lock(mutex_); }

  Result<std::unique_ptr<WritableFile>> open_append(const std::string& path,
                                                    bool truncate) override {
    const auto lock = hold();
    HEARTH_TRY(auto file, inner_.open_append(path, truncate));
    return std::make_unique<Writable>(*this, path, std::move(file));
  }
  Status overwrite(const std::string& path, std::uint64_t offset, std::string_view bytes) override {
    const auto lock = hold();
    return inner_.overwrite(path, offset, bytes);
  }
  Result<std::unique_ptr<ReadableFile>> open_read(const std::string& path) override {
    const auto lock = hold();
    return inner_.open_read(path);
  }
  Status rename(const std::string& from, const std::string& to) override {
    const auto lock = hold();
    return inner_.rename(from, to);
  }
  Status sync_folder(const std::string& path) override {
    const auto lock = hold();
    return inner_.sync_folder(path);
  }
  Status remove(const std::string& path) override {
    const auto lock = hold();
    return inner_.remove(path);
  }
  Result<std::vector<FileInfo>> list(const std::string& path) override {
    const auto lock = hold();
    return inner_.list(path);
  }
  Result<FileInfo> info(const std::string& path) override {
    const auto lock = hold();
    return inner_.info(path);
  }
  Status make_folders(const std::string& path, unsigned mode) override {
    const auto lock = hold();
    return inner_.make_folders(path, mode);
  }
  Result<std::uint64_t> free_bytes(const std::string& folder) override {
    const auto lock = hold();
    return inner_.free_bytes(folder);
  }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    const auto held = hold();
    return inner_.lock(path);
  }

 private:
  class Writable final : public WritableFile {
   public:
    Writable(GatedFs& fs, std::string path, std::unique_ptr<WritableFile> inner)
        : fs_(fs), path_(std::move(path)), inner_(std::move(inner)) {}
    Status append(std::string_view bytes) override {
      const auto lock = fs_.hold();
      return inner_->append(bytes);
    }
    Status sync() override {
      auto lock = fs_.hold();
      fs_.gate_.wait(lock,
                     [this] { return fs_.blocked_.empty() || !path_.starts_with(fs_.blocked_); });
      ++fs_.syncs_;
      std::this_thread::sleep_for(fs_.sync_time_.load());
      return inner_->sync();
    }

   private:
    GatedFs& fs_;
    const std::string path_;
    std::unique_ptr<WritableFile> inner_;
  };

  FileSystem& inner_;
  std::mutex mutex_;
  std::condition_variable gate_;
  std::string blocked_;
  std::atomic<std::uint64_t> syncs_{0};
  std::atomic<std::chrono::milliseconds> sync_time_{std::chrono::milliseconds(0)};
};

inline crypto::Ed25519Key test_signer(char c = 'k') {
  crypto::Secret seed(32);
  for (std::byte& byte : seed.bytes()) byte = static_cast<std::byte>(c);
  return crypto::Ed25519Key::from_seed(seed);
}

// Small times, and no checkpoints but those that the test asks for.
inline AuditOptions test_audit_options(std::vector<std::string> folders = {"/audit"}) {
  AuditOptions options;
  options.folders = std::move(folders);
  options.retry_interval = std::chrono::milliseconds(5);
  options.deadline = std::chrono::seconds(60);
  options.checkpoint_interval = std::chrono::hours(1);
  options.program = "test";
  return options;
}

inline AuditRecord test_record(int number) {
  return {"opened", {{"request", std::to_string(number)}, {"identity", "nurse"}}};
}

// Appends and waits.
inline Status put(AuditLog& log, const AuditRecord& record, std::uint64_t* seq = nullptr) {
  const auto told = std::make_shared<std::promise<Status>>();
  auto future = told->get_future();
  const std::uint64_t number =
      log.append(record, [told](const Status& confirmed) { told->set_value(confirmed); });
  if (seq != nullptr) *seq = number;
  return future.get();
}

}  // namespace hearth::security

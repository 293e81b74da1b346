// The audit log of one instance: records in a chain of hashes, written to one or two folders before
// anybody is answered.
//
// append() never blocks. A record is confirmed when one of the folders has it on its disk; when
// none has within the deadline, or all of them fail, it is refused, and accepting() says no until a
// disk works again. What was refused may still come to stand in the log later.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/fs.h"
#include "base/result.h"
#include "crypto/ed25519.h"
#include "security/audit_record.h"
#include "security/audit_sink.h"

namespace hearth::security {

struct AuditOptions {
  std::vector<std::string> folders;  // one or two; the second holds the same
  std::uint64_t file_bytes_max = 64u << 20;
  std::chrono::days keep{180};  // whole files go when all of their records are older
  std::chrono::milliseconds deadline{2000};
  std::chrono::milliseconds retry_interval{1000};
  std::chrono::milliseconds checkpoint_interval{60'000};
  std::size_t backlog_bytes_max = 16u << 20;
  std::string program;  // name and version, for the start record
};

struct AuditStats {
  std::map<std::string, std::uint64_t> records;  // by kind, since the start
  std::vector<std::uint64_t> failures;           // attempts to write, by folder
  std::uint64_t refused = 0;                     // records that were to be confirmed and were not
  std::uint64_t lost = 0;                        // left out of the log: there was no room
  double last_commit_s = 0;                      // from append() to its confirmation
  bool accepting = true;
};

class AuditLog {
 public:
  // Goes on with what is in the folders. "locked": another process writes there; "audit_damaged":
  // a line does not fit to the one before; "audit_mismatch": the folders are of two chains; and
  // whatever the disk says: the start record must be durable.
  static Result<std::unique_ptr<AuditLog>> open(FileSystem& fs, const Clock& clock,
                                                AuditOptions options, crypto::Ed25519Key signer);
  ~AuditLog();  // stop()
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // Called once, on a thread of the log's and never inside append(); must return fast.
  // Errors: "audit_unavailable".
  using Done = std::function<void(const Status& confirmed)>;

  // Thread-safe. Its number in the chain; 0: it is not in it. Without `done` a record waits for a
  // disk that works, as long as there is room for it.
  std::uint64_t append(const AuditRecord& record, Done done = nullptr);
  bool accepting() const;
  void checkpoint();  // now, if there is anything new
  AuditStats stats() const;
  const std::string& instance() const { return instance_; }
  crypto::Ed25519Public signer() const { return signer_.public_key(); }

  // The last records and a checkpoint, written if a disk takes them. Blocks; once.
  void stop();

 private:
  struct Waiter {
    std::uint64_t seq;
    Clock::time_point since;
    Done done;
  };
  struct Folder {
    std::unique_ptr<AuditSink> sink;
    std::unique_ptr<FileLock> lock;
    std::uint64_t durable = 0;
    bool failing = false;
    bool has_gap = false;        // some record was left out here, for want of room
    std::uint64_t left_out = 0;  // the last of them
    std::uint64_t failures = 0;
  };

  AuditLog(FileSystem& fs, const Clock& clock, AuditOptions options, crypto::Ed25519Key signer);
  Status begin();
  Status catch_up(std::size_t behind, std::size_t ahead, std::uint64_t from);
  void report(std::size_t folder, std::uint64_t durable, const Status& outcome);
  bool accepting_locked() const;
  std::uint64_t chain_locked(const AuditRecord& record, bool sign);
  void checkpoint_locked();
  void push_locked(const AuditLine& line);
  void mind();
  void trim();
  void trim(std::size_t folder);

  FileSystem& fs_;
  const Clock& clock_;
  const AuditOptions options_;
  const crypto::Ed25519Key signer_;
  std::string instance_;

  mutable std::mutex mutex_;
  std::condition_variable minder_ready_;
  AuditHead head_;
  std::uint64_t checkpoint_seq_ = 0;
  std::uint64_t untold_losses_ = 0;
  bool blocked_ = false;  // a deadline has passed, and nothing was written since
  bool stopping_ = false;
  bool stopped_ = false;
  std::vector<Folder> folders_;
  std::deque<Waiter> waiters_;  // in the order of their records
  std::deque<Done> rejected_;   // for the minder to tell
  AuditStats stats_;

  std::thread minder_;  // deadlines, checkpoints, old files
};

}  // namespace hearth::security

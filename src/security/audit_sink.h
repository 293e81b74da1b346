// One place where the lines of an audit log go: files in a folder, on a thread of its own. All
// lines that wait are written and synced together (group commit), so that the disk decides how
// many share one sync.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/fs.h"
#include "base/result.h"

namespace hearth::security {

struct AuditSinkOptions {
  std::string folder;
  std::uint64_t file_bytes_max = 64u << 20;        // a new file is begun once it has so many
  std::size_t backlog_bytes_max = 16u << 20;       // lines that wait for the disk
  std::chrono::milliseconds retry_interval{1000};  // after a failure
};

struct AuditLine {
  std::uint64_t seq = 0;
  std::int64_t day = 0;  // since 1970; each has files of its own
  std::string text;      // with its newline
};

class AuditSink {
 public:
  // After each attempt, on the sink's thread: up to which record everything that was pushed is
  // durable, and how the attempt ended.
  using Report = std::function<void(std::uint64_t durable, const Status& outcome)>;

  AuditSink(FileSystem& fs, AuditSinkOptions options, Report report);
  ~AuditSink();
  AuditSink(const AuditSink&) = delete;
  AuditSink& operator=(const AuditSink&) = delete;

  // False: there is no room, and this line is left out here. Never blocks.
  bool push(const AuditLine& line);
  bool has_room(std::size_t bytes) const;
  // Writes what waits, tries once where the disk fails, and joins. A disk that blocks holds it up.
  void stop();

 private:
  void work();
  Status write(std::deque<AuditLine>& lines);
  Status begin_file(const AuditLine& line);
  void forget(std::size_t bytes);

  FileSystem& fs_;
  const AuditSinkOptions options_;
  const Report report_;

  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<AuditLine> queue_;
  std::size_t backlog_bytes_ = 0;  // pushed and not durable
  bool stopping_ = false;

  // Only on the thread.
  std::unique_ptr<WritableFile> file_;
  std::uint64_t file_bytes_ = 0;
  std::int64_t file_day_ = 0;
  std::uint64_t durable_ = 0;

  std::thread thread_;
};

}  // namespace hearth::security

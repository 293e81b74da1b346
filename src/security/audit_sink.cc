#include "security/audit_sink.h"

#include <iterator>
#include <utility>

#include "base/fault_point.h"
#include "base/start_thread.h"
#include "security/audit_reader.h"

namespace hearth::security {

AuditSink::AuditSink(FileSystem& fs, AuditSinkOptions options, Report report)
    : fs_(fs), options_(std::move(options)), report_(std::move(report)) {
  thread_ = start_thread([this] { work(); });
}

AuditSink::~AuditSink() { stop(); }

bool AuditSink::push(const AuditLine& line) {
  {
    const std::lock_guard lock(mutex_);
    if (backlog_bytes_ + line.text.size() > options_.backlog_bytes_max) return false;
    backlog_bytes_ += line.text.size();
    queue_.push_back(line);
  }
  ready_.notify_one();
  return true;
}

bool AuditSink::has_room(std::size_t bytes) const {
  const std::lock_guard lock(mutex_);
  return backlog_bytes_ + bytes <= options_.backlog_bytes_max;
}

void AuditSink::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void AuditSink::forget(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  backlog_bytes_ -= bytes;
}

void AuditSink::work() {
  std::deque<AuditLine> unwritten;
  for (;;) {
    bool last = false;
    {
      std::unique_lock lock(mutex_);
      if (unwritten.empty()) {
        ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      } else {  // the disk has failed
        ready_.wait_for(lock, options_.retry_interval, [this] { return stopping_; });
      }
      last = stopping_;
      std::move(queue_.begin(), queue_.end(), std::back_inserter(unwritten));
      queue_.clear();
    }
    if (unwritten.empty()) return;
    const Status outcome = write(unwritten);
    report_(durable_, outcome);
    if (last && !outcome) return;
  }
}

Status AuditSink::begin_file(const AuditLine& line) {
  // A file of that name holds nothing that was confirmed, else it would begin earlier.
  HEARTH_TRY(file_, fs_.open_append(options_.folder + "/" + audit_file_name(line.seq),
                                    /*truncate=*/true));
  file_bytes_ = 0;
  file_day_ = line.day;
  return {};
}

// What became durable leaves `lines`. After a failure nobody knows what of the file has reached the
// disk: it gets nothing more, and the next attempt begins a new one.
Status AuditSink::write(std::deque<AuditLine>& lines) {
  while (!lines.empty()) {
    const AuditLine& first = lines.front();
    const bool follows = first.seq == durable_ + 1 && first.day == file_day_ &&
                         file_bytes_ < options_.file_bytes_max;
    if (!follows) file_.reset();
    const bool fresh = file_ == nullptr;
    std::string bytes;
    std::size_t count = 0;
    std::uint64_t next = first.seq;
    while (count < lines.size() && lines[count].day == first.day && lines[count].seq == next &&
           (count == 0 || (fresh ? 0 : file_bytes_) + bytes.size() < options_.file_bytes_max)) {
      bytes += lines[count].text;
      ++count;
      ++next;
    }
    const auto attempt = [&]() -> Status {
      if (fresh) HEARTH_TRY_VOID(begin_file(first));
      if (FAULT_POINT("audit.write"))
        return fail(ErrorKind::kIo, "disk_full", "{}: no space left (simulated)", options_.folder);
      HEARTH_TRY_VOID(file_->append(bytes));
      HEARTH_TRY_VOID(file_->sync());
      return fresh ? fs_.sync_folder(options_.folder) : Status{};
    };
    if (const Status outcome = attempt(); !outcome) {
      file_.reset();
      return outcome;
    }
    file_bytes_ += bytes.size();
    durable_ = next - 1;
    lines.erase(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(count));
    forget(bytes.size());
  }
  return {};
}

}  // namespace hearth::security

#include "security/audit_log.h"

#include <algorithm>
#include <array>
#include <future>
#include <iterator>
#include <utility>

#include "base/log.h"
#include "base/start_thread.h"
#include "crypto/hmac.h"
#include "security/audit_reader.h"

namespace hearth::security {
namespace {

constexpr std::size_t kInstanceBytes = 16;
constexpr std::chrono::hours kTrimInterval{1};

std::int64_t day_of(std::chrono::system_clock::time_point time) {
  return std::chrono::floor<std::chrono::days>(time).time_since_epoch().count();
}

tl::unexpected<Error> unavailable(const char* why) {
  return tl::unexpected<Error>(Error{ErrorKind::kExhausted, "audit_unavailable",
                                     fmt::format("the audit log takes no record now: {}", why),
                                     /*retry_after_s=*/1});
}

}  // namespace

AuditLog::AuditLog(FileSystem& fs, const Clock& clock, AuditOptions options,
                   crypto::Ed25519Key signer)
    : fs_(fs), clock_(clock), options_(std::move(options)), signer_(std::move(signer)) {
  HEARTH_CHECK(!options_.folders.empty());
}

AuditLog::~AuditLog() { stop(); }

Result<std::unique_ptr<AuditLog>> AuditLog::open(FileSystem& fs, const Clock& clock,
                                                 AuditOptions options, crypto::Ed25519Key signer) {
  std::unique_ptr<AuditLog> made(new AuditLog(fs, clock, std::move(options), std::move(signer)));
  if (auto begun = made->begin(); !begun) {
    made->stopped_ = true;  // there is nothing to say at the end
    for (Folder& folder : made->folders_)
      if (folder.sink) folder.sink->stop();
    return tl::unexpected<Error>(std::move(begun).error());
  }
  return made;
}

Status AuditLog::begin() {
  std::vector<AuditTail> tails;
  for (const std::string& path : options_.folders) {
    HEARTH_TRY_VOID(fs_.make_folders(path, 0700));
    Folder folder;
    HEARTH_TRY(folder.lock, fs_.lock(path + "/lock"));
    HEARTH_TRY(auto tail, read_audit_tail(fs_, path));
    // What a process that was killed had written need not have reached the disk.
    if (!tail.last_path.empty()) {
      HEARTH_TRY(const auto file, fs_.open_append(tail.last_path, /*truncate=*/false));
      HEARTH_TRY_VOID(file->sync());
    }
    tails.push_back(std::move(tail));
    folders_.push_back(std::move(folder));
  }
  std::size_t longest = 0;
  for (std::size_t i = 1; i < tails.size(); ++i) {
    const AuditHead& other = tails[i].head;
    if (other.seq > 0 && tails[longest].head.seq > 0 &&
        other.instance != tails[longest].head.instance)
      return invalid("audit_mismatch", "{} and {} hold the logs of two instances",
                     options_.folders[longest], options_.folders[i]);
    if (other.seq > tails[longest].head.seq) longest = i;
  }
  head_ = tails[longest].head;
  if (head_.instance.empty()) {
    std::array<std::byte, kInstanceBytes> id{};
    crypto::fill_random(id);
    head_.instance = crypto::hex(id);
  }
  instance_ = head_.instance;
  AuditRecord start = {"start",
                       {{"program", options_.program},
                        {"signer", crypto::hex(signer_.public_key())},
                        {"torn_bytes", OrderedJson::array()}}};
  for (std::size_t i = 0; i < folders_.size(); ++i) {
    start.fields["torn_bytes"].push_back(tails[i].torn_bytes);
    if (tails[i].torn_bytes > 0)
      log::warn("audit log: {} bytes of an unfinished record are left aside in {}",
                tails[i].torn_bytes, options_.folders[i]);
    AuditSinkOptions sink = {options_.folders[i], options_.file_bytes_max,
                             options_.backlog_bytes_max, options_.retry_interval};
    folders_[i].sink = std::make_unique<AuditSink>(
        fs_, std::move(sink),
        [this, i](std::uint64_t durable, const Status& outcome) { report(i, durable, outcome); });
  }
  for (std::size_t i = 0; i < folders_.size(); ++i)
    if (tails[i].head.seq < head_.seq) HEARTH_TRY_VOID(catch_up(i, longest, tails[i].head.seq + 1));
  minder_ = start_thread([this] { mind(); });
  const auto told = std::make_shared<std::promise<Status>>();
  append(start, [told](const Status& confirmed) { told->set_value(confirmed); });
  const Status confirmed = told->get_future().get();
  if (!confirmed) {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    minder_ready_.notify_one();
    minder_.join();
    return prefixed(options_.folders.front(), confirmed.error());
  }
  return {};
}

// A process that is killed may have written a record to one folder and not yet to the other.
Status AuditLog::catch_up(std::size_t behind, std::size_t ahead, std::uint64_t from) {
  bool complete = true;
  HEARTH_TRY(
      const auto walk, walk_audit(fs_, options_.folders[ahead], [&](const AuditEntry& entry) {
        if (entry.seq < from || !complete) return Status{};
        complete =
            folders_[behind].sink->push({entry.seq, day_of(clock_.wall()), entry.line + "\n"});
        return Status{};
      }));
  if (walk.first_seq > from) complete = false;
  if (!complete) {
    folders_[behind].has_gap = true;
    log::warn("audit log: {} lacks records from {} on; {} has them", options_.folders[behind], from,
              options_.folders[ahead]);
  }
  return {};
}

bool AuditLog::accepting_locked() const {
  return !blocked_ && !stopping_ &&
         std::any_of(folders_.begin(), folders_.end(),
                     [](const Folder& folder) { return !folder.failing; });
}

bool AuditLog::accepting() const {
  const std::lock_guard lock(mutex_);
  return accepting_locked();
}

std::uint64_t AuditLog::append(const AuditRecord& record, Done done) {
  const std::lock_guard lock(mutex_);
  const bool refused = done && !accepting_locked();
  const std::uint64_t seq = refused ? 0 : chain_locked(record, /*sign=*/false);
  if (!done) return seq;
  if (seq == 0) {
    ++stats_.refused;
    rejected_.push_back(std::move(done));
    minder_ready_.notify_one();
  } else {
    const bool first = waiters_.empty();
    waiters_.push_back({seq, Clock::system().now(), std::move(done)});
    if (first) minder_ready_.notify_one();
  }
  return seq;
}

std::uint64_t AuditLog::chain_locked(const AuditRecord& record, bool sign) {
  if (stopped_) return 0;
  if (untold_losses_ > 0 && record.kind != "lost") {
    const AuditRecord lost = {"lost", {{"records", untold_losses_}}};
    if (chain_locked(lost, false) == 0) {
      ++untold_losses_;
      ++stats_.lost;
      return 0;
    }
    untold_losses_ = 0;
  }
  const auto now = clock_.wall();
  std::string text = audit_line(head_, audit_time(now), record);
  if (sign) text = signed_audit_line(std::move(text), signer_);
  const bool room = std::any_of(folders_.begin(), folders_.end(), [&](const Folder& folder) {
    return folder.sink->has_room(text.size() + 1);
  });
  if (!room) {
    if (record.kind == "lost") return 0;
    ++untold_losses_;
    ++stats_.lost;
    log::error("audit log: no room for a record; it is left out");
    return 0;
  }
  head_.hash = audit_hash(text);
  ++head_.seq;
  ++stats_.records[record.kind];
  push_locked({head_.seq, day_of(now), std::move(text) + "\n"});
  return head_.seq;
}

void AuditLog::push_locked(const AuditLine& line) {
  for (std::size_t i = 0; i < folders_.size(); ++i) {
    if (folders_[i].sink->push(line)) continue;
    folders_[i].left_out = line.seq;
    if (std::exchange(folders_[i].has_gap, true)) continue;
    log::error("audit log: {} lacks records from {} on; another folder has them",
               options_.folders[i], line.seq);
  }
}

// On the thread of a sink.
void AuditLog::report(std::size_t index, std::uint64_t durable, const Status& outcome) {
  std::vector<Done> confirmed;
  std::vector<Done> refused;
  {
    const std::lock_guard lock(mutex_);
    Folder& folder = folders_[index];
    const bool progress = durable > folder.durable;
    folder.durable = std::max(folder.durable, durable);
    if (!outcome) {
      ++folder.failures;
      if (!folder.failing) log::error("audit log: {}", outcome.error().message);
    } else if (folder.failing) {
      log::info("audit log: {} is written again", options_.folders[index]);
    }
    folder.failing = !outcome;
    if (progress) blocked_ = false;
    std::erase_if(waiters_, [&](Waiter& waiter) {
      if (waiter.seq > folder.durable || waiter.seq <= folder.left_out) return false;
      stats_.last_commit_s =
          std::chrono::duration<double>(Clock::system().now() - waiter.since).count();
      confirmed.push_back(std::move(waiter.done));
      return true;
    });
    if (std::all_of(folders_.begin(), folders_.end(),
                    [](const Folder& each) { return each.failing; })) {
      for (Waiter& waiter : waiters_) refused.push_back(std::move(waiter.done));
      stats_.refused += waiters_.size();
      waiters_.clear();
    }
  }
  for (const Done& done : confirmed) done({});
  for (const Done& done : refused) done(unavailable("its disks fail"));
}

void AuditLog::checkpoint_locked() {
  if (head_.seq == checkpoint_seq_) return;
  const AuditRecord record = {"checkpoint", {{"signer", crypto::hex(signer_.public_key())}}};
  if (const std::uint64_t seq = chain_locked(record, /*sign=*/true); seq != 0)
    checkpoint_seq_ = seq;
}

void AuditLog::checkpoint() {
  const std::lock_guard lock(mutex_);
  checkpoint_locked();
}

void AuditLog::mind() {
  const auto& now = [] { return Clock::system().now().time_since_epoch(); };
  auto next_checkpoint = now() + options_.checkpoint_interval;
  auto next_trim = now();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    auto wake = std::min<Clock::duration>(next_checkpoint, next_trim);
    if (!waiters_.empty())
      wake = std::min<Clock::duration>(
          wake, waiters_.front().since.time_since_epoch() + options_.deadline);
    if (rejected_.empty()) minder_ready_.wait_for(lock, wake - now());
    if (stopping_) break;
    std::vector<Done> refused(std::make_move_iterator(rejected_.begin()),
                              std::make_move_iterator(rejected_.end()));
    rejected_.clear();
    bool late = false;
    while (!waiters_.empty() &&
           waiters_.front().since.time_since_epoch() + options_.deadline <= now()) {
      refused.push_back(std::move(waiters_.front().done));
      waiters_.pop_front();
      ++stats_.refused;
      late = true;
    }
    if (late && !blocked_) {
      blocked_ = true;
      log::error("audit log: no disk has taken a record for {} ms", options_.deadline.count());
    }
    if (now() >= next_checkpoint) {
      next_checkpoint = now() + options_.checkpoint_interval;
      checkpoint_locked();
    }
    const bool trims = now() >= next_trim;
    if (trims) next_trim = now() + kTrimInterval;
    lock.unlock();
    for (const Done& done : refused) done(unavailable("its disks do not answer"));
    if (trims) trim();
    lock.lock();
  }
}

void AuditLog::trim() {
  for (std::size_t i = 0; i < folders_.size(); ++i) trim(i);
}

// Whole files from the front, and only those all of whose records are old enough: the next file's
// first record is the oldest that stays. A record of it comes first; it says where the rest begins.
void AuditLog::trim(std::size_t folder) {
  const std::string& path = options_.folders[folder];
  const auto files = list_audit_files(fs_, path);
  if (!files) return log::warn("audit log: {}", files.error().message);
  const std::string oldest = audit_time(clock_.wall() - options_.keep);
  std::size_t count = 0;
  AuditEntry rest;
  for (std::size_t i = 1; i < files->size(); ++i) {
    const auto first = first_audit_entry(fs_, (*files)[i]);
    if (!first || !*first) break;
    if ((*first)->time > oldest) break;
    count = i;
    rest = **first;
  }
  if (count == 0) return;
  std::vector<std::string> old;
  for (std::size_t i = 0; i < count; ++i) old.push_back((*files)[i].path);
  const AuditRecord record = {"trim",
                              {{"folder", folder},
                               {"files", count},
                               {"first", rest.seq},
                               {"before", rest.prev},
                               {"first_time", rest.time}}};
  append(record, [this, path, old = std::move(old)](const Status& confirmed) {
    if (!confirmed) return;  // another time
    for (const std::string& file : old) {
      if (const Status removed = fs_.remove(file); !removed)
        return log::warn("audit log: {}", removed.error().message);
    }
    if (const Status synced = fs_.sync_folder(path); !synced)
      log::warn("audit log: {}", synced.error().message);
  });
}

AuditStats AuditLog::stats() const {
  const std::lock_guard lock(mutex_);
  AuditStats stats = stats_;
  for (const Folder& folder : folders_) stats.failures.push_back(folder.failures);
  stats.accepting = accepting_locked();
  return stats;
}

void AuditLog::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    chain_locked({"stop", OrderedJson::object()}, /*sign=*/false);
    checkpoint_locked();
    stopping_ = true;
    stopped_ = true;
  }
  minder_ready_.notify_one();
  if (minder_.joinable()) minder_.join();
  for (Folder& folder : folders_) folder.sink->stop();
  for (const Waiter& waiter : waiters_) waiter.done(unavailable("it has ended"));
  for (const Done& done : rejected_) done(unavailable("it has ended"));
  waiters_.clear();
  rejected_.clear();
}

}  // namespace hearth::security

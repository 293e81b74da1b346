#include "security/audit_log.h"

#include <chrono>
#include <set>
#include <thread>

#include "security/audit_fixture.h"
#include "testing/failing_fs.h"

namespace hearth::security {
namespace {

using namespace std::chrono_literals;
using testing::FailingFs;
using testing::FakeClock;

template <class Condition>
bool eventually(const Condition& condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

struct Site {
  explicit Site(std::uint64_t seed = 1) : disk(seed), fs(disk) {}

  Result<std::unique_ptr<AuditLog>> open(AuditOptions options = test_audit_options()) {
    return AuditLog::open(fs, clock, std::move(options), test_signer());
  }
  std::unique_ptr<AuditLog> log(AuditOptions options = test_audit_options()) {
    auto made = open(std::move(options));
    EXPECT_TRUE(made) << made.error().message;
    return made ? *std::move(made) : nullptr;
  }
  AuditSummary verified(const std::string& folder = "/audit") {
    auto summary = verify_audit(fs, folder, test_signer().public_key());
    EXPECT_TRUE(summary) << summary.error().message;
    return summary.value_or(AuditSummary());
  }
  std::set<std::uint64_t> records(const std::string& folder = "/audit") {
    std::set<std::uint64_t> seqs;
    const auto walk = walk_audit(fs, folder, [&](const AuditEntry& entry) {
      seqs.insert(entry.seq);
      return Status{};
    });
    EXPECT_TRUE(walk) << walk.error().message;
    return seqs;
  }

  FailingFs disk;
  GatedFs fs;
  FakeClock clock;
};

TEST(AuditLog, ChainsSignsAndVerifies) {
  Site site;
  auto log = site.log();
  std::uint64_t opened = 0;
  ASSERT_TRUE(put(*log, test_record(1), &opened));
  EXPECT_EQ(opened, 2u);  // after the start
  log->append({"closed", {{"opened", opened}, {"result", "ok"}}});
  ASSERT_TRUE(put(*log, test_record(2)));
  log->checkpoint();
  log->append({"act", {{"act", "load_model"}}});
  log->stop();
  const AuditSummary summary = site.verified();
  EXPECT_EQ(summary.walk.records, 8u);  // start, 3, checkpoint, act, stop, checkpoint
  EXPECT_EQ(summary.requests, 2u);
  EXPECT_EQ(summary.closed, 1u);
  EXPECT_EQ(summary.open, 1u);
  EXPECT_EQ(summary.acts, 1u);
  EXPECT_EQ(summary.checkpoints, 2u);
  EXPECT_EQ(summary.unsigned_records, 0u);
  EXPECT_EQ(summary.walk.head.instance, log->instance());
  EXPECT_EQ(summary.unmatched, 0u);
  const auto other = verify_audit(site.fs, "/audit", test_signer('x').public_key());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, "audit_damaged");
}

TEST(AuditLog, GoesOnAfterARestart) {
  Site site;
  std::string instance;
  {
    auto log = site.log();
    instance = log->instance();
    ASSERT_TRUE(put(*log, test_record(1)));
  }
  auto log = site.log();
  EXPECT_EQ(log->instance(), instance);
  log->stop();
  const AuditSummary summary = site.verified();
  EXPECT_EQ(summary.starts, 2u);
  EXPECT_EQ(summary.interrupted, 1u);
  EXPECT_EQ(summary.open, 0u);
  EXPECT_EQ(summary.walk.files, 2u);
  EXPECT_TRUE(summary.walk.first_seq == 1);
}

TEST(AuditLog, OneProcessWritesAFolder) {
  Site site;
  auto log = site.log();
  const auto second = site.open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "locked");
}

TEST(AuditLog, BeginsFilesBySizeAndByDay) {
  Site site;
  AuditOptions options = test_audit_options();
  options.file_bytes_max = 1000;
  auto log = site.log(options);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(put(*log, test_record(i)));
  const auto before = list_audit_files(site.fs, "/audit");
  ASSERT_TRUE(before);
  EXPECT_GT(before->size(), 4u);
  for (const AuditFile& file : *before) EXPECT_LT(file.bytes, 1500u);
  site.clock.advance(25h);
  ASSERT_TRUE(put(*log, test_record(20)));
  std::uint64_t seq = 0;
  ASSERT_TRUE(put(*log, test_record(21), &seq));
  const auto after = list_audit_files(site.fs, "/audit");
  ASSERT_TRUE(after);
  EXPECT_EQ(after->back().first_seq, seq - 1);
  log->stop();
  EXPECT_EQ(site.verified().requests, 22u);
}

TEST(AuditLog, DropsWhatATornLineLeft) {
  std::string line;
  {
    Site site;
    auto log = site.log();
    ASSERT_TRUE(put(*log, test_record(1)));
    const auto text = read_small_file(site.fs, "/audit/" + audit_file_name(1));
    ASSERT_TRUE(text);
    line = text->substr(text->find('\n') + 1);
  }
  for (std::size_t length = 0; length < line.size(); ++length) {
    Site site;
    site.log()->stop();
    const std::uint64_t whole = site.verified().walk.records;
    {
      const auto files = list_audit_files(site.fs, "/audit");
      auto file = site.fs.open_append(files->back().path, false);
      ASSERT_TRUE((*file)->append(line.substr(0, length)));
    }
    ASSERT_EQ(site.verified().walk.torn_bytes, length);
    auto log = site.log();
    ASSERT_TRUE(log);
    ASSERT_TRUE(put(*log, test_record(2)));
    log->stop();
    const AuditSummary summary = site.verified();
    EXPECT_EQ(summary.walk.records, whole + 4);
    EXPECT_EQ(summary.walk.torn_bytes, length);
  }
}

// Each step of what a log does fails, then the power goes. What was confirmed is there, the chain
// verifies, and the log goes on.
TEST(AuditLog, Fault27PowerCutAtEachStep) {
  for (std::uint64_t step = 1;; ++step) {
    Site site(step);
    std::set<std::uint64_t> confirmed;
    site.disk.fail_operation(step, /*and_all_after=*/true);
    AuditOptions options = test_audit_options();
    options.file_bytes_max = 600;
    {
      auto log = site.open(options);
      for (int i = 0; log && i < 6; ++i) {
        std::uint64_t seq = 0;
        if (put(**log, test_record(i), &seq)) confirmed.insert(seq);
      }
      if (log) (*log)->stop();
    }
    const bool failed = site.disk.has_failed();
    site.disk.power_cut();
    const auto there = site.records();
    for (const std::uint64_t seq : confirmed) EXPECT_TRUE(there.contains(seq)) << step;
    auto log = site.log(options);
    ASSERT_TRUE(log) << step;
    ASSERT_TRUE(put(*log, test_record(99)));
    log->stop();
    const AuditSummary summary = site.verified();
    EXPECT_GE(summary.requests, confirmed.size() + 1);
    if (!failed) {
      EXPECT_EQ(confirmed.size(), 6u);
      EXPECT_GT(step, 20u);
      break;
    }
  }
}

// A disk that fails once: nothing that was confirmed is missing or there twice.
TEST(AuditLog, Fault28DiskFailsOnceAtEachStep) {
  for (std::uint64_t step = 1;; ++step) {
    Site site(step);
    AuditOptions options = test_audit_options();
    options.file_bytes_max = 600;
    site.log(options)->stop();
    site.disk.fail_operation(step, /*and_all_after=*/false);
    std::set<std::uint64_t> confirmed;
    {
      auto log = site.open(options);
      for (int i = 0; log && i < 6; ++i) {
        std::uint64_t seq = 0;
        if (put(**log, test_record(i), &seq)) {
          confirmed.insert(seq);
        } else {
          EXPECT_TRUE(eventually([&] { return (*log)->accepting(); }));
        }
      }
      if (log) (*log)->stop();
    }
    const bool failed = site.disk.has_failed();
    site.disk.never_fail();
    const auto there = site.records();
    for (const std::uint64_t seq : confirmed) EXPECT_TRUE(there.contains(seq)) << step;
    site.log(options)->stop();
    EXPECT_GE(site.verified().requests, confirmed.size());
    if (!failed) break;
  }
}

TEST(AuditLog, Fault28RefusesWhileTheDiskFailsAndGoesOnAfterwards) {
  Site site;
  auto log = site.log();
  ASSERT_TRUE(put(*log, test_record(1)));
  {
    const auto lock = site.fs.hold();
    site.disk.fail_operation(1, /*and_all_after=*/true);
  }
  const Status refused = put(*log, test_record(2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "audit_unavailable");
  EXPECT_FALSE(log->accepting());
  EXPECT_FALSE(put(*log, test_record(3)));                  // at once
  EXPECT_EQ(log->append({"closed", {{"opened", 2}}}), 4u);  // kept
  {
    const auto lock = site.fs.hold();
    site.disk.never_fail();
  }
  EXPECT_TRUE(eventually([&] { return log->accepting(); }));
  ASSERT_TRUE(put(*log, test_record(4)));
  const AuditStats stats = log->stats();
  EXPECT_GE(stats.failures.at(0), 1u);
  EXPECT_EQ(stats.refused, 2u);
  EXPECT_EQ(stats.lost, 0u);
  log->stop();
  const AuditSummary summary = site.verified();
  EXPECT_EQ(summary.requests, 3u);  // 1, 2 that came too late, 4
  EXPECT_EQ(summary.closed, 1u);
}

TEST(AuditLog, Fault28ABlockedDiskHasADeadline) {
  Site site;
  AuditOptions options = test_audit_options();
  options.deadline = 50ms;
  auto log = site.log(options);
  site.fs.block("/audit");
  const Status refused = put(*log, test_record(1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "audit_unavailable");
  EXPECT_FALSE(log->accepting());
  EXPECT_FALSE(put(*log, test_record(2)));
  site.fs.open_gate();
  EXPECT_TRUE(eventually([&] { return log->accepting(); }));
  EXPECT_TRUE(put(*log, test_record(3)));
  log->stop();
  EXPECT_EQ(site.verified().requests, 2u);
}

TEST(AuditLog, Fault28TheSecondFolderTakesOver) {
  Site site;
  const AuditOptions options = test_audit_options({"/audit", "/second"});
  {
    auto log = site.log(options);
    ASSERT_TRUE(put(*log, test_record(1)));
    site.fs.block("/audit");
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(put(*log, test_record(i)));
    EXPECT_TRUE(log->accepting());
    site.fs.open_gate();
    log->stop();
  }
  EXPECT_EQ(site.records("/audit"), site.records("/second"));
  EXPECT_TRUE(compare_audit(site.fs, "/audit", "/second"));
}

// Killed between the two: the one that is behind gets what it lacks.
TEST(AuditLog, FoldersAgreeAgainAfterACrash) {
  Site site;
  const AuditOptions options = test_audit_options({"/audit", "/second"});
  {
    auto log = site.log(options);
    ASSERT_TRUE(put(*log, test_record(1)));
    site.fs.block("/audit");
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(put(*log, test_record(i)));
    {  // what the one folder has not synced is gone
      const auto lock = site.fs.hold();
      site.disk.fail_operation(1, /*and_all_after=*/true);
    }
    site.fs.open_gate();
    log->stop();
  }
  site.disk.power_cut();
  EXPECT_EQ(site.records("/second").count(12), 1u);
  {
    auto log = site.log(options);
    ASSERT_TRUE(log);
    log->stop();
  }
  EXPECT_EQ(site.records("/audit"), site.records("/second"));
  EXPECT_TRUE(compare_audit(site.fs, "/audit", "/second"));
  EXPECT_EQ(site.verified("/audit").requests, 11u);
}

TEST(AuditLog, TwoChainsAreNotMixed) {
  Site site;
  site.log()->stop();
  site.log(test_audit_options({"/other"}))->stop();
  const auto mixed = site.open(test_audit_options({"/audit", "/other"}));
  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().code, "audit_mismatch");
}

TEST(AuditLog, SaysWhatItHadNoRoomFor) {
  Site site;
  AuditOptions options = test_audit_options();
  options.backlog_bytes_max = 4000;
  auto log = site.log(options);
  site.fs.block("/audit");
  int kept = 0;
  for (int i = 0; i < 100; ++i) kept += log->append(test_record(i)) != 0 ? 1 : 0;
  EXPECT_GT(kept, 5);
  EXPECT_LT(kept, 50);
  const std::uint64_t lost = log->stats().lost;
  EXPECT_EQ(lost, static_cast<std::uint64_t>(100 - kept));
  site.fs.open_gate();
  EXPECT_TRUE(eventually([&] { return log->append(test_record(100)) != 0; }));
  const std::uint64_t lost_at_last = log->stats().lost;
  log->stop();
  const AuditSummary summary = site.verified();
  EXPECT_EQ(summary.lost, lost_at_last);
  EXPECT_EQ(summary.requests, static_cast<std::uint64_t>(kept) + 1);
}

TEST(AuditLog, OldFilesGoAndTheRestSaysSo) {
  Site site;
  AuditOptions options = test_audit_options();
  options.keep = std::chrono::days(180);
  for (int day = 0; day < 190; day += 10) {
    auto log = site.log(options);
    ASSERT_TRUE(put(*log, test_record(day)));
    log->stop();
    site.clock.advance(240h);
  }
  const AuditSummary before = site.verified();
  EXPECT_EQ(before.walk.first_seq, 1u);
  site.clock.advance(240h);
  auto log = site.log(options);  // at day 200: records of day 20 and later stay
  EXPECT_TRUE(eventually([&] {
    const auto files = list_audit_files(site.fs, "/audit");
    return files && files->front().first_seq > 1;
  }));
  log->stop();
  const AuditSummary summary = site.verified();
  EXPECT_GT(summary.walk.first_seq, 1u);
  const std::string oldest_kept = audit_time(site.clock.wall() - options.keep);
  EXPECT_LE(summary.first_time, oldest_kept);  // nothing younger has gone
  EXPECT_EQ(summary.requests, 17u);            // days 20 to 180
}

// What 32 clients ask for shares syncs, and everyone is confirmed.
TEST(AuditLog, CommitsInGroups) {
  constexpr int kClients = 32;
  constexpr int kEach = 50;
  Site site;
  auto log = site.log();
  const std::uint64_t before = site.fs.syncs();
  std::atomic<int> confirmed{0};
  std::vector<std::thread> clients;
  site.fs.set_sync_time(1ms);
  site.fs.block("/audit");
  for (int c = 0; c < kClients; ++c)
    clients.emplace_back([&] {
      for (int i = 0; i < kEach; ++i)
        if (put(*log, test_record(i))) ++confirmed;
    });
  // All of them wait for the first sync or the second.
  EXPECT_TRUE(eventually([&] { return log->stats().records["opened"] == kClients; }));
  site.fs.open_gate();
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(confirmed, kClients * kEach);
  EXPECT_LT(site.fs.syncs() - before, static_cast<std::uint64_t>(kClients * kEach / 2));
  log->stop();
  EXPECT_EQ(site.verified().requests, static_cast<std::uint64_t>(kClients * kEach));
}

}  // namespace
}  // namespace hearth::security

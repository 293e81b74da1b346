#include "security/audit_summary.h"

#include <algorithm>
#include <string>
#include <vector>

#include "security/audit_fixture.h"
#include "testing/failing_fs.h"

namespace hearth::security {
namespace {

using testing::FailingFs;
using testing::FakeClock;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// A log of two files, the second ending with a checkpoint.
class AuditSummaryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int run = 0; run < 2; ++run) {
      auto log =
          AuditLog::open(fs_, clock_, test_audit_options({"/audit", "/second"}), test_signer());
      ASSERT_TRUE(log) << log.error().message;
      std::uint64_t opened = 0;
      ASSERT_TRUE(put(**log, test_record(run), &opened));
      (*log)->append({"closed", {{"opened", opened}, {"result", "ok"}}});
      (*log)->checkpoint();
      ASSERT_TRUE(put(**log, {"opened", {{"identity", "doctor"}}}));
      ASSERT_TRUE(put(**log, {"act", {{"act", "load_model"}, {"identity", "ops"}}}));
      (*log)->stop();
      clock_.advance(std::chrono::hours(1));
    }
    const auto files = list_audit_files(fs_, "/audit");
    ASSERT_TRUE(files);
    ASSERT_EQ(files->size(), 2u);
    for (const AuditFile& file : *files) {
      paths_.push_back(file.path);
      const auto text = read_small_file(fs_, file.path);
      ASSERT_TRUE(text);
      texts_.push_back(*text);
    }
    ASSERT_TRUE(verify());
  }

  Result<AuditSummary> verify() { return verify_audit(fs_, "/audit", test_signer().public_key()); }
  // The log with this in the place of its file.
  Result<AuditSummary> verify_with(std::size_t file, const std::string& text) {
    const auto write = [&](const std::string& content) {
      auto open = fs_.open_append(paths_[file], /*truncate=*/true);
      EXPECT_TRUE(open && (*open)->append(content));
    };
    write(text);
    auto summary = verify();
    write(texts_[file]);
    return summary;
  }
  void expect_damaged(std::size_t file, const std::vector<std::string>& lines,
                      const std::string& what) {
    const auto summary = verify_with(file, joined(lines));
    ASSERT_FALSE(summary) << what;
    EXPECT_EQ(summary.error().code, "audit_damaged") << what;
  }

  FailingFs disk_{1};
  GatedFs fs_{disk_};
  FakeClock clock_;
  std::vector<std::string> paths_;
  std::vector<std::string> texts_;
};

TEST_F(AuditSummaryTest, EachChangedCharacterShows) {
  for (std::size_t file = 0; file < texts_.size(); ++file) {
    for (std::size_t at = 0; at < texts_[file].size(); ++at) {
      std::string changed = texts_[file];
      changed[at] = changed[at] == '7' ? '8' : '7';
      // The last newline: then the last line is as one that a crash has torn.
      if (at + 1 == changed.size()) continue;
      const auto summary = verify_with(file, changed);
      ASSERT_FALSE(summary) << file << " " << at << " " << texts_[file].substr(at, 40);
    }
  }
}

TEST_F(AuditSummaryTest, EachRemovedSwappedAndRepeatedLineShows) {
  for (std::size_t file = 0; file < texts_.size(); ++file) {
    const auto lines = lines_of(texts_[file]);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const bool at_the_end = file == 1 && i + 1 == lines.size();
      auto fewer = lines;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      if (!at_the_end) expect_damaged(file, fewer, "removed");
      auto more = lines;
      more.insert(more.begin() + static_cast<std::ptrdiff_t>(i), lines[i]);
      expect_damaged(file, more, "repeated");
      if (i + 1 == lines.size()) continue;
      auto swapped = lines;
      std::swap(swapped[i], swapped[i + 1]);
      expect_damaged(file, swapped, "swapped");
    }
  }
}

TEST_F(AuditSummaryTest, AMissingFileShows) {
  ASSERT_TRUE(fs_.remove(paths_[0]));
  EXPECT_FALSE(verify());
}

// The chain alone cannot show a cut at its end; the missing signature and the second folder do.
TEST_F(AuditSummaryTest, LinesCutFromTheEndShowBesides) {
  auto lines = lines_of(texts_[1]);
  EXPECT_EQ(verify()->unsigned_records, 0u);
  EXPECT_TRUE(compare_audit(fs_, "/audit", "/second"));
  lines.pop_back();
  auto file = fs_.open_append(paths_[1], /*truncate=*/true);
  ASSERT_TRUE((*file)->append(joined(lines)));
  const auto summary = verify();
  ASSERT_TRUE(summary);
  EXPECT_GT(summary->unsigned_records, 0u);
  const Status compared = compare_audit(fs_, "/audit", "/second");
  ASSERT_FALSE(compared);
  EXPECT_EQ(compared.error().code, "audit_mismatch");
}

TEST_F(AuditSummaryTest, ForgedCheckpointShows) {
  auto lines = lines_of(texts_[1]);
  std::string& last = lines.back();
  const std::size_t at = last.find("\"sig\":\"") + 7;
  last[at] = last[at] == 'a' ? 'b' : 'a';
  expect_damaged(1, lines, "signature");
}

TEST_F(AuditSummaryTest, QueriesJoinWhatBelongsTogether) {
  const auto rows = query_audit(fs_, "/audit", {.kind = "request"}, /*running=*/false);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 4u);
  EXPECT_EQ((*rows)[0]["result"], "ok");
  EXPECT_EQ((*rows)[0]["identity"], "nurse");
  EXPECT_EQ((*rows)[1]["result"], "interrupted");
  EXPECT_EQ((*rows)[3]["result"], "interrupted");
  const auto running = query_audit(fs_, "/audit", {.kind = "request"}, /*running=*/true);
  EXPECT_EQ((*running)[1]["result"], "interrupted");
  EXPECT_EQ((*running)[3]["result"], "open");
  EXPECT_EQ(query_audit(fs_, "/audit", {.identity = "ops"}, false)->size(), 2u);
  EXPECT_EQ(query_audit(fs_, "/audit", {.result = "ok"}, false)->size(), 2u);
  EXPECT_EQ(query_audit(fs_, "/audit", {.limit = 3}, false)->size(), 3u);
  // The clock began at midnight and the second run an hour later.
  EXPECT_EQ(query_audit(fs_, "/audit", {.since = "2026-01-01T01", .kind = "act"}, false)->size(),
            1u);
  EXPECT_EQ(query_audit(fs_, "/audit", {.until = "2026-01-01T00", .kind = "act"}, false)->size(),
            1u);
  EXPECT_EQ(query_audit(fs_, "/audit", {.until = "2026-01-01", .kind = "act"}, false)->size(), 2u);
}

TEST(AuditTime, IsUtcWithMicroseconds) {
  const FakeClock clock;
  EXPECT_EQ(audit_time(clock.wall() + std::chrono::microseconds(1'234'567)),
            "2026-01-01T00:00:01.234567Z");
  EXPECT_EQ(*parse_audit_time("2026-01-01"), "2026-01-01");
  EXPECT_EQ(*parse_audit_time("2026-01-01T12:00:00Z"), "2026-01-01T12:00:00");
  for (const char* wrong : {"", "yesterday", "2026-1-1", "26", "2026-01-01 12:00", "2026-01-01TZZ"})
    EXPECT_FALSE(parse_audit_time(wrong)) << wrong;
}

}  // namespace
}  // namespace hearth::security

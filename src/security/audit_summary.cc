#include "security/audit_summary.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

namespace hearth::security {
namespace {

// Counts, record by record.
class Checker {
 public:
  explicit Checker(const std::optional<crypto::Ed25519Public>& signer) : signer_(signer) {}

  Status record(const AuditEntry& entry) {
    if (summary_.first_time.empty()) summary_.first_time = entry.time;
    summary_.last_time = entry.time;
    ++summary_.unsigned_records;
    // By the signature too, so that a checkpoint cannot be made something else.
    if (entry.kind == "checkpoint" || entry.document.contains("sig")) return checkpoint(entry);
    if (entry.kind == "start") {
      ++summary_.starts;
      summary_.interrupted += open_.size();
      open_.clear();
    } else if (entry.kind == "opened") {
      ++summary_.requests;
      open_.insert(entry.seq);
    } else if (entry.kind == "closed") {
      ++summary_.closed;
      closes_.push_back(audit_number(entry.document, "opened"));
      if (open_.erase(closes_.back()) > 0) closes_.pop_back();
    } else if (entry.kind == "refused") {
      ++summary_.refused;
    } else if (entry.kind == "act") {
      ++summary_.acts;
    } else if (entry.kind == "lost") {
      summary_.lost += audit_number(entry.document, "records");
    } else if (entry.kind == "trim") {
      trims_[audit_number(entry.document, "first")] = audit_text(entry.document, "before");
    }
    return {};
  }

  Result<AuditSummary> finish(const AuditWalk& walk, bool part) {
    summary_.walk = walk;
    summary_.open = open_.size();
    // Those that were opened before the oldest record are no fault.
    summary_.unmatched = static_cast<std::uint64_t>(
        std::count_if(closes_.begin(), closes_.end(),
                      [&](std::uint64_t opened) { return opened >= walk.first_seq; }));
    if (walk.first_seq == 1 || part) return std::move(summary_);
    // A trim that was interrupted has left more than it may: the rest begins before its place.
    const auto trim = trims_.lower_bound(walk.first_seq);
    if (trim == trims_.end())
      return invalid("audit_damaged",
                     "the records before {} are missing, and no record says that they were old "
                     "enough to go",
                     walk.first_seq);
    if (trim->first == walk.first_seq && trim->second != walk.first_prev)
      return invalid("audit_damaged", "the oldest record, {}, is not the one that was to stay",
                     walk.first_seq);
    return std::move(summary_);
  }

 private:
  Status checkpoint(const AuditEntry& entry) {
    const std::string name = audit_text(entry.document, "signer");
    const auto place = [&](std::string_view what) {
      return invalid("audit_damaged", "record {}: {}", entry.seq, what);
    };
    const auto signer = parse_audit_signer(name);
    if (!signer) return place(signer.error().message);
    if (signer_ && *signer_ != *signer) return place("it is signed with another key than yours");
    if (!audit_signature_holds(entry.line, *signer))
      return place("the signature of this checkpoint is wrong");
    ++summary_.checkpoints;
    summary_.unsigned_records = 0;
    auto& known = summary_.signers;
    if (std::find(known.begin(), known.end(), name) == known.end()) known.push_back(name);
    return {};
  }

  const std::optional<crypto::Ed25519Public>& signer_;
  AuditSummary summary_;
  std::set<std::uint64_t> open_;
  std::vector<std::uint64_t> closes_;           // of requests that were not open
  std::map<std::uint64_t, std::string> trims_;  // first that stays -> hash of the one before
};

}  // namespace

Result<AuditSummary> verify_audit(FileSystem& fs, const std::string& folder,
                                  const std::optional<crypto::Ed25519Public>& signer, bool part) {
  Checker checker(signer);
  HEARTH_TRY(const auto walk, walk_audit(fs, folder, [&](const AuditEntry& entry) {
               return checker.record(entry);
             }));
  if (walk.records == 0)
    return fail(ErrorKind::kNotFound, "audit_missing", "{} holds no record", folder);
  return checker.finish(walk, part);
}

OrderedJson to_json(const AuditSummary& s) {
  return {{"instance", s.walk.head.instance},
          {"files", s.walk.files},
          {"records", s.walk.records},
          {"first_seq", s.walk.first_seq},
          {"first_time", s.first_time},
          {"last_seq", s.walk.head.seq},
          {"last_time", s.last_time},
          {"last_hash", s.walk.head.hash},
          {"since_installation", s.walk.first_seq == 1},
          {"starts", s.starts},
          {"requests", s.requests},
          {"closed", s.closed},
          {"interrupted", s.interrupted},
          {"open", s.open},
          {"unmatched", s.unmatched},
          {"refused", s.refused},
          {"acts", s.acts},
          {"lost", s.lost},
          {"checkpoints", s.checkpoints},
          {"unsigned_records", s.unsigned_records},
          {"signers", s.signers},
          {"torn_bytes", s.walk.torn_bytes},
          {"superseded", s.walk.superseded}};
}

Status compare_audit(FileSystem& fs, const std::string& folder, const std::string& second) {
  std::map<std::uint64_t, std::string> hashes;
  std::string instance;
  HEARTH_TRY_VOID(walk_audit(fs, folder, [&](const AuditEntry& entry) {
    hashes.emplace(entry.seq, entry.hash);
    instance = entry.instance;
    return Status{};
  }));
  const auto other = walk_audit(fs, second, [&](const AuditEntry& entry) -> Status {
    const auto found = hashes.find(entry.seq);
    if (entry.instance != instance || (found != hashes.end() && found->second != entry.hash))
      return invalid("audit_mismatch", "record {} of {} differs from that in {}", entry.seq, second,
                     folder);
    return {};
  });
  if (!other) return tl::unexpected<Error>(other.error());
  if (!hashes.empty() && other->records > 0 && other->head.seq > hashes.rbegin()->first)
    return invalid("audit_mismatch", "{} ends at record {}, {} at {}: records were cut off", folder,
                   hashes.rbegin()->first, second, other->head.seq);
  return {};
}

Result<std::string> parse_audit_time(const std::string& text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00.000000";
  std::string_view given = text;
  if (given.ends_with('Z')) given.remove_suffix(1);
  bool good = given.size() >= 4 && given.size() <= kShape.size();
  for (std::size_t i = 0; good && i < given.size(); ++i)
    good = kShape[i] == '0' ? given[i] >= '0' && given[i] <= '9' : given[i] == kShape[i];
  if (!good)
    return invalid("invalid_time",
                   "'{}' is no time: it is written as 2026-11-30 or 2026-11-30T16:15:22Z, in UTC",
                   text);
  return std::string(given);
}

bool in_range(const AuditFilter& filter, const std::string& time) {
  return (filter.since.empty() || time >= filter.since) &&
         (filter.until.empty() || time.compare(0, filter.until.size(), filter.until) <= 0);
}

Result<std::vector<OrderedJson>> query_audit(FileSystem& fs, const std::string& folder,
                                             const AuditFilter& filter, bool running) {
  std::deque<OrderedJson> rows;
  std::map<std::uint64_t, std::size_t> open;  // by the record that opened it; rows by place
  const auto end_open = [&](const char* result) {
    for (const auto& [seq, row] : open) rows[row]["result"] = result;
    open.clear();
  };
  const auto visit = [&](const AuditEntry& entry) -> Status {
    if (entry.kind == "start") end_open("interrupted");
    if (entry.kind == "closed") {
      const auto found = open.find(audit_number(entry.document, "opened"));
      if (found == open.end()) return {};
      OrderedJson& row = rows[found->second];
      for (const auto& [name, value] : entry.document.items())
        if (!row.contains(name) && name != "opened") row[name] = value;
      open.erase(found);
      return {};
    }
    const bool request = entry.kind == "opened";
    if (!in_range(filter, entry.time)) return {};
    if (!filter.identity.empty() && audit_text(entry.document, "identity") != filter.identity)
      return {};
    if (!filter.kind.empty() && filter.kind != (request ? "request" : entry.kind)) return {};
    OrderedJson row = entry.document;
    for (const char* name : {"instance", "prev", "sig"}) row.erase(name);
    if (request) {
      row["kind"] = "request";
      open.emplace(entry.seq, rows.size());
    }
    rows.push_back(std::move(row));
    return {};
  };
  HEARTH_TRY_VOID(walk_audit(fs, folder, visit));
  end_open(running ? "open" : "interrupted");
  std::vector<OrderedJson> out;
  for (OrderedJson& row : rows)
    if (filter.result.empty() || audit_text(row, "result") == filter.result)
      out.push_back(std::move(row));
  if (out.size() > filter.limit)
    out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(filter.limit));
  return out;
}

}  // namespace hearth::security

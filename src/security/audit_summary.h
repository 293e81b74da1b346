// What an audit log proves, and what it says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/json.h"
#include "base/result.h"
#include "crypto/ed25519.h"
#include "security/audit_reader.h"

namespace hearth::security {

struct AuditSummary {
  AuditWalk walk;
  std::string first_time;  // of the oldest and the newest record
  std::string last_time;
  std::uint64_t starts = 0;
  std::uint64_t requests = 0;  // opened
  std::uint64_t closed = 0;
  std::uint64_t interrupted = 0;  // opened, and the process ended before they were closed
  std::uint64_t open = 0;         // opened since the last start and not closed
  std::uint64_t unmatched = 0;    // closed without having been opened: a fault of the server
  std::uint64_t refused = 0;
  std::uint64_t acts = 0;
  std::uint64_t lost = 0;  // records that the log says it had no room for
  std::uint64_t checkpoints = 0;
  std::uint64_t unsigned_records = 0;  // after the last checkpoint
  std::vector<std::string> signers;    // of the checkpoints, in hex, in order of appearance
};

// Follows the whole chain and checks each checkpoint's signature, where `signer` is given against
// that key alone. A log whose beginning is missing must say itself where the rest begins. Errors:
// "audit_damaged" with the first place that does not fit, "audit_missing" for a folder without any
// record. `part`: it is an export, which may begin anywhere.
Result<AuditSummary> verify_audit(FileSystem& fs, const std::string& folder,
                                  const std::optional<crypto::Ed25519Public>& signer,
                                  bool part = false);
OrderedJson to_json(const AuditSummary& summary);

// That the second folder holds the same records wherever both hold any: "audit_mismatch".
Status compare_audit(FileSystem& fs, const std::string& folder, const std::string& second);

// "2026-11", "2026-11-30", "2026-11-30T16:15", with or without a "Z": "invalid_time" for anything
// else.
Result<std::string> parse_audit_time(const std::string& text);

struct AuditFilter {
  std::string since = {};  // parse_audit_time(); empty: from the oldest
  std::string until = {};  // with all that begins so: "2026-11-30" is that day too
  std::string identity = {};
  std::string kind = {};  // "request" for opened with closed; else a record's kind
  std::string result = {};
  std::size_t limit = std::numeric_limits<std::size_t>::max();  // the newest so many
};
bool in_range(const AuditFilter& filter, const std::string& time);

// One row for each request, made of its two records, and one for each other record, in order. A
// request without its second record has the result "interrupted"; with `running`, a server that is
// at work on that folder, those since its start have "open".
Result<std::vector<OrderedJson>> query_audit(FileSystem& fs, const std::string& folder,
                                             const AuditFilter& filter, bool running);

}  // namespace hearth::security

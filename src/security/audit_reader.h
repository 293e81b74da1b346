// Reads the folder of an audit log and follows its chain. A file is named by its first record;
// each line holds the hash of the line before, across files too.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/result.h"
#include "security/audit_record.h"

namespace hearth::security {

std::string audit_file_name(std::uint64_t first_seq);

struct AuditFile {
  std::string path;
  std::uint64_t first_seq = 0;
  std::uint64_t bytes = 0;
};
// In the order of their records. A folder that is not there has none.
Result<std::vector<AuditFile>> list_audit_files(FileSystem& fs, const std::string& folder);

// Of the first line in it; none: there is no whole line.
Result<std::optional<AuditEntry>> first_audit_entry(FileSystem& fs, const AuditFile& file);

// Where to go on: the end of the last file that has a whole line. What stands behind the last
// newline of a file was torn by a crash and never confirmed to anybody.
struct AuditTail {
  AuditHead head;
  std::uint64_t torn_bytes = 0;
  std::string last_path;  // empty: nothing has been recorded here
};
// "audit_damaged": a line does not fit to the one before.
Result<AuditTail> read_audit_tail(FileSystem& fs, const std::string& folder);

struct AuditWalk {
  std::uint64_t files = 0;
  std::uint64_t records = 0;
  std::uint64_t first_seq = 0;
  std::string first_prev;
  AuditHead head;
  std::uint64_t torn_bytes = 0;
  // Lines at the end of a file that the next one begins before: the disk failed while they were
  // written, they were never confirmed, and were written again there.
  std::uint64_t superseded = 0;
};
// Every record once, in order; an error of `visit` ends it. "audit_damaged" names the first place
// that does not fit, as "FILE:LINE".
Result<AuditWalk> walk_audit(FileSystem& fs, const std::string& folder,
                             const std::function<Status(const AuditEntry&)>& visit);

}  // namespace hearth::security

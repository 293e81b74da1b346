// The audit log of a server, as its configuration has it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/settings.h"
#include "security/audit_log.h"

namespace hearth::apps {

struct AuditConfig {
  std::string folder;         // empty: nothing is recorded
  std::string second_folder;  // the same records again; empty: none
  std::string signer;         // a key file; empty: signer.key in the folder
  std::int64_t keep_days = 180;
  std::int64_t file_bytes_max = 64 << 20;
  std::int64_t deadline_ms = 2000;

  bool on() const { return !folder.empty(); }
  std::vector<std::string> folders() const;
};

void describe(Settings& in, AuditConfig& config);

// Before the process is locked in: makes the folders, and reads or makes the key.
Result<crypto::Ed25519Key> prepare_audit(const AuditConfig& config);

}  // namespace hearth::apps

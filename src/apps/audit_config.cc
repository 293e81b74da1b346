#include "apps/audit_config.h"

#include "base/fs.h"
#include "security/audit_signer.h"

namespace hearth::apps {
namespace {

constexpr std::int64_t kDaysMin = 180;  // what GB/T 22239 and its like ask for: six months
constexpr std::int64_t kDaysMax = 36'500;

}  // namespace

std::vector<std::string> AuditConfig::folders() const {
  std::vector<std::string> all = {folder};
  if (!second_folder.empty()) all.push_back(second_folder);
  return all;
}

void describe(Settings& in, AuditConfig& config) {
  in.text("folder", config.folder,
          "Where it is written; of this server alone. Empty: nothing is recorded.");
  in.text("second_folder", config.second_folder,
          "On another disk, for the same records: one of the two must take them, else requests\n"
          "get 503.");
  in.text("signer", config.signer,
          "A file with the Ed25519 key (PEM) that signs it each minute; empty: signer.key in the\n"
          "folder, which is made.");
  in.integer("keep_days", config.keep_days, kDaysMin, kDaysMax,
             "Files go when all of their records are older.");
  in.integer("file_bytes_max", config.file_bytes_max, 1 << 16, std::int64_t{1} << 30,
             "Then a new file is begun, and each day.");
  in.integer("deadline_ms", config.deadline_ms, 10, 60'000,
             "For a disk to take a record; over it: 503.");
  if (config.folder.empty() && !config.second_folder.empty())
    in.check(invalid("invalid_config", "[audit] second_folder needs folder"));
  if (config.on() && config.folder == config.second_folder)
    in.check(invalid("invalid_config", "[audit] second_folder must be another than folder"));
}

Result<crypto::Ed25519Key> prepare_audit(const AuditConfig& config) {
  for (const std::string& folder : config.folders())
    HEARTH_TRY_VOID(FileSystem::real().make_folders(folder, 0700));
  if (!config.signer.empty()) return security::read_audit_signer(config.signer);
  return security::own_audit_signer(config.folder);
}

}  // namespace hearth::apps

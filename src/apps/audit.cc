// hearth audit: what a server has recorded.
#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "apps/audit_options.h"
#include "apps/commands.h"
#include "apps/model_options.h"
#include "base/json.h"
#include "crypto/ed25519.h"
#include "security/audit_summary.h"

namespace hearth::apps {
namespace {

struct Options {
  std::string folder;
  std::string second;
  std::string signer;
  bool json = false;
};

std::string as_text(const security::AuditSummary& s, bool pinned, bool part) {
  std::string out =
      fmt::format("{} records in {} files, {} to {}, of the instance {}\n", s.walk.records,
                  s.walk.files, s.first_time, s.last_time, s.walk.head.instance);
  if (s.walk.first_seq == 1) {
    out += "Complete since the installation.\n";
  } else {
    out += fmt::format("Begins at record {}: {}.\n", s.walk.first_seq,
                       part ? "an export" : "what was older was removed by its rule");
  }
  out += fmt::format("{} requests: {} closed, {} interrupted, {} open; {} refused; {} acts\n",
                     s.requests, s.closed - s.unmatched, s.interrupted, s.open, s.refused, s.acts);
  out += fmt::format("{} checkpoints{}; {} records after the last one\n", s.checkpoints,
                     pinned ? ", all with your key" : "", s.unsigned_records);
  if (!pinned)
    for (const std::string& signer : s.signers) out += fmt::format("signed by {}\n", signer);
  if (s.lost > 0) out += fmt::format("{} records are lost: there was no room\n", s.lost);
  if (s.unmatched > 0) out += fmt::format("{} records close what nobody opened\n", s.unmatched);
  if (s.walk.torn_bytes > 0)
    out += fmt::format("{} bytes of unfinished records, left by a crash\n", s.walk.torn_bytes);
  return out + "The chain holds.\n";
}

Status verify(const Options& options) {
  FileSystem& fs = FileSystem::real();
  std::optional<crypto::Ed25519Public> signer;
  if (!options.signer.empty()) {
    HEARTH_TRY(const std::string pem, read_small_file(fs, options.signer));
    HEARTH_TRY(signer, crypto::ed25519_public_from_pem(pem));
  }
  // An export is a part by its nature.
  const bool part = fs.info(options.folder + "/manifest.json").has_value();
  auto summary = security::verify_audit(fs, options.folder, signer, part);
  Status compared;
  if (summary && !options.second.empty())
    compared = security::compare_audit(fs, options.folder, options.second);
  const Error* error = nullptr;
  if (!summary) error = &summary.error();
  if (!compared) error = &compared.error();
  if (options.json) {
    OrderedJson document = summary ? to_json(*summary) : OrderedJson::object();
    document["valid"] = error == nullptr;
    if (error != nullptr) {
      document["code"] = error->code;
      document["error"] = error->message;
    }
    print(dump_json(document) + "\n");
  } else if (error == nullptr) {
    print(as_text(*summary, signer.has_value(), part));
  }
  if (error != nullptr) return tl::unexpected<Error>(*error);
  return {};
}

void add_verify(CLI::App& group) {
  auto options = std::make_shared<Options>();
  CLI::App* command = group.add_subcommand(
      "verify", "Follow the whole chain; exit status 1 and the first place that does not fit");
  command->add_option("FOLDER", options->folder, "The server's audit folder")->required();
  command->add_option("--second", options->second, "Its second folder: must say the same");
  command->add_option("--signer", options->signer,
                      "PEM file of the public key that must have signed it, kept elsewhere");
  command->add_flag("--json", options->json, "One JSON document");
  command->callback([options] { finish_command(verify(*options)); });
}

}  // namespace

void add_audit(CLI::App& root) {
  CLI::App* group = root.add_subcommand("audit", "What a server has recorded");
  group->require_subcommand(1);
  add_verify(*group);
  add_audit_query(*group);
  add_audit_export(*group);
}

}  // namespace hearth::apps

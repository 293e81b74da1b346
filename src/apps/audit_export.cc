// hearth audit export: a part of an audit log for somebody else, with what proves it.
#include <filesystem>
#include <memory>

#include "apps/audit_options.h"
#include "apps/commands.h"
#include "apps/model_options.h"
#include "base/fs.h"
#include "crypto/sha256.h"

namespace hearth::apps {
namespace {

struct Options {
  AuditReading reading;
  std::string out;
  bool csv = false;
};

// The lines of the time asked for, and those behind them up to a checkpoint, whose signature covers
// all of them.
struct Lines {
  std::string text;
  security::AuditHead first;  // of the record before
  security::AuditHead last;
  std::uint64_t records = 0;
  std::uint64_t checkpoint = 0;  // 0: the log has none behind them
};

Result<Lines> lines_of(FileSystem& fs, const AuditReading& reading) {
  Lines lines;
  HEARTH_TRY_VOID(
      security::walk_audit(fs, reading.folder, [&](const security::AuditEntry& entry) -> Status {
        const bool wanted = in_range(reading.filter, entry.time);
        if (lines.records == 0 && !wanted) return {};
        if (!wanted && lines.checkpoint > 0) return {};
        if (lines.records == 0) lines.first = {entry.instance, entry.seq - 1, entry.prev};
        lines.text += entry.line + "\n";
        ++lines.records;
        lines.last = {entry.instance, entry.seq, entry.hash};
        lines.checkpoint = entry.kind == "checkpoint" ? entry.seq : 0;
        return {};
      }));
  if (lines.records == 0)
    return fail(ErrorKind::kNotFound, "audit_missing", "{} holds no record of that time",
                reading.folder);
  return lines;
}

Status write(FileSystem& fs, const std::string& folder, const char* name, std::string_view text,
             OrderedJson& files) {
  HEARTH_TRY_VOID(write_file_atomically(fs, folder + "/" + name, text));
  files.push_back({{"name", name}, {"bytes", text.size()}, {"sha256", crypto::sha256_hex(text)}});
  return {};
}

Status export_audit(Options options) {
  FileSystem& fs = FileSystem::real();
  HEARTH_TRY_VOID(check(options.reading));
  HEARTH_TRY(const Lines lines, lines_of(fs, options.reading));
  if (fs.info(options.out))
    return invalid("output_exists", "{} is there already; name a folder to be made", options.out);
  HEARTH_TRY_VOID(fs.make_folders(std::filesystem::absolute(options.out).string(), 0700));
  OrderedJson files = OrderedJson::array();
  HEARTH_TRY_VOID(write(fs, options.out, security::audit_file_name(lines.first.seq + 1).c_str(),
                        lines.text, files));
  if (options.csv) {
    HEARTH_TRY(const auto rows, read_audit_rows(options.reading));
    HEARTH_TRY_VOID(write(fs, options.out, "records.csv", audit_csv(rows), files));
  }
  const OrderedJson manifest = {{"instance", lines.last.instance},
                                {"since", options.reading.filter.since},
                                {"until", options.reading.filter.until},
                                {"records", lines.records},
                                {"first_seq", lines.first.seq + 1},
                                {"hash_before", lines.first.hash},
                                {"last_seq", lines.last.seq},
                                {"last_hash", lines.last.hash},
                                {"checkpoint_seq", lines.checkpoint},
                                {"files", files}};
  HEARTH_TRY_VOID(
      write_file_atomically(fs, options.out + "/manifest.json", dump_json(manifest, 2) + "\n"));
  print(fmt::format("{} records in {}\n", lines.records, options.out));
  return {};
}

}  // namespace

void add_audit_export(CLI::App& group) {
  auto options = std::make_shared<Options>();
  CLI::App* command = group.add_subcommand(
      "export", "Write the records of a time and a manifest of hashes to a new folder");
  add_audit_reading(*command, options->reading);
  command->add_option("--out", options->out, "The folder to make")->required();
  command->add_flag("--csv", options->csv, "A table for people besides");
  command->callback([options] { finish_command(export_audit(*options)); });
}

}  // namespace hearth::apps

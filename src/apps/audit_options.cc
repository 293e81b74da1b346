#include "apps/audit_options.h"

#include <array>

#include "base/fs.h"

namespace hearth::apps {
namespace {

constexpr std::array kColumns = {
    "seq",    "time",  "kind",   "request",       "identity",          "key",       "peer",
    "method", "route", "target", "model",         "model_version",     "act",       "status",
    "result", "code",  "finish", "prompt_tokens", "completion_tokens", "redactions"};

std::string cell(const OrderedJson& value) {
  std::string text = value.is_string() ? value.get<std::string>() : dump_json(value);
  // What a client chose must not become a formula where the table is opened.
  if (!text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos)
    text.insert(0, "'");
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

// Whether a server is at work on it: it holds the lock. Nothing is made that is not there.
bool is_written(FileSystem& fs, const std::string& folder) {
  const std::string path = folder + "/lock";
  if (!fs.info(path)) return false;
  const auto lock = fs.lock(path);
  return !lock && lock.error().code == "locked";
}

}  // namespace

void add_audit_reading(CLI::App& command, AuditReading& reading) {
  command.add_option("FOLDER", reading.folder, "The server's audit folder")->required();
  command.add_option("--since", reading.filter.since,
                     "From this time on, in UTC: 2026-11-30 or 2026-11-30T16:15:22Z");
  command.add_option("--until", reading.filter.until,
                     "Up to and with this time: with 2026-11-30 all of that day");
}

Status check(AuditReading& reading) {
  for (std::string* time : {&reading.filter.since, &reading.filter.until})
    if (!time->empty()) {
      HEARTH_TRY(*time, security::parse_audit_time(*time));
    }
  return {};
}

Result<std::vector<OrderedJson>> read_audit_rows(const AuditReading& reading) {
  FileSystem& fs = FileSystem::real();
  HEARTH_TRY(const auto info, fs.info(reading.folder));
  if (info.kind != FileKind::kFolder)
    return invalid("invalid_folder", "{} is no folder", reading.folder);
  return security::query_audit(fs, reading.folder, reading.filter, is_written(fs, reading.folder));
}

std::string audit_csv(const std::vector<OrderedJson>& rows) {
  std::string out;
  for (const char* name : kColumns) out += (out.empty() ? "" : ",") + std::string(name);
  out += "\r\n";
  for (const OrderedJson& row : rows) {
    bool first = true;
    for (const char* name : kColumns) {
      if (!first) out += ',';
      first = false;
      if (const auto found = row.find(name); found != row.end()) out += cell(*found);
    }
    out += "\r\n";
  }
  return out;
}

}  // namespace hearth::apps

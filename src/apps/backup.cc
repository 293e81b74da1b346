// hearth backup and hearth restore: what a server cannot get anew (its configuration, the secret of
// its keys, its audit log) in a folder, with the hashes of all of it.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "apps/commands.h"
#include "apps/model_options.h"
#include "apps/serve_config.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "crypto/sha256.h"
#include "security/audit_reader.h"
#include "security/audit_summary.h"

namespace hearth::apps {
namespace {

constexpr std::uint64_t kFileBytesMax = std::uint64_t{4} << 30;
constexpr const char* kManifest = "/manifest.json";
constexpr std::string_view kAudit = "audit/";
constexpr std::string_view kState = "state/";

struct Item {
  std::string name;    // in the backup: "audit/..." or "state/..."
  std::string source;  // the file itself
};

std::string base_name(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

Result<std::vector<Item>> items_of(FileSystem& fs, const std::string& config_path,
                                   const ServeConfig& config) {
  std::vector<Item> items = {{std::string(kState) + base_name(config_path), config_path}};
  std::string secret = config.site_secret;
  if (secret.empty() && !config.identities.keys.empty()) {
    HEARTH_TRY(secret, default_site_secret());
  }
  if (secret.starts_with("file:"))
    items.push_back({std::string(kState) + "site.key", secret.substr(5)});
  if (!config.audit.on()) return items;
  HEARTH_TRY(const auto files, security::list_audit_files(fs, config.audit.folder));
  for (const security::AuditFile& file : files)
    items.push_back({std::string(kAudit) + base_name(file.path), file.path});
  for (const char* key : {"signer.key", "signer.pub"})
    if (const std::string path = config.audit.folder + "/" + key; fs.info(path))
      items.push_back({std::string(kAudit) + key, path});
  return items;
}

Status make_new_folder(FileSystem& fs, const std::string& path) {
  if (fs.info(path)) return invalid("output_exists", "{} is there already", path);
  return fs.make_folders(std::filesystem::absolute(path).string(), 0700);
}

// The chain of a copy, if there is one.
Status verify_copy(FileSystem& fs, const std::string& folder) {
  HEARTH_TRY(const auto files, security::list_audit_files(fs, folder));
  if (files.empty()) return {};
  const auto summary = security::verify_audit(fs, folder, std::nullopt);
  return summary ? Status{} : prefixed(folder, summary.error());
}

Status backup(const std::string& out, const std::string& config_path) {
  FileSystem& fs = FileSystem::real();
  HEARTH_TRY(const ServeConfig config, read_config(config_path));
  HEARTH_TRY(const auto items, items_of(fs, config_path, config));
  HEARTH_TRY_VOID(make_new_folder(fs, out));
  for (const std::string_view part : {kAudit, kState})
    HEARTH_TRY_VOID(fs.make_folders(
        std::filesystem::absolute(out + "/" + std::string(part.substr(0, part.size() - 1)))
            .string(),
        0700));
  OrderedJson files = OrderedJson::array();
  for (const Item& item : items) {
    HEARTH_TRY(const std::string content, read_small_file(fs, item.source, kFileBytesMax));
    HEARTH_TRY_VOID(write_file_atomically(fs, out + "/" + item.name, content));
    files.push_back(
        {{"name", item.name}, {"bytes", content.size()}, {"sha256", crypto::sha256_hex(content)}});
  }
  HEARTH_TRY_VOID(verify_copy(fs, out + "/audit"));
  const OrderedJson manifest = {
      {"format", 1}, {"time", security::audit_time(Clock::system().wall())}, {"files", files}};
  // Last: a backup without it is none.
  HEARTH_TRY_VOID(write_file_atomically(fs, out + kManifest, dump_json(manifest, 2) + "\n"));
  print(fmt::format("{} files in {}\n", items.size(), out));
  return {};
}

// A name that a manifest may say, and what it stands for in the target; none: any other.
std::optional<std::string> target_of(const std::string& name, const std::string& audit,
                                     const std::string& state) {
  for (const auto& [part, folder] : {std::pair(kAudit, audit), std::pair(kState, state)}) {
    if (!name.starts_with(part)) continue;
    const std::string file = name.substr(part.size());
    if (file.empty() || file.starts_with('.') || file.find('/') != std::string::npos)
      return std::nullopt;
    return folder + "/" + file;
  }
  return std::nullopt;
}

struct RestoreOptions {
  std::string from;
  std::string audit;
  std::string state;
};

// All is checked before anything is written, and nothing that is there is written over.
Status restore(const RestoreOptions& options) {
  FileSystem& fs = FileSystem::real();
  HEARTH_TRY(const std::string text, read_small_file(fs, options.from + kManifest));
  HEARTH_TRY(const Json manifest, parse_json(text));
  const auto damaged = [&](std::string_view what) {
    return invalid("backup_damaged", "{}: {}", options.from, what);
  };
  if (!manifest.is_object() || manifest.value("format", 0) != 1 || !manifest.contains("files") ||
      !manifest["files"].is_array())
    return damaged("this is no backup of this form");
  std::vector<Item> items;  // name: the target
  for (const Json& file : manifest["files"]) {
    if (!file.is_object() || !file.contains("name") || !file["name"].is_string() ||
        !file.contains("sha256"))
      return damaged("an entry without name and hash");
    const std::string name = file["name"].get<std::string>();
    const auto target = target_of(name, options.audit, options.state);
    if (!target) return damaged("a name that does not belong there: " + name);
    HEARTH_TRY(const std::string content,
               read_small_file(fs, options.from + "/" + name, kFileBytesMax));
    if (file["sha256"] != crypto::sha256_hex(content)) return damaged(name + " was changed");
    if (fs.info(*target)) return invalid("output_exists", "{} is there already", *target);
    items.push_back({*target, options.from + "/" + name});
  }
  HEARTH_TRY_VOID(verify_copy(fs, options.from + "/audit"));
  for (const std::string& folder : {options.audit, options.state})
    HEARTH_TRY_VOID(fs.make_folders(std::filesystem::absolute(folder).string(), 0700));
  for (const Item& item : items) {
    HEARTH_TRY(const std::string content, read_small_file(fs, item.source, kFileBytesMax));
    HEARTH_TRY_VOID(write_file_atomically(fs, item.name, content));
    if (!item.name.ends_with(".key")) continue;
    std::error_code error;
    std::filesystem::permissions(
        item.name, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write, error);
    if (error) return fail(ErrorKind::kIo, "disk_error", "{}: {}", item.name, error.message());
  }
  print(fmt::format("{} files restored\n", items.size()));
  return {};
}

}  // namespace

void add_backup(CLI::App& root) {
  struct Options {
    std::string out, config;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand(
      "backup", "Copy configuration, secret of the keys and audit log, also of a running server");
  command->add_option("FOLDER", options->out, "To be made, readable for you alone")->required();
  command->add_option("--config", options->config, "The server's configuration")->required();
  command->callback([options] { finish_command(backup(options->out, options->config)); });

  auto back = std::make_shared<RestoreOptions>();
  CLI::App* restoring =
      root.add_subcommand("restore", "Put a backup back, after checking all of it");
  restoring->add_option("FOLDER", back->from, "What `hearth backup` made")->required();
  restoring->add_option("--audit", back->audit, "Where the audit log goes")->required();
  restoring->add_option("--state", back->state, "Where configuration and secret go")->required();
  restoring->callback([back] { finish_command(restore(*back)); });
}

}  // namespace hearth::apps

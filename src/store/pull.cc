#include <fmt/chrono.h>

#include <algorithm>
#include <ctime>

#include "base/log.h"
#include "crypto/sha256.h"
#include "store/part_file.h"
#include "store/recipe.h"
#include "store/store.h"
#include "store/zip.h"

namespace hearth::store {
namespace {

constexpr std::size_t kVersionDigits = 12;

std::string iso_time(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds));
}

std::string version_of(const std::vector<ManifestFile>& files) {
  if (files.size() == 1) return files.front().sha256.substr(0, kVersionDigits);
  std::string list;
  for (const ManifestFile& file : files) list += file.sha256 + "  " + file.name + "\n";
  return crypto::sha256_hex(list).substr(0, kVersionDigits);
}

// Carries out one recipe in its folder below partial/, which it holds locked.
class Puller {
 public:
  Puller(FileSystem& fs, std::string work, const Recipe& recipe, const PullOptions& options,
         net::HttpFetcher& fetcher)
      : fs_(fs), work_(std::move(work)), recipe_(recipe), options_(options), fetcher_(fetcher) {}

  // Afterwards staged(i) holds output i, checked and synced.
  Result<std::vector<ManifestFile>> make_outputs() {
    HEARTH_TRY_VOID(check_room_for_all());
    std::vector<std::string> hashes;
    for (std::size_t i = 0; i < recipe_.downloads.size(); ++i) {
      HEARTH_TRY(std::string sha256, fetch(i));
      hashes.push_back(std::move(sha256));
    }
    std::vector<ManifestFile> files;
    for (std::size_t i = 0; i < recipe_.outputs.size(); ++i) {
      const Output& output = recipe_.outputs[i];
      ManifestFile file = {.name = output.name};
      if (output.parts.front().member.empty()) {
        file.sha256 = hashes[output.parts.front().download];
      } else {
        HEARTH_TRY(file.sha256, unpack(i));
      }
      HEARTH_TRY(const FileInfo info, fs_.info(staged(i)));
      file.size = info.size;
      if (!output.sha256.empty() && output.sha256 != file.sha256) {
        HEARTH_TRY_VOID(fs_.remove(staged(i)));
        return invalid("checksum_mismatch", "{} has SHA-256 {}, expected {}; it was thrown away",
                       output.name, file.sha256, output.sha256);
      }
      files.push_back(std::move(file));
    }
    return files;
  }

  std::string staged(std::size_t output) const {
    const Output& out = recipe_.outputs[output];
    if (out.parts.front().member.empty()) return part_path(out.parts.front().download);
    return work_ + "/" + std::to_string(output) + ".out";
  }

  // The archives, and what an earlier, different try has left.
  Status clean_up() {
    HEARTH_TRY(const auto entries, fs_.list(work_));
    for (const FileInfo& entry : entries) {
      HEARTH_TRY_VOID(fs_.remove(work_ + "/" + entry.name));
    }
    return fs_.remove(work_);
  }

 private:
  std::string part_path(std::size_t download) const {
    return work_ + "/" + std::to_string(download) + ".part";
  }

  Status check_room_for_all() {
    std::uint64_t needed = 0;
    for (std::size_t i = 0; i < recipe_.downloads.size(); ++i) {
      const std::uint64_t size = recipe_.downloads[i].size.value_or(0);
      const auto there = fs_.info(part_path(i));
      needed += size - std::min(size, there ? there->size : 0);
    }
    for (const Output& output : recipe_.outputs) {
      if (!output.parts.front().member.empty()) needed += output.size.value_or(0);
    }
    return check_room(fs_, work_, needed);
  }

  Result<std::string> fetch(std::size_t i) {
    Download download = recipe_.downloads[i];
    // The output's checksum holds for a download that is the output.
    for (const Output& output : recipe_.outputs) {
      const Output::Part& part = output.parts.front();
      if (part.member.empty() && part.download == i && download.sha256.empty()) {
        download.sha256 = output.sha256;
      }
    }
    PullProgress progress = {.file = download.label, .index = i, .count = recipe_.downloads.size()};
    PartFile part(fs_, part_path(i), download, [&](std::uint64_t done, auto total) {
      progress.done = done;
      progress.total = total;
      if (options_.progress) options_.progress(progress);
    });
    return part.fetch(fetcher_);
  }

  // Joins the members; returns the SHA-256 of the whole.
  Result<std::string> unpack(std::size_t i) {
    const Output& output = recipe_.outputs[i];
    PullProgress progress = {.phase = PullProgress::Phase::kUnpack,
                             .file = output.name,
                             .index = i,
                             .count = recipe_.outputs.size(),
                             .total = output.size};
    HEARTH_TRY(const auto file, fs_.open_append(staged(i), /*truncate=*/true));
    crypto::Sha256 hash;
    for (const Output::Part& part : output.parts) {
      const std::string& label = recipe_.downloads[part.download].label;
      HEARTH_TRY(auto archive, fs_.open_read(part_path(part.download)));
      auto zip = ZipReader::open(std::move(archive));
      if (!zip) return prefixed(label, std::move(zip).error());
      const ZipEntry* entry = zip->find(part.member);
      if (entry == nullptr) {
        return fail(ErrorKind::kNotFound, "unknown_model", "{} has no member {}", label,
                    part.member);
      }
      if (!output.size) HEARTH_TRY_VOID(check_room(fs_, work_, entry->size));
      const auto extracted = zip->extract(*entry, [&](std::string_view bytes) -> Status {
        HEARTH_TRY_VOID(file->append(bytes));
        hash.update(bytes);
        progress.done += bytes.size();
        if (options_.progress) options_.progress(progress);
        return {};
      });
      if (!extracted) return prefixed(label, extracted.error());
    }
    HEARTH_TRY_VOID(file->sync());
    return hash.hex();
  }

  FileSystem& fs_;
  std::string work_;
  const Recipe& recipe_;
  const PullOptions& options_;
  net::HttpFetcher& fetcher_;
};

// The files as the recipe knows them beforehand, when it knows all of their checksums.
std::optional<std::vector<ManifestFile>> known_files(const Recipe& recipe) {
  std::vector<ManifestFile> files;
  for (const Output& output : recipe.outputs) {
    if (output.sha256.empty()) return std::nullopt;
    files.push_back({output.name, output.size.value_or(0), output.sha256});
  }
  return files;
}

}  // namespace

Result<PullResult> Store::pull(const std::string& text, const PullOptions& options,
                               net::HttpFetcher& fetcher) {
  HEARTH_TRY(const Spec spec, parse_spec(text, options));
  const auto existing = find(spec.name);
  if (existing && existing->manifest.source != spec.source && options.name.empty()) {
    return invalid("name_taken", "the name '{}' belongs to {}; choose another with --name",
                   spec.name, existing->manifest.source);
  }
  const auto make_current = [&](const std::string& version) -> Result<StoredModel> {
    HEARTH_TRY_VOID(
        write_file_atomically(fs_, model_folder(spec.name) + "/current", version + "\n"));
    return find(spec.name);
  };
  // Whether a version with this content is there and whole, with nothing to download.
  const auto already = [&](const std::string& version) -> Result<std::optional<StoredModel>> {
    const auto model = load(spec.name, version);
    if (!model) return std::optional<StoredModel>();
    HEARTH_TRY(StoredModel current, make_current(version));
    return std::optional<StoredModel>(std::move(current));
  };
  if (!spec.sha256.empty()) {
    HEARTH_TRY(auto model, already(spec.sha256.substr(0, kVersionDigits)));
    if (model) return PullResult{*std::move(model), false};
  }

  HEARTH_TRY(const Recipe recipe, find_recipe(spec, options, fetcher));
  if (const auto files = known_files(recipe)) {
    HEARTH_TRY(auto model, already(version_of(*files)));
    if (model) return PullResult{*std::move(model), false};
  }

  const std::string partial = root_ + "/partial";
  const std::string key = crypto::sha256_hex(recipe.source + "\n" + spec.url).substr(0, 16);
  const std::string work = partial + "/" + key;
  HEARTH_TRY_VOID(fs_.make_folders(root_, 0700));
  HEARTH_TRY_VOID(fs_.make_folders(work, 0755));
  auto lock = fs_.lock(partial + "/" + key + ".lock");
  if (!lock && lock.error().code == "locked") {
    return fail(ErrorKind::kExhausted, "locked", "another pull of {} is running", recipe.source);
  }
  if (!lock) return tl::unexpected(std::move(lock).error());

  Puller puller(fs_, work, recipe, options, fetcher);
  Manifest manifest;
  HEARTH_TRY(manifest.files, puller.make_outputs());
  manifest.name = recipe.name;
  manifest.version = version_of(manifest.files);
  manifest.source = recipe.source;
  manifest.licence = recipe.licence;
  manifest.pulled_at = iso_time(clock_.wall());
  manifest.entry = recipe.entry;

  const std::string folder = model_folder(recipe.name) + "/" + manifest.version;
  HEARTH_TRY_VOID(fs_.make_folders(folder, 0755));
  for (std::size_t i = 0; i < recipe.outputs.size(); ++i) {
    HEARTH_TRY_VOID(fs_.rename(puller.staged(i), folder + "/" + recipe.outputs[i].name));
  }
  HEARTH_TRY_VOID(fs_.sync_folder(folder));
  HEARTH_TRY_VOID(
      write_file_atomically(fs_, folder + "/manifest.json", manifest_to_json(manifest)));
  HEARTH_TRY(StoredModel model, make_current(manifest.version));
  // The model is there: what cannot be tidied up must not fail the pull.
  if (const auto cleaned = puller.clean_up(); !cleaned) {
    log::warn("cannot tidy up {}: {}", work, cleaned.error().message);
  }
  return PullResult{std::move(model), true};
}

}  // namespace hearth::store

#include "store/part_file.h"

#include <algorithm>
#include <array>

#include "base/json.h"

namespace hearth::store {
namespace {

std::string folder_of(const std::string& path) { return path.substr(0, path.find_last_of('/')); }

}  // namespace

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, kUnits[unit]);
}

Status check_room(FileSystem& fs, const std::string& folder, std::uint64_t needed) {
  HEARTH_TRY(const std::uint64_t room, fs.free_bytes(folder));
  if (needed <= room) return {};
  return fail(ErrorKind::kIo, "no_space", "not enough room in {}: {} are needed, {} are free",
              folder, format_bytes(needed), format_bytes(room));
}

PartFile::PartFile(FileSystem& fs, std::string path, const Download& download, Progress progress)
    : fs_(fs), path_(std::move(path)), download_(download), progress_(std::move(progress)) {}

// How many bytes of an earlier try are there and can be gone on with.
std::uint64_t PartFile::resumable(std::string& validator) {
  const auto info = fs_.info(path_);
  const auto text = read_small_file(fs_, path_ + ".json");
  if (!info || info->kind != FileKind::kFile || !text) return 0;
  const auto json = parse_json(*text);
  if (!json || !json->is_object() ||
      json->value("url_sha256", Json()) != crypto::sha256_hex(download_.url))
    return 0;
  const Json saved = json->value("validator", Json());
  validator = saved.is_string() ? saved.get<std::string>() : std::string();
  // Without either, nobody would notice that the file on the server has changed.
  if (validator.empty() && download_.sha256.empty()) return 0;
  if (download_.size && info->size > *download_.size) return 0;
  return info->size;
}

Status PartFile::remember(const net::RemoteInfo& info) {
  // The address itself may hold a secret.
  const Json json = {{"url_sha256", crypto::sha256_hex(download_.url)},
                     {"validator", info.validator}};
  return write_file_atomically(fs_, path_ + ".json", dump_json(json));
}

Status PartFile::hash_up_to(std::uint64_t offset) {
  if (offset == done_) return {};
  hash_ = crypto::Sha256();
  done_ = 0;
  if (offset == 0) return {};
  HEARTH_TRY(const auto file, fs_.open_read(path_));
  std::string chunk(std::size_t{1} << 20, '\0');
  while (done_ < offset) {
    chunk.resize(std::min<std::uint64_t>(chunk.size(), offset - done_));
    HEARTH_TRY(const std::size_t n, file->read_at(done_, chunk));
    if (n == 0) return fail(ErrorKind::kIo, "disk_error", "{} became shorter", path_);
    hash_.update(std::string_view(chunk).substr(0, n));
    done_ += n;
  }
  return {};
}

Status PartFile::start(const net::RemoteInfo& info, std::uint64_t offset) {
  if (download_.size && info.size_total && *info.size_total != *download_.size) {
    return fail(ErrorKind::kInvalid, "wrong_size", "{} has {} bytes on the server, expected {}",
                download_.label, *info.size_total, *download_.size);
  }
  total_ = download_.size ? download_.size : info.size_total;
  HEARTH_TRY(const std::uint64_t room, fs_.free_bytes(folder_of(path_)));
  if (total_) {
    HEARTH_TRY_VOID(check_room(fs_, folder_of(path_), *total_ - std::min(offset, *total_)));
  }
  bytes_max_ = total_.value_or(offset + room);
  if (offset == 0 || !file_) {
    file_.reset();
    // The note goes first: bytes without a note that fits them are never gone on with.
    if (offset == 0 && fs_.info(path_)) HEARTH_TRY_VOID(fs_.remove(path_));
    HEARTH_TRY_VOID(remember(info));
    HEARTH_TRY(file_, fs_.open_append(path_, /*truncate=*/offset == 0));
  }
  HEARTH_TRY_VOID(hash_up_to(offset));
  if (progress_) progress_(done_, total_);
  return {};
}

Status PartFile::write(std::string_view bytes) {
  if (bytes.size() > bytes_max_ - std::min(done_, bytes_max_)) {
    return fail(ErrorKind::kInvalid, "wrong_size", "{} is longer than the {} bytes announced",
                download_.label, bytes_max_);
  }
  HEARTH_TRY_VOID(file_->append(bytes));
  hash_.update(bytes);
  done_ += bytes.size();
  if (progress_) progress_(done_, total_);
  return {};
}

Result<std::string> PartFile::fetch_once(net::HttpFetcher& fetcher) {
  net::DownloadRequest request = {download_.url, download_.headers, 0, {}};
  request.offset = resumable(request.validator);
  done_ = 0;
  hash_ = crypto::Sha256();
  file_.reset();
  if (download_.size && request.offset == *download_.size) {
    HEARTH_TRY_VOID(hash_up_to(request.offset));  // all there: nothing to ask the server for
    HEARTH_TRY(file_, fs_.open_append(path_, /*truncate=*/false));
  } else {
    HEARTH_TRY(const auto info, fetcher.download(request, *this));
  }
  HEARTH_TRY_VOID(file_->sync());
  file_.reset();
  std::string sha256 = hash_.hex();
  const bool wrong_size = download_.size && done_ != *download_.size;
  const bool wrong_hash = !download_.sha256.empty() && sha256 != download_.sha256;
  if (!wrong_size && !wrong_hash) return sha256;
  HEARTH_TRY_VOID(fs_.remove(path_));
  if (wrong_size) {
    return invalid("checksum_mismatch", "{} has {} bytes, expected {}; it was thrown away",
                   download_.label, done_, *download_.size);
  }
  return invalid("checksum_mismatch", "{} has SHA-256 {}, expected {}; it was thrown away",
                 download_.label, sha256, download_.sha256);
}

Result<std::string> PartFile::fetch(net::HttpFetcher& fetcher) {
  std::string validator;
  const bool resumed = resumable(validator) > 0;
  auto sha256 = fetch_once(fetcher);
  // The older part may have been spoilt by a power cut: the whole gets one more chance.
  if (!sha256 && resumed && sha256.error().code == "checksum_mismatch") return fetch_once(fetcher);
  return sha256;
}

}  // namespace hearth::store

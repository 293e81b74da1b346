// A download under way, kept on disk so that a later pull goes on where this one stopped.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/fs.h"
#include "crypto/sha256.h"
#include "net/http_client.h"
#include "store/recipe.h"

namespace hearth::store {

class PartFile final : public net::DownloadSink {
 public:
  using Progress = std::function<void(std::uint64_t done, std::optional<std::uint64_t> total)>;

  // `path` holds the bytes, `path`.json what is needed to go on.
  PartFile(FileSystem& fs, std::string path, const Download& download, Progress progress);

  // Downloads what is missing, syncs it, and checks size and SHA-256. Returns the SHA-256. A file
  // that fails the check is removed; when it was resumed, it is fetched anew once.
  Result<std::string> fetch(net::HttpFetcher& fetcher);

  Status start(const net::RemoteInfo& info, std::uint64_t offset) override;
  Status write(std::string_view bytes) override;

 private:
  Result<std::string> fetch_once(net::HttpFetcher& fetcher);
  std::uint64_t resumable(std::string& validator);
  Status remember(const net::RemoteInfo& info);
  Status hash_up_to(std::uint64_t offset);

  FileSystem& fs_;
  std::string path_;
  const Download& download_;
  Progress progress_;
  std::unique_ptr<WritableFile> file_;
  crypto::Sha256 hash_;
  std::uint64_t done_ = 0;       // bytes in the file, all of them in hash_
  std::uint64_t bytes_max_ = 0;  // the stated size, or what the disk has room for
  std::optional<std::uint64_t> total_;
};

// "98.4 MB": decimal units, three digits.
std::string format_bytes(std::uint64_t bytes);

// kIo "no_space" when `folder` has room for less than `needed` more bytes.
Status check_room(FileSystem& fs, const std::string& folder, std::uint64_t needed);

}  // namespace hearth::store

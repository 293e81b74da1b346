// The disk behind an interface, for code that must survive kill -9 and power cuts: tests replace it
// by one that fails at a chosen step (testing/failing_fs.h). Only what the model store needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

// Errors of this file are kIo with a code "disk_..." and the path in the message, unless said.
class WritableFile {
 public:
  virtual ~WritableFile() = default;                  // closes; bytes not synced may be lost
  virtual Status append(std::string_view bytes) = 0;  // disk full: code "disk_full"
  virtual Status sync() = 0;                          // on return the bytes survive a power cut
};

class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  virtual std::uint64_t size() const = 0;  // when it was opened
  // Fills `out` from `offset`, less only at the end of the file; returns the number of bytes.
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) = 0;
};

class FileLock {
 public:
  virtual ~FileLock() = default;  // releases it
};

enum class FileKind : std::uint8_t { kFile, kFolder, kSymlink, kOther };

struct FileInfo {
  std::string name;  // last component
  FileKind kind = FileKind::kOther;
  std::uint64_t size = 0;  // bytes, of a file
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  static FileSystem& real();

  // Creates the file when it is missing; `truncate` drops what was there. Never through a symlink.
  virtual Result<std::unique_ptr<WritableFile>> open_append(const std::string& path,
                                                            bool truncate) = 0;
  // Missing: kNotFound.
  virtual Result<std::unique_ptr<ReadableFile>> open_read(const std::string& path) = 0;
  // Replaces `to` atomically. Durable only after sync_folder of both folders.
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status sync_folder(const std::string& path) = 0;
  // A file or an empty folder; missing: kNotFound.
  virtual Status remove(const std::string& path) = 0;
  // Sorted by name, without "." and "..". Missing: kNotFound.
  virtual Result<std::vector<FileInfo>> list(const std::string& path) = 0;
  // Does not follow a symlink in the last component. Missing: kNotFound.
  virtual Result<FileInfo> info(const std::string& path) = 0;
  // Makes what is missing with this mode, and syncs the parents: durable on return.
  virtual Status make_folders(const std::string& path, unsigned mode) = 0;
  virtual Result<std::uint64_t> free_bytes(const std::string& folder) = 0;
  // An exclusive lock between processes on a file (made when missing), without waiting:
  // held by another: kExhausted, code "locked".
  virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
};

// The whole file; more than bytes_max: kTooLarge. Missing: kNotFound.
Result<std::string> read_small_file(FileSystem& fs, const std::string& path,
                                    std::uint64_t bytes_max = 1u << 20);

// Writes `path`.tmp, syncs it, renames it over `path`, syncs the folder: whatever happens in
// between, `path` has the old or the new content.
Status write_file_atomically(FileSystem& fs, const std::string& path, std::string_view content);

}  // namespace hearth

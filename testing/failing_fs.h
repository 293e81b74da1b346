// A disk in memory that fails where the test says, and that loses power.
//
// It keeps what a POSIX file system promises and no more: appended bytes survive a power cut only
// after sync() of the file, created, renamed and removed names only after sync_folder(). What was
// not synced may survive in part: the seed decides how much, in the order in which it was done.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/fs.h"

namespace hearth::testing {

class FailingFs final : public FileSystem {
 public:
  explicit FailingFs(std::uint64_t seed);

  // The nth operation from now on that changes something (1 = the next) fails with EIO, an append
  // after writing a part of its bytes. `and_all_after`: the disk is gone from there on.
  void fail_operation(std::uint64_t nth, bool and_all_after);
  void never_fail();
  std::uint64_t operations() const { return operations_; }  // so far, that change something
  bool has_failed() const { return failed_; }

  // The machine stops and starts again: what was not made durable is lost, or partly.
  // Files and locks that are still open must not be used any more. Failing stops.
  void power_cut();

  void set_free_bytes(std::uint64_t bytes) { free_bytes_ = bytes; }
  void make_symlink(const std::string& path);  // for tests of refusing them

  Result<std::unique_ptr<WritableFile>> open_append(const std::string& path,
                                                    bool truncate) override;
  Result<std::unique_ptr<ReadableFile>> open_read(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status sync_folder(const std::string& path) override;
  Status remove(const std::string& path) override;
  Result<std::vector<FileInfo>> list(const std::string& path) override;
  Result<FileInfo> info(const std::string& path) override;
  Status make_folders(const std::string& path, unsigned mode) override;
  Result<std::uint64_t> free_bytes(const std::string& folder) override;
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;

 private:
  friend class MemoryWritable;

  struct Inode {
    FileKind kind = FileKind::kFile;
    std::string data;
    std::string synced;  // what a power cut cannot take
  };
  using Entries = std::map<std::string, std::shared_ptr<Inode>>;

  // One rename or removal: all of its edits reach the disk together. Null removes the name.
  using Edits = std::vector<std::pair<std::string, std::shared_ptr<Inode>>>;

  Status step(const char* action, const std::string& path);  // counts, and fails where told
  Status need_parent(const std::string& path) const;
  void apply(Edits edits);

  std::mt19937_64 random_;
  Entries live_;
  Entries durable_;
  std::vector<Edits> pending_;  // names changed since the last sync_folder of their folders
  std::set<std::string> locks_;
  std::uint64_t operations_ = 0;
  std::uint64_t fail_at_ = std::numeric_limits<std::uint64_t>::max();
  bool fail_all_after_ = false;
  bool failed_ = false;
  std::uint64_t free_bytes_ = std::uint64_t{1} << 40;
};

}  // namespace hearth::testing

#include "testing/failing_fs.h"

#include <algorithm>
#include <utility>

namespace hearth::testing {
namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

tl::unexpected<Error> missing(const std::string& path) {
  return fail(ErrorKind::kNotFound, "file_not_found", "cannot open {}: no such file", path);
}

class MemoryReadable final : public ReadableFile {
 public:
  explicit MemoryReadable(std::string data) : data_(std::move(data)) {}
  std::uint64_t size() const override { return data_.size(); }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override {
    if (offset >= data_.size()) return std::size_t{0};
    const std::size_t n = std::min<std::size_t>(out.size(), data_.size() - offset);
    data_.copy(out.data(), n, offset);
    return n;
  }

 private:
  std::string data_;
};

class MemoryLock final : public FileLock {
 public:
  MemoryLock(std::set<std::string>& held, std::string path) : held_(held), path_(std::move(path)) {}
  MemoryLock(const MemoryLock&) = delete;
  MemoryLock& operator=(const MemoryLock&) = delete;
  ~MemoryLock() override { held_.erase(path_); }

 private:
  std::set<std::string>& held_;
  std::string path_;
};

}  // namespace

class MemoryWritable final : public WritableFile {
 public:
  MemoryWritable(FailingFs& fs, std::shared_ptr<FailingFs::Inode> inode, std::string path)
      : fs_(fs), inode_(std::move(inode)), path_(std::move(path)) {}

  Status append(std::string_view bytes) override {
    auto allowed = fs_.step("write", path_);
    if (!allowed) {  // torn: a part of it got there
      bytes = bytes.substr(0, fs_.random_() % (bytes.size() + 1));
      inode_->data += bytes;
      return allowed;
    }
    inode_->data += bytes;
    return {};
  }

  Status sync() override {
    HEARTH_TRY_VOID(fs_.step("sync", path_));
    inode_->synced = inode_->data;
    return {};
  }

 private:
  FailingFs& fs_;
  std::shared_ptr<FailingFs::Inode> inode_;
  std::string path_;
};

FailingFs::FailingFs(std::uint64_t seed) : random_(seed) {
  auto root = std::make_shared<Inode>();
  root->kind = FileKind::kFolder;
  live_["/"] = durable_["/"] = std::move(root);
}

void FailingFs::fail_operation(std::uint64_t nth, bool and_all_after) {
  fail_at_ = operations_ + nth;
  fail_all_after_ = and_all_after;
  failed_ = false;
}

void FailingFs::never_fail() { fail_at_ = std::numeric_limits<std::uint64_t>::max(); }

Status FailingFs::step(const char* action, const std::string& path) {
  ++operations_;
  if (operations_ == fail_at_ || (operations_ > fail_at_ && fail_all_after_)) {
    failed_ = true;
    return fail(ErrorKind::kIo, "disk_error", "cannot {} {}: simulated disk error", action, path);
  }
  return {};
}

Status FailingFs::need_parent(const std::string& path) const {
  const auto parent = live_.find(folder_of(path));
  if (parent == live_.end() || parent->second->kind != FileKind::kFolder) return missing(path);
  return {};
}

void FailingFs::apply(Edits edits) {
  for (const auto& [path, inode] : edits) {
    if (inode) {
      live_[path] = inode;
    } else {
      live_.erase(path);
    }
  }
  pending_.push_back(std::move(edits));
}

void FailingFs::power_cut() {
  // Names changed since the last sync: a prefix of the changes is on the disk.
  pending_.resize(pending_.empty() ? 0 : random_() % (pending_.size() + 1));
  for (const Edits& edits : pending_) {
    for (const auto& [path, inode] : edits) {
      if (inode) {
        durable_[path] = inode;
      } else {
        durable_.erase(path);
      }
    }
  }
  pending_.clear();
  live_ = durable_;
  for (auto& [path, inode] : live_) {
    const std::size_t kept = inode->synced.size();
    if (inode->data.size() > kept && inode->data.starts_with(inode->synced)) {
      inode->data.resize(kept + random_() % (inode->data.size() - kept + 1));
    } else {
      inode->data = inode->synced;
    }
    inode->synced = inode->data;
  }
  locks_.clear();
  never_fail();
}

void FailingFs::make_symlink(const std::string& path) {
  auto inode = std::make_shared<Inode>();
  inode->kind = FileKind::kSymlink;
  live_[path] = durable_[path] = std::move(inode);
}

Result<std::unique_ptr<WritableFile>> FailingFs::open_append(const std::string& path,
                                                             bool truncate) {
  HEARTH_TRY_VOID(need_parent(path));
  HEARTH_TRY_VOID(step("open", path));
  const auto it = live_.find(path);
  if (it == live_.end()) {
    apply({{path, std::make_shared<Inode>()}});
  } else if (it->second->kind != FileKind::kFile) {
    return fail(ErrorKind::kIo, "disk_error", "cannot open {}: not a file", path);
  } else if (truncate) {
    it->second->data.clear();
  }
  return std::make_unique<MemoryWritable>(*this, live_[path], path);
}

Result<std::unique_ptr<ReadableFile>> FailingFs::open_read(const std::string& path) {
  const auto it = live_.find(path);
  if (it == live_.end() || it->second->kind != FileKind::kFile) return missing(path);
  return std::make_unique<MemoryReadable>(it->second->data);
}

Status FailingFs::rename(const std::string& from, const std::string& to) {
  const auto it = live_.find(from);
  if (it == live_.end()) return missing(from);
  HEARTH_CHECK(it->second->kind == FileKind::kFile);  // folders are not renamed by anyone
  HEARTH_TRY_VOID(need_parent(to));
  HEARTH_TRY_VOID(step("rename", from));
  apply({{to, it->second}, {from, nullptr}});
  return {};
}

Status FailingFs::sync_folder(const std::string& path) {
  HEARTH_TRY_VOID(step("sync", path));
  for (Edits& edits : pending_) {
    for (const auto& [name, inode] : edits) {
      if (folder_of(name) != path) continue;
      if (inode) {
        durable_[name] = inode;
      } else {
        durable_.erase(name);
      }
    }
    std::erase_if(edits, [&path](const auto& edit) { return folder_of(edit.first) == path; });
  }
  std::erase_if(pending_, [](const Edits& edits) { return edits.empty(); });
  return {};
}

Status FailingFs::remove(const std::string& path) {
  const auto it = live_.find(path);
  if (it == live_.end()) return missing(path);
  const auto next = live_.upper_bound(path + "/");
  if (next != live_.end() && next->first.starts_with(path + "/")) {
    return fail(ErrorKind::kIo, "disk_error", "cannot remove {}: not empty", path);
  }
  HEARTH_TRY_VOID(step("remove", path));
  apply({{path, nullptr}});
  return {};
}

Result<std::vector<FileInfo>> FailingFs::list(const std::string& path) {
  const auto it = live_.find(path);
  if (it == live_.end() || it->second->kind != FileKind::kFolder) return missing(path);
  std::vector<FileInfo> entries;
  for (const auto& [name, inode] : live_) {
    if (name == "/" || folder_of(name) != path) continue;
    entries.push_back({name_of(name), inode->kind, inode->data.size()});
  }
  return entries;
}

Result<FileInfo> FailingFs::info(const std::string& path) {
  const auto it = live_.find(path);
  if (it == live_.end()) return missing(path);
  return FileInfo{name_of(path), it->second->kind, it->second->data.size()};
}

Status FailingFs::make_folders(const std::string& path, unsigned mode) {
  if (live_.contains(path)) return {};
  HEARTH_TRY_VOID(make_folders(folder_of(path), mode));
  HEARTH_TRY_VOID(step("make the folder", path));
  auto folder = std::make_shared<Inode>();
  folder->kind = FileKind::kFolder;
  live_[path] = durable_[path] = std::move(folder);
  return {};
}

Result<std::uint64_t> FailingFs::free_bytes(const std::string&) { return free_bytes_; }

Result<std::unique_ptr<FileLock>> FailingFs::lock(const std::string& path) {
  HEARTH_TRY_VOID(need_parent(path));
  if (!locks_.insert(path).second) {
    return fail(ErrorKind::kExhausted, "locked", "{} is held by another process", path);
  }
  return std::make_unique<MemoryLock>(locks_, path);
}

}  // namespace hearth::testing

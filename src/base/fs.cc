#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace hearth {
namespace {

tl::unexpected<Error> disk_error(const char* action, const std::string& path, int error) {
  const ErrorKind kind = error == ENOENT ? ErrorKind::kNotFound : ErrorKind::kIo;
  std::string code = "disk_error";
  if (error == ENOENT) code = "file_not_found";
  if (error == ENOSPC || error == EDQUOT) code = "disk_full";
  if (error == EACCES || error == EPERM || error == EROFS) code = "disk_permission";
  return fail(kind, std::move(code), "cannot {} {}: {}", action, path,
              std::generic_category().message(error));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

int open_retrying(const std::string& path, int flags, mode_t mode = 0) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

class PosixWritable final : public WritableFile {
 public:
  PosixWritable(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Status append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return disk_error("write", path_, errno);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
  }

  Status sync() override {
    if (::fsync(fd_.get()) != 0) return disk_error("sync", path_, errno);
    return {};
  }

 private:
  Descriptor fd_;
  std::string path_;
};

class PosixReadable final : public ReadableFile {
 public:
  PosixReadable(int fd, std::uint64_t size, std::string path)
      : fd_(fd), size_(size), path_(std::move(path)) {}

  std::uint64_t size() const override { return size_; }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = ::pread(fd_.get(), out.data() + done, out.size() - done,
                                static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return disk_error("read", path_, errno);
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

 private:
  Descriptor fd_;
  std::uint64_t size_;
  std::string path_;
};

class PosixLock final : public FileLock {
 public:
  explicit PosixLock(int fd) : fd_(fd) {}  // the lock goes with the descriptor

 private:
  Descriptor fd_;
};

FileInfo info_of(std::string name, const struct stat& st) {
  FileInfo info;
  info.name = std::move(name);
  if (S_ISREG(st.st_mode)) {
    info.kind = FileKind::kFile;
    info.size = static_cast<std::uint64_t>(st.st_size);
  } else if (S_ISDIR(st.st_mode)) {
    info.kind = FileKind::kFolder;
  } else if (S_ISLNK(st.st_mode)) {
    info.kind = FileKind::kSymlink;
  }
  return info;
}

std::string last_component(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<WritableFile>> open_append(const std::string& path,
                                                    bool truncate) override {
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | (truncate ? O_TRUNC : 0);
    const int fd = open_retrying(path, flags, 0644);
    if (fd < 0) return disk_error("open", path, errno);
    return std::make_unique<PosixWritable>(fd, path);
  }

  Result<std::unique_ptr<ReadableFile>> open_read(const std::string& path) override {
    const int fd = open_retrying(path, O_RDONLY | O_NONBLOCK);  // a FIFO must not hang us
    if (fd < 0) return disk_error("open", path, errno);
    struct stat st = {};
    if (::fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
      const int error = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
      ::close(fd);
      return disk_error("read", path, error);
    }
    return std::make_unique<PosixReadable>(fd, static_cast<std::uint64_t>(st.st_size), path);
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return disk_error("rename", from, errno);
    return {};
  }

  Status sync_folder(const std::string& path) override {
    const Descriptor fd(open_retrying(path, O_RDONLY | O_DIRECTORY));
    if (fd.get() < 0) return disk_error("open", path, errno);
    // Some file systems (network shares) cannot sync a folder and say EINVAL; there is no more to
    // do.
    if (::fsync(fd.get()) != 0 && errno != EINVAL) return disk_error("sync", path, errno);
    return {};
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) == 0) return {};
    if ((errno == EISDIR || errno == EPERM) && ::rmdir(path.c_str()) == 0) return {};
    return disk_error("remove", path, errno);
  }

  Result<std::vector<FileInfo>> list(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
    if (!folder) return disk_error("list", path, errno);
    std::vector<FileInfo> entries;
    for (;;) {
      errno = 0;
      // readdir is safe here: the stream belongs to this call alone.
      const dirent* entry = ::readdir(folder.get());  // NOLINT(concurrency-mt-unsafe)
      if (entry == nullptr) break;
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      auto info = this->info(path + "/" + name);
      if (info) entries.push_back(*std::move(info));  // else it went away meanwhile
    }
    if (errno != 0) return disk_error("list", path, errno);
    std::sort(entries.begin(), entries.end(),
              [](const FileInfo& a, const FileInfo& b) { return a.name < b.name; });
    return entries;
  }

  Result<FileInfo> info(const std::string& path) override {
    struct stat st = {};
    if (::lstat(path.c_str(), &st) != 0) return disk_error("look at", path, errno);
    return info_of(last_component(path), st);
  }

  Status make_folders(const std::string& path, unsigned mode) override {
    struct stat st = {};
    if (path.empty() || (::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode))) return {};
    const std::string parent = parent_of(path);
    if (parent != path) HEARTH_TRY_VOID(make_folders(parent, mode));
    if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
      return disk_error("make the folder", path, errno);
    }
    return sync_folder(parent);
  }

  Result<std::uint64_t> free_bytes(const std::string& folder) override {
    struct statvfs st = {};
    if (::statvfs(folder.c_str(), &st) != 0) return disk_error("look at", folder, errno);
    return std::uint64_t{st.f_bavail} * st.f_frsize;
  }

  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    const int fd = open_retrying(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (fd < 0) return disk_error("open", path, errno);
    auto lock = std::make_unique<PosixLock>(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return disk_error("lock", path, errno);
      return fail(ErrorKind::kExhausted, "locked", "{} is held by another process", path);
    }
    return lock;
  }
};

}  // namespace

FileSystem& FileSystem::real() {
  static PosixFileSystem fs;
  return fs;
}

Result<std::string> read_small_file(FileSystem& fs, const std::string& path,
                                    std::uint64_t bytes_max) {
  HEARTH_TRY(const auto file, fs.open_read(path));
  if (file->size() > bytes_max) {
    return fail(ErrorKind::kTooLarge, "file_too_large", "{} has {} bytes; at most {} are read",
                path, file->size(), bytes_max);
  }
  std::string content(file->size(), '\0');
  HEARTH_TRY(const std::size_t n, file->read_at(0, content));
  content.resize(n);
  return content;
}

Status write_file_atomically(FileSystem& fs, const std::string& path, std::string_view content) {
  const std::string tmp = path + ".tmp";
  {
    HEARTH_TRY(const auto file, fs.open_append(tmp, /*truncate=*/true));
    HEARTH_TRY_VOID(file->append(content));
    HEARTH_TRY_VOID(file->sync());
  }
  HEARTH_TRY_VOID(fs.rename(tmp, path));
  return fs.sync_folder(parent_of(path));
}

}  // namespace hearth

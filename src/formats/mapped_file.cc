#include "formats/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>

namespace hearth {
namespace {

tl::unexpected<Error> open_failed(const std::string& path, int error) {
  if (error == ENOENT || error == ENOTDIR) {
    return fail(ErrorKind::kNotFound, "file_not_found", "{}: no such file", path);
  }
  return fail(ErrorKind::kIo, "file_unreadable", "{}: {}", path, std::strerror(error));
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  if (path.find('\0') != std::string::npos) {
    return invalid("invalid_path", "the path holds a NUL character");
  }
  // O_NONBLOCK: opening a FIFO must not wait for a writer. It means nothing for regular files.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return open_failed(path, errno);
  struct stat st = {};
  if (::fstat(fd, &st) != 0) {
    const int error = errno;
    ::close(fd);
    return open_failed(path, error);
  }
  if (!S_ISREG(st.st_mode)) {
    ::close(fd);
    return invalid("not_a_file", "{}: {}", path,
                   S_ISDIR(st.st_mode) ? "is a folder, not a file" : "is not a regular file");
  }
  if (st.st_size <= 0) {
    ::close(fd);
    return invalid("empty_file", "{}: the file is empty", path);
  }
  if (static_cast<std::uint64_t>(st.st_size) > std::numeric_limits<std::size_t>::max() / 2) {
    ::close(fd);
    return fail(ErrorKind::kTooLarge, "file_too_large", "{}: too large to map", path);
  }
  const auto size = static_cast<std::size_t>(st.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const int error = errno;
  ::close(fd);
  if (address == MAP_FAILED) return open_failed(path, error);
  return std::shared_ptr<const MappedFile>(
      new MappedFile({static_cast<const std::byte*>(address), size}));
}

MappedFile::~MappedFile() {
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());  // munmap takes no const
}

void MappedFile::drop_pages(std::span<const std::byte> range) const {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<std::uintptr_t>(range.data());
  const std::uintptr_t begin = (first + page - 1) / page * page;
  const std::uintptr_t end = (first + range.size()) / page * page;
  if (begin >= end) return;
  // Only advice: a kernel that refuses it costs memory, nothing else.
  auto* const whole_pages = const_cast<std::byte*>(range.data()) + (begin - first);
  (void)::madvise(whole_pages, end - begin, MADV_DONTNEED);
}

}  // namespace hearth

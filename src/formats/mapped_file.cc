#include "formats/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base/fault_point.h"

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
  if (address == MAP_FAILED) {
    const int error = errno;
    ::close(fd);
    return open_failed(path, error);
  }
  // The same open file: the name may lead to another one by now. Some file systems refuse.
  const bool direct = ::fcntl(fd, F_SETFL, O_DIRECT) == 0;
  if (!direct) ::close(fd);
  return std::shared_ptr<const MappedFile>(
      new MappedFile({static_cast<const std::byte*>(address), size}, direct ? fd : -1));
}

MappedFile::~MappedFile() {
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());  // munmap takes no const
  if (direct_ >= 0) ::close(direct_);
}

bool MappedFile::in_page_cache(std::span<const std::byte> range) const {
  if (range.empty()) return true;
  constexpr std::size_t kSamples = 16;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto first = static_cast<std::size_t>(range.data() - bytes_.data()) / page;
  const std::size_t pages =
      (static_cast<std::size_t>(range.data() - bytes_.data()) + range.size() - 1) / page - first +
      1;
  const std::size_t samples = std::min(pages, kSamples);
  std::size_t present = 0;
  for (std::size_t i = 0; i < samples; ++i) {
    auto* const address =
        const_cast<std::byte*>(bytes_.data()) + (first + i * pages / samples) * page;
    unsigned char state = 1;
    if (::mincore(address, page, &state) != 0) return true;
    present += state & 1;
  }
  return 2 * present >= samples;
}

Result<bool> MappedFile::read_direct(std::size_t offset, std::span<std::byte> to) const {
  HEARTH_CHECK(offset < bytes_.size() && offset % kDirectBytes == 0);
  HEARTH_CHECK(to.size() % kDirectBytes == 0);
  if (direct_ < 0 || FAULT_POINT("file.refuses_direct")) return false;
  const std::size_t wanted = std::min(to.size(), bytes_.size() - offset);
  std::size_t done = 0;
  while (done < wanted) {
    const ::ssize_t n =
        ::pread(direct_, to.data() + done, to.size() - done, static_cast<::off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) return false;
    if (n < 0) return fail(ErrorKind::kIo, "file_unreadable", "{}", std::strerror(errno));
    const auto got = static_cast<std::size_t>(n);
    if (done + got >= wanted) break;
    // Whole blocks only, so that the next read is aligned. Less than one: the file ends here.
    if (got < kDirectBytes)
      return fail(ErrorKind::kIo, "file_unreadable", "the file was cut shorter while it was read");
    done += got / kDirectBytes * kDirectBytes;
  }
  return true;
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

const MappedFile* file_holding(std::span<const std::shared_ptr<const MappedFile>> files,
                               std::span<const std::byte> range) {
  for (const auto& file : files) {
    const auto bytes = file->bytes();
    if (range.data() >= bytes.data() && range.data() < bytes.data() + bytes.size())
      return file.get();
  }
  return nullptr;
}

}  // namespace hearth

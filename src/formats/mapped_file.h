// A whole file mapped read-only.
//
// The size is taken once, when the file is opened; every check of the readers is against that size.
// A file that another process cuts shorter while it is mapped raises SIGBUS on the next touch of
// the lost pages. That cannot be prevented for a mapping: replace model files by renaming over them
// (as the store does), never by writing into them.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace hearth {

class MappedFile {
 public:
  // Refused: anything but a regular file (folders, FIFOs, devices), and empty files. Missing:
  // kNotFound.
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

  // Whether most of `range`, which must lie in bytes(), is in the page cache, by a sample of its
  // pages. True also where the system does not tell: it tells who owns the file or may write it.
  bool in_page_cache(std::span<const std::byte> range) const;

  // Fills `to` with the file's bytes from `offset` on, past the page cache; what lies beyond the
  // end of the file is left as it was. Address, size and offset are multiples of kDirectBytes.
  // False: this file cannot be read so. Errors: "file_unreadable", also for a file that has become
  // shorter.
  static constexpr std::size_t kDirectBytes = 4096;
  Result<bool> read_direct(std::size_t offset, std::span<std::byte> to) const;

  // Lets go of the whole pages inside `range`, which must lie in bytes(); they are read from the
  // file again when touched.
  void drop_pages(std::span<const std::byte> range) const;

 private:
  MappedFile(std::span<const std::byte> bytes, int direct) : bytes_(bytes), direct_(direct) {}

  std::span<const std::byte> bytes_;
  int direct_;  // descriptor for read_direct(), or -1
};

// The one of `files` whose mapping `range` lies in, or null.
const MappedFile* file_holding(std::span<const std::shared_ptr<const MappedFile>> files,
                               std::span<const std::byte> range);

}  // namespace hearth

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

  // Lets go of the whole pages inside `range`, which must lie in bytes(); they are read from the
  // file again when touched.
  void drop_pages(std::span<const std::byte> range) const;

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

}  // namespace hearth

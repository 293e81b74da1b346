// A whole file mapped read-only.
//
// The size is taken once, when the file is opened; every check of the readers is against that size.
// A file that another process cuts shorter while it is mapped raises SIGBUS on the next touch of
// the lost pages. That cannot be prevented for a mapping: replace model files by renaming over them
// (as the store does), never by writing into them.
#pragma once

#include <cstddef>
#include <cstdint>
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

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

enum class PageUse : std::uint8_t {
  kSoon,      // read them from the file by and by, without waiting for them
  kNoLonger,  // let go of the whole pages inside; they are read again when touched
};

// What becomes of the pages of `range`, where it lies in one of the files. Only advice: a system
// that refuses it costs time or memory, nothing else.
void advise(std::span<const std::shared_ptr<const MappedFile>> files,
            std::span<const std::byte> range, PageUse use);

}  // namespace hearth

// Zip archives, as far as Python wheels need them: stored and deflated members. The archive comes
// from a network, so nothing in it is believed: every number is checked against the file's size,
// names are only compared, never made into paths. Format: PKWARE APPNOTE 6.3.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fs.h"
#include "base/result.h"

namespace hearth::store {

struct ZipEntry {
  std::string name;
  std::uint16_t method = 0;  // 0 stored, 8 deflated
  std::uint32_t crc = 0;
  std::uint64_t compressed_size = 0;
  std::uint64_t size = 0;
  std::uint64_t header_offset = 0;  // of the local header
};

class ZipReader {
 public:
  using Sink = std::function<Status(std::string_view)>;

  // Reads the central directory. Errors: kInvalid "bad_zip"; kUnsupported "unsupported_zip" for
  // zip64, several volumes and encryption.
  static Result<ZipReader> open(std::unique_ptr<ReadableFile> file);

  const std::vector<ZipEntry>& entries() const { return entries_; }
  const ZipEntry* find(std::string_view name) const;

  // Feeds the sink with exactly entry.size bytes whose CRC is entry.crc, or fails; what the sink
  // got before the failure is to be thrown away.
  Status extract(const ZipEntry& entry, const Sink& sink) const;

 private:
  ZipReader() = default;
  Status read_directory();
  Result<std::uint64_t> data_offset(const ZipEntry& entry) const;

  std::unique_ptr<ReadableFile> file_;
  std::vector<ZipEntry> entries_;
  std::uint64_t directory_offset_ = 0;  // members lie before it
};

}  // namespace hearth::store

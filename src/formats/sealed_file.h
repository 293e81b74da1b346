// The plaintext of a sealed file in memory of its own: reserved as a whole and without access,
// filled chunk by chunk. A chunk can be read once it is verified, and no byte of it before. The
// memory is in no core file; whether it can be swapped out: base/private_memory.h.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/model_file.h"
#include "formats/sealed_reader.h"

namespace hearth {

class SealedFile final : public ModelFile {
 public:
  // Errors: those of SealedReader, with the path in front; "empty_file"; "out_of_memory".
  static Result<std::shared_ptr<const SealedFile>> open(const std::string& path,
                                                        const sealed::Unsealing& unsealing);
  ~SealedFile() override;

  Status need(std::span<const std::byte> range) const override;
  void drop_pages(std::span<const std::byte>) const override {}  // UnsealAhead does that
  const SealedFile* as_sealed() const override { return this; }

  std::size_t chunk_bytes() const { return reader_.layout().chunk_bytes; }
  std::size_t chunk_of(const std::byte* at) const {
    return static_cast<std::size_t>(at - bytes().data()) / chunk_bytes();
  }
  const sealed::Header& header() const { return reader_.header(); }

  // Makes a chunk readable until as many calls of release(). Waits for whoever is at it already.
  Status acquire(std::size_t chunk) const;
  void release(std::size_t chunk) const;

 private:
  struct Chunk {
    std::uint32_t users = 0;
    enum : std::uint8_t { kAbsent, kComing, kReadable } state = kAbsent;
  };

  SealedFile(std::string path, sealed::SealedReader reader, std::span<std::byte> reserved,
             std::span<std::byte> text);
  std::span<std::byte> memory_of(std::size_t chunk) const;  // whole pages
  Status fill(std::size_t chunk) const;

  const std::string path_;
  const sealed::SealedReader reader_;
  const std::span<std::byte> reserved_;
  const std::span<std::byte> text_;  // in it, from a chunk's boundary on
  mutable std::mutex mutex_;
  mutable std::condition_variable came_;
  mutable std::vector<Chunk> chunks_;
};

}  // namespace hearth

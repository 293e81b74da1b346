// The plaintext of a sealed file in memory of its own: reserved as a whole and without access,
// filled chunk by chunk. A chunk is decrypted elsewhere and its pages are moved to their place once
// it is verified: there is no moment at which others could read a byte of it before. Pages that are
// not needed any more take the next chunk, as fresh ones cost more than the decryption. All of this
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
  static constexpr std::size_t kNowhere = SIZE_MAX;
  struct Chunk {
    std::uint32_t users = 0;
    enum : std::uint8_t { kAbsent, kComing, kReadable } state = kAbsent;
    std::size_t workplace = kNowhere;  // where its pages came from
  };

  SealedFile(std::string path, sealed::SealedReader reader, std::span<std::byte> reserved,
             std::span<std::byte> text);
  std::span<std::byte> memory_of(std::size_t chunk) const;  // whole pages
  Status fill(std::size_t chunk, std::size_t& workplace) const;
  struct Workplace {  // where a chunk is decrypted
    std::span<std::byte> mapping;
    std::span<std::byte> memory;  // in it, as large as a chunk
  };
  Result<std::size_t> take_workplace() const;
  void give_workplace(std::size_t index) const;

  const std::string path_;
  const sealed::SealedReader reader_;
  const std::span<std::byte> reserved_;
  const std::span<std::byte> text_;  // in it, from a chunk's boundary on
  mutable std::mutex mutex_;
  mutable std::condition_variable came_;
  mutable std::vector<Chunk> chunks_;
  mutable std::vector<Workplace> workplaces_;
  mutable std::vector<std::size_t> free_workplaces_;  // of those, the ones with their pages
};

}  // namespace hearth

// Seals files, unseals them and changes who can open them. Memory does not grow with the file.
// What is written appears under its name only when it is whole and on the disk.
#pragma once

#include <span>
#include <string>

#include "base/fs.h"
#include "base/result.h"
#include "crypto/ed25519.h"
#include "formats/sealed_keys.h"

namespace hearth::sealed {

struct SealOptions {
  std::span<const KeyRef> keys;                // each of them opens it
  const crypto::Ed25519Key* signer = nullptr;  // null: nobody signs
  std::uint32_t chunk_bytes = kChunkBytes;     // others are for tests
};

// Errors: those of the disk, "sealed_too_large", "too_many_keys", "file_exists" (`to` is never
// replaced), "already_sealed", "file_changed" (`from` became shorter meanwhile).
Status seal_file(FileSystem& fs, const std::string& from, const std::string& to,
                 const SealOptions& options);

// Errors: those of SealedReader, of the disk, "file_exists". `from` is on the real disk.
Status unseal_file(FileSystem& fs, const std::string& from, const std::string& to,
                   const Unsealing& unsealing);

// Slots for `added` in the place of those that `old` opens; chunks, table and signature stay as
// they are. After a power cut the file has the old slots or the new ones. Errors: those of
// open_slots() and of the disk.
Status rewrap_file(FileSystem& fs, const std::string& path, const KeyRef& old,
                   std::span<const KeyRef> added);

Result<bool> is_sealed(FileSystem& fs, const std::string& path);

}  // namespace hearth::sealed

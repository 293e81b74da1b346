// A file of a model as its readers see it: all of its bytes in memory, from a plain file or from a
// sealed one.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "formats/sealed_keys.h"

namespace hearth {

class MappedFile;
class SealedFile;

class ModelFile {
 public:
  virtual ~ModelFile() = default;
  ModelFile(const ModelFile&) = delete;
  ModelFile& operator=(const ModelFile&) = delete;

  // Of a sealed file nothing may be touched but what need() or UnsealAhead has made readable: the
  // rest is memory without access, so that bytes that were not verified can end the process but can
  // never be read.
  std::span<const std::byte> bytes() const { return bytes_; }

  // Makes `range`, which must lie in bytes(), readable for as long as this lives. Errors:
  // "sealed_damaged", "file_unreadable".
  virtual Status need(std::span<const std::byte> range) const = 0;
  // Lets go of the whole pages inside `range`, which must lie in bytes(); they come back when
  // touched.
  virtual void drop_pages(std::span<const std::byte> range) const = 0;

  // What it is; null for the other.
  virtual const MappedFile* as_mapped() const { return nullptr; }
  virtual const SealedFile* as_sealed() const { return nullptr; }

 protected:
  explicit ModelFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

 private:
  const std::span<const std::byte> bytes_;
};

// Errors: those of MappedFile; of a file that is sealed, those of sealed::SealedReader.
Result<std::shared_ptr<const ModelFile>> open_model_file(const std::string& path,
                                                         const sealed::Unsealing& unsealing);

// The one of `files` in which `range` lies, or null.
const ModelFile* file_holding(std::span<const std::shared_ptr<const ModelFile>> files,
                              std::span<const std::byte> range);

}  // namespace hearth

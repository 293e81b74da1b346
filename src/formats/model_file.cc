#include "formats/model_file.h"

#include <utility>

#include "formats/mapped_file.h"
#include "formats/sealed_file.h"

namespace hearth {

Result<std::shared_ptr<const ModelFile>> open_model_file(const std::string& path,
                                                         const sealed::Unsealing& unsealing) {
  HEARTH_TRY(auto mapped, MappedFile::open(path));
  if (sealed::looks_sealed(mapped->bytes())) {
    mapped.reset();
    HEARTH_TRY(auto sealed, SealedFile::open(path, unsealing));
    return std::shared_ptr<const ModelFile>(std::move(sealed));
  }
  if (unsealing.signer) return invalid("sealed_not_signed", "{}: it is not sealed", path);
  return std::shared_ptr<const ModelFile>(std::move(mapped));
}

const ModelFile* file_holding(std::span<const std::shared_ptr<const ModelFile>> files,
                              std::span<const std::byte> range) {
  for (const auto& file : files) {
    const auto bytes = file->bytes();
    if (range.data() >= bytes.data() && range.data() < bytes.data() + bytes.size())
      return file.get();
  }
  return nullptr;
}

}  // namespace hearth

#include "model/source.h"

#include <filesystem>
#include <utility>

#include "formats/gguf_tokenizer.h"

namespace hearth::model {
namespace {

Result<ModelSource> open_gguf(const std::string& path) {
  ModelSource source;
  source.gguf = true;
  HEARTH_TRY(source.gguf_file, GgufFile::open(path));
  source.weights = source.gguf_file;
  HEARTH_TRY(source.tokenizer, tokenizer_from_gguf(*source.gguf_file));
  return source;
}

Result<ModelSource> open_folder(const std::string& path) {
  ModelSource source;
  HEARTH_TRY(source.folder, open_hf_folder(path));
  source.weights = source.folder->weights;
  if (source.folder->tokenizer_json) {
    HEARTH_TRY(source.tokenizer,
               text::tokenizer_from_json(*source.folder->tokenizer_json,
                                         source.folder->tokenizer_config_json.value_or("")));
  }
  return source;
}

}  // namespace

Result<ModelConfig> ModelSource::config() const {
  return gguf ? config_from_gguf(*gguf_file)
              : config_from_hf(folder->config, folder->generation_config);
}

Result<ModelSource> open_source(const std::string& path) {
  std::error_code error;
  const bool is_folder = std::filesystem::is_directory(path, error);
  if (!is_folder && !std::filesystem::exists(path, error))
    return fail(ErrorKind::kNotFound, "model_not_found", "{}: no such file or folder", path);
  auto source = is_folder ? open_folder(path) : open_gguf(path);
  if (!source) return source;
  source->path = path;
  const std::filesystem::path trimmed = std::filesystem::path(path).lexically_normal();
  source->name = (is_folder ? (trimmed.has_filename() ? trimmed : trimmed.parent_path()).filename()
                            : trimmed.stem())
                     .string();
  if (source->tokenizer) source->chat_template = source->tokenizer->chat_template;
  if (source->folder && source->folder->chat_template)
    source->chat_template = *source->folder->chat_template;
  return source;
}

}  // namespace hearth::model

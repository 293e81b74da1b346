// A model's files, opened and checked but not yet on a device: what `show`, `tokenize` and `render`
// need.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "formats/gguf.h"
#include "formats/hf_folder.h"
#include "formats/weights.h"
#include "model/config.h"
#include "text/tokenizer.h"

namespace hearth::model {

struct ModelSource {
  std::string path;
  std::string name;   // the file's or the folder's, without extension
  bool gguf = false;  // which names the tensors have
  std::shared_ptr<const Weights> weights;
  std::shared_ptr<const GgufFile> gguf_file;     // null for a folder
  std::optional<HfFolder> folder;                // empty for a GGUF file
  std::optional<text::TokenizerData> tokenizer;  // empty: token ids only
  std::string chat_template;                     // empty: none

  Result<ModelConfig> config() const;  // also says which architectures are unknown
};

// A .gguf file or a Hugging Face folder.
Result<ModelSource> open_source(const std::string& path);

}  // namespace hearth::model

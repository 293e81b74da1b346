#include "formats/hf_folder.h"

#include <cstdint>
#include <utility>

#include "base/fs.h"
#include "formats/model_file.h"
#include "formats/safetensors.h"
#include "formats/sealed_writer.h"

namespace hearth {
namespace {

// tokenizer.json of large vocabularies has 30 MB; an index has about 100 bytes per tensor.
constexpr std::uint64_t kTokenizerBytesMax = 256u << 20;
constexpr std::uint64_t kIndexBytesMax = 64u << 20;
constexpr std::uint64_t kSmallBytesMax = 8u << 20;

// A file of text, sealed or not. Of sealed ones the text is copied from memory that is verified.
class TextFiles {
 public:
  TextFiles(std::string folder, const sealed::Unsealing& unsealing)
      : folder_(std::move(folder)), unsealing_(unsealing) {}

  std::string path(const char* name) const { return folder_ + "/" + name; }

  // Nothing: there is no such file.
  Result<std::optional<std::string>> read(const char* name, std::uint64_t bytes_max) const {
    auto text = content(path(name), bytes_max);
    if (!text && text.error().kind == ErrorKind::kNotFound) return std::nullopt;
    if (!text) return tl::unexpected<Error>(std::move(text).error());
    return *std::move(text);
  }

 private:
  Result<std::string> content(const std::string& path, std::uint64_t bytes_max) const {
    HEARTH_TRY(const bool is_sealed, sealed::is_sealed(FileSystem::real(), path));
    if (!is_sealed && !unsealing_.signer)
      return read_small_file(FileSystem::real(), path, bytes_max);
    HEARTH_TRY(const auto file, open_model_file(path, unsealing_));
    const auto bytes = file->bytes();
    if (bytes.size() > bytes_max)
      return fail(ErrorKind::kTooLarge, "file_too_large", "{} has {} bytes; at most {} are read",
                  path, bytes.size(), bytes_max);
    HEARTH_TRY_VOID(file->need(bytes));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  const std::string folder_;
  const sealed::Unsealing& unsealing_;
};

Result<Json> read_json(const std::string& path, const std::string& text) {
  auto json = parse_json(text, {.bytes_max = kSmallBytesMax});
  if (!json) return prefixed(path, std::move(json).error());
  return json;
}

// Where both are there, Hugging Face takes the single file.
Result<std::shared_ptr<const Weights>> open_weights(const std::string& folder,
                                                    const TextFiles& files,
                                                    const sealed::Unsealing& unsealing) {
  auto single = Safetensors::open(files.path("model.safetensors"), unsealing);
  if (single || single.error().kind != ErrorKind::kNotFound) return single;
  HEARTH_TRY(const auto index, files.read("model.safetensors.index.json", kIndexBytesMax));
  if (!index) return single;
  return Safetensors::open_sharded(folder, *index, unsealing);
}

}  // namespace

Result<HfFolder> open_hf_folder(const std::string& path, const sealed::Unsealing& unsealing) {
  HfFolder folder;
  const TextFiles files(path, unsealing);
  HEARTH_TRY(const auto config, files.read("config.json", kSmallBytesMax));
  if (!config) {
    return fail(ErrorKind::kNotFound, "file_not_found", "{}: no such file",
                files.path("config.json"));
  }
  HEARTH_TRY(folder.config, read_json(files.path("config.json"), *config));
  HEARTH_TRY(const auto generation, files.read("generation_config.json", kSmallBytesMax));
  if (generation) {
    HEARTH_TRY(folder.generation_config,
               read_json(files.path("generation_config.json"), *generation));
  }
  HEARTH_TRY(folder.tokenizer_json, files.read("tokenizer.json", kTokenizerBytesMax));
  HEARTH_TRY(folder.tokenizer_config_json, files.read("tokenizer_config.json", kSmallBytesMax));
  HEARTH_TRY(folder.chat_template, files.read("chat_template.jinja", kSmallBytesMax));
  HEARTH_TRY(folder.weights, open_weights(path, files, unsealing));
  return folder;
}

}  // namespace hearth

#include "formats/hf_folder.h"

#include <cstdint>
#include <utility>

#include "base/fs.h"
#include "formats/safetensors.h"

namespace hearth {
namespace {

// tokenizer.json of large vocabularies has 30 MB; an index has about 100 bytes per tensor.
constexpr std::uint64_t kTokenizerBytesMax = 256u << 20;
constexpr std::uint64_t kIndexBytesMax = 64u << 20;
constexpr std::uint64_t kSmallBytesMax = 8u << 20;

Result<std::optional<std::string>> read_optional(const std::string& path, std::uint64_t bytes_max) {
  auto text = read_small_file(FileSystem::real(), path, bytes_max);
  if (!text && text.error().kind == ErrorKind::kNotFound) return std::nullopt;
  if (!text) return tl::unexpected<Error>(std::move(text).error());
  return *std::move(text);
}

Result<Json> read_json(const std::string& path, const std::string& text) {
  auto json = parse_json(text, {.bytes_max = kSmallBytesMax});
  if (!json) return prefixed(path, std::move(json).error());
  return json;
}

// Where both are there, Hugging Face takes the single file.
Result<std::shared_ptr<const Weights>> open_weights(const std::string& folder) {
  auto single = Safetensors::open(folder + "/model.safetensors");
  if (single || single.error().kind != ErrorKind::kNotFound) return single;
  HEARTH_TRY(const auto index,
             read_optional(folder + "/model.safetensors.index.json", kIndexBytesMax));
  if (!index) return single;
  return Safetensors::open_sharded(folder, *index);
}

}  // namespace

Result<HfFolder> open_hf_folder(const std::string& path) {
  HfFolder folder;
  const std::string config_path = path + "/config.json";
  HEARTH_TRY(const auto config, read_optional(config_path, kSmallBytesMax));
  if (!config) {
    return fail(ErrorKind::kNotFound, "file_not_found", "{}: no such file", config_path);
  }
  HEARTH_TRY(folder.config, read_json(config_path, *config));
  const std::string generation_path = path + "/generation_config.json";
  HEARTH_TRY(const auto generation, read_optional(generation_path, kSmallBytesMax));
  if (generation) {
    HEARTH_TRY(folder.generation_config, read_json(generation_path, *generation));
  }
  HEARTH_TRY(folder.tokenizer_json, read_optional(path + "/tokenizer.json", kTokenizerBytesMax));
  HEARTH_TRY(folder.tokenizer_config_json,
             read_optional(path + "/tokenizer_config.json", kSmallBytesMax));
  HEARTH_TRY(folder.chat_template, read_optional(path + "/chat_template.jinja", kSmallBytesMax));
  HEARTH_TRY(folder.weights, open_weights(path));
  return folder;
}

}  // namespace hearth

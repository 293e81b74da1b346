#include "base/json.h"
#include "crypto/sha256.h"
#include "store/names.h"
#include "store/store.h"

namespace hearth::store {
namespace {

constexpr int kManifestFormat = 1;

tl::unexpected<Error> bad(std::string_view what) {
  return invalid("bad_manifest", "bad manifest: {}", what);
}

Result<std::string> text_field(const Json& json, const char* key) {
  const auto it = json.find(key);
  if (it == json.end() || !it->is_string()) return bad(key);
  return it->get<std::string>();
}

Result<ManifestFile> file_from_json(const Json& json) {
  if (!json.is_object()) return bad("files");
  ManifestFile file;
  HEARTH_TRY(file.name, text_field(json, "name"));
  HEARTH_TRY_VOID(check_file_name(file.name));
  HEARTH_TRY(file.sha256, text_field(json, "sha256"));
  if (!crypto::is_sha256_hex(file.sha256)) return bad("sha256");
  const auto size = json.find("size");
  if (size == json.end() || !size->is_number_unsigned()) return bad("size");
  file.size = size->get<std::uint64_t>();
  return file;
}

}  // namespace

std::uint64_t Manifest::size() const {
  std::uint64_t sum = 0;
  for (const ManifestFile& file : files) sum += file.size;
  return sum;
}

std::string manifest_to_json(const Manifest& manifest) {
  OrderedJson files = OrderedJson::array();
  for (const ManifestFile& file : manifest.files) {
    files.push_back({{"name", file.name}, {"size", file.size}, {"sha256", file.sha256}});
  }
  const OrderedJson json = {{"format", kManifestFormat},   {"name", manifest.name},
                            {"version", manifest.version}, {"source", manifest.source},
                            {"licence", manifest.licence}, {"pulled_at", manifest.pulled_at},
                            {"entry", manifest.entry},     {"files", std::move(files)}};
  return dump_json(json, 2) + "\n";
}

Result<Manifest> manifest_from_json(std::string_view text) {
  HEARTH_TRY(const Json json, parse_json(text));
  if (!json.is_object()) return bad("not an object");
  const auto format = json.find("format");
  if (format == json.end() || *format != kManifestFormat) {
    return fail(ErrorKind::kUnsupported, "bad_manifest", "the manifest is of another format");
  }
  Manifest manifest;
  HEARTH_TRY(manifest.name, text_field(json, "name"));
  HEARTH_TRY(manifest.version, text_field(json, "version"));
  HEARTH_TRY(manifest.source, text_field(json, "source"));
  HEARTH_TRY(manifest.licence, text_field(json, "licence"));
  HEARTH_TRY(manifest.pulled_at, text_field(json, "pulled_at"));
  HEARTH_TRY(manifest.entry, text_field(json, "entry"));
  const auto files = json.find("files");
  if (files == json.end() || !files->is_array() || files->empty()) return bad("files");
  bool entry_is_listed = manifest.entry.empty();
  for (const Json& file_json : *files) {
    HEARTH_TRY(ManifestFile file, file_from_json(file_json));
    entry_is_listed |= file.name == manifest.entry;
    manifest.files.push_back(std::move(file));
  }
  if (!entry_is_listed) return bad("entry");
  return manifest;
}

}  // namespace hearth::store

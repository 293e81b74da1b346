// The model hubs: Hugging Face (https://huggingface.co/docs/hub/api) and ModelScope. Both list the
// files of a repository with sizes and checksums, and serve them at .../resolve/REVISION/FILE.
#include <algorithm>
#include <array>

#include "base/json.h"
#include "crypto/sha256.h"
#include "net/url.h"
#include "store/recipe.h"

namespace hearth::store {
namespace {

constexpr std::size_t kListingMax = 16u << 20;

struct HubFile {
  std::string path;
  std::uint64_t size = 0;
  std::string sha256{};  // empty: the hub does not tell (small files on Hugging Face)
};

struct Listing {
  std::vector<HubFile> files;
  std::string licence{};
};

std::string without_slash(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  return text;
}

std::string string_at(const Json& json, const char* key) {
  const auto it = json.is_object() ? json.find(key) : json.end();
  if (!json.is_object() || it == json.end() || !it->is_string()) return {};
  return it->get<std::string>();
}

std::optional<std::uint64_t> number_at(const Json& json, const char* key) {
  const auto it = json.is_object() ? json.find(key) : json.end();
  if (!json.is_object() || it == json.end() || !it->is_number_unsigned()) return std::nullopt;
  return it->get<std::uint64_t>();
}

std::vector<std::pair<std::string, std::string>> hf_headers(const PullOptions& options) {
  if (options.sources.hf_token.empty()) return {};
  return {{"Authorization", "Bearer " + options.sources.hf_token}};
}

Result<Json> fetch_json(const std::string& url, const PullOptions& options, bool is_hf,
                        net::HttpFetcher& fetcher) {
  const net::DownloadRequest request = {
      url, is_hf ? hf_headers(options) : net::DownloadRequest{}.headers, 0, ""};
  HEARTH_TRY(const auto page, net::fetch_text(fetcher, request, kListingMax));
  auto json = parse_json(page.text, {.bytes_max = kListingMax});
  if (!json) return prefixed(net::display_url(url), std::move(json).error());
  return json;
}

tl::unexpected<Error> bad_listing(const Spec& spec) {
  return invalid("bad_listing", "{}: the hub's list of files is not understood", spec.source);
}

Result<Listing> list_hf(const Spec& spec, const PullOptions& options, net::HttpFetcher& fetcher) {
  const std::string api = without_slash(options.sources.hf) + "/api/models/" + spec.repository;
  HEARTH_TRY(const Json tree,
             fetch_json(api + "/tree/main?recursive=true", options, true, fetcher));
  if (!tree.is_array()) return bad_listing(spec);
  Listing listing;
  for (const Json& entry : tree) {
    if (string_at(entry, "type") != "file") continue;
    const auto size = number_at(entry, "size");
    HubFile file = {.path = string_at(entry, "path"), .size = size.value_or(0)};
    if (file.path.empty() || !size) return bad_listing(spec);
    if (entry.contains("lfs")) {
      file.sha256 = string_at(entry["lfs"], "oid");
      if (file.sha256.starts_with("sha256:")) file.sha256.erase(0, 7);
      if (!crypto::is_sha256_hex(file.sha256)) return bad_listing(spec);
    }
    listing.files.push_back(std::move(file));
  }
  // The licence is worth telling but not worth failing for: mirrors often lack this route.
  const auto info = fetch_json(api, options, true, fetcher);
  if (info && info->is_object() && info->contains("cardData")) {
    listing.licence = string_at((*info)["cardData"], "license");
  }
  return listing;
}

Result<Listing> list_modelscope(const Spec& spec, const PullOptions& options,
                                net::HttpFetcher& fetcher) {
  const std::string url = without_slash(options.sources.modelscope) + "/api/v1/models/" +
                          spec.repository + "/repo/files?Revision=master&Recursive=true";
  HEARTH_TRY(const Json json, fetch_json(url, options, false, fetcher));
  if (!json.is_object() || !json.contains("Data") || !json["Data"].is_object() ||
      !json["Data"].contains("Files") || !json["Data"]["Files"].is_array()) {
    return bad_listing(spec);
  }
  Listing listing;
  for (const Json& entry : json["Data"]["Files"]) {
    if (string_at(entry, "Type") == "tree") continue;
    const auto size = number_at(entry, "Size");
    HubFile file = {.path = string_at(entry, "Path"),
                    .size = size.value_or(0),
                    .sha256 = string_at(entry, "Sha256")};
    if (file.path.empty() || !size) return bad_listing(spec);
    if (!file.sha256.empty() && !crypto::is_sha256_hex(file.sha256)) return bad_listing(spec);
    listing.files.push_back(std::move(file));
  }
  return listing;
}

// What a loader needs of a Hugging Face folder; not its pictures, nor other engines' weights.
bool belongs_to_folder(const std::string& path) {
  static constexpr std::array<std::string_view, 8> kOthers = {
      "tokenizer.model", "merges.txt", "vocab.txt", "LICENSE",
      "LICENSE.txt",     "LICENSE.md", "NOTICE",    "chat_template.jinja"};
  if (path.find('/') != std::string::npos || path.front() == '.') return false;
  if (path.ends_with(".safetensors")) return !path.starts_with("consolidated");
  if (path.ends_with(".json")) return true;
  return std::find(kOthers.begin(), kOthers.end(), path) != kOthers.end();
}

bool is_gguf(const HubFile& file) { return file.path.ends_with(".gguf"); }

// The files to fetch of the listing, and which one is the entry (none: the folder).
Result<std::vector<HubFile>> choose(const Spec& spec, const Listing& listing) {
  const auto named = [&spec](const HubFile& file) { return file.path == spec.file; };
  std::vector<HubFile> chosen;
  if (!spec.file.empty()) {
    std::copy_if(listing.files.begin(), listing.files.end(), std::back_inserter(chosen), named);
    if (chosen.empty()) {
      return fail(ErrorKind::kNotFound, "unknown_model", "{} has no file '{}'", spec.repository,
                  spec.file);
    }
    return chosen;
  }
  for (const HubFile& file : listing.files) {
    if (belongs_to_folder(file.path)) chosen.push_back(file);
  }
  const auto has_weights = [](const HubFile& file) { return file.path.ends_with(".safetensors"); };
  if (std::any_of(chosen.begin(), chosen.end(), has_weights)) return chosen;

  chosen.clear();
  std::copy_if(listing.files.begin(), listing.files.end(), std::back_inserter(chosen), is_gguf);
  if (chosen.size() == 1) return chosen;
  if (chosen.empty()) {
    return fail(ErrorKind::kUnsupported, "no_weights",
                "{} has neither .safetensors nor .gguf files", spec.repository);
  }
  std::string names;
  for (const HubFile& file : chosen) names += (names.empty() ? "" : ", ") + file.path;
  return invalid("ambiguous_model", "{0} has several files; name one as {1}:FILE ({2})",
                 spec.repository, spec.source, names);
}

}  // namespace

Result<Recipe> find_hub_recipe(const Spec& spec, const PullOptions& options,
                               net::HttpFetcher& fetcher) {
  const bool is_hf = spec.kind == Spec::Kind::kHuggingFace;
  auto listing = is_hf ? list_hf(spec, options, fetcher) : list_modelscope(spec, options, fetcher);
  if (!listing && listing.error().kind == ErrorKind::kNotFound) {
    return fail(ErrorKind::kNotFound, "unknown_model", "no repository {}: {}", spec.source,
                listing.error().message);
  }
  if (!listing) return tl::unexpected(std::move(listing).error());
  HEARTH_TRY(const std::vector<HubFile> files, choose(spec, *listing));

  const std::string base =
      is_hf ? without_slash(options.sources.hf) + "/" + spec.repository + "/resolve/main/"
            : without_slash(options.sources.modelscope) + "/models/" + spec.repository +
                  "/resolve/master/";
  Recipe recipe;
  recipe.licence = listing->licence;
  for (const HubFile& file : files) {
    const std::string name = file.path.substr(file.path.find_last_of('/') + 1);
    recipe.outputs.push_back({.name = name,
                              .sha256 = file.sha256,
                              .size = file.size,
                              .parts = {{recipe.downloads.size(), {}}}});
    recipe.downloads.push_back(
        {.url = base + net::percent_encode(file.path, /*keep_slashes=*/true),
         .headers = is_hf ? hf_headers(options) : net::DownloadRequest{}.headers,
         .label = name,
         .sha256 = file.sha256,
         .size = file.size});
  }
  if (recipe.outputs.size() == 1) recipe.entry = recipe.outputs.front().name;
  return recipe;
}

}  // namespace hearth::store

